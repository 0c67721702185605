"""Runs that nothing happened to."""

from pathlib import Path

import pytest
from training import SHORT, TWO, run


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of one process."""
    folder = tmp_path_factory.mktemp("whole")
    outcome = run(folder, *SHORT, f"hydra.run.dir={folder}/run")
    assert outcome.returncode == 0, outcome.stderr
    return folder / "run"


@pytest.fixture(scope="session")
def whole_of_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two processes."""
    folder = tmp_path_factory.mktemp("whole_of_two")
    outcome = run(folder, *SHORT, *TWO, f"hydra.run.dir={folder}/run")
    assert outcome.returncode == 0, outcome.stderr
    return folder / "run"
