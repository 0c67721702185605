"""python -m cnnlit: the front door."""

import subprocess
from pathlib import Path

import pytest
from as_typed import python

ROOT = Path(__file__).parents[1]


def cnnlit(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return python(folder, "cnnlit", *words, COLUMNS="100", HOME=str(folder))


@pytest.mark.parametrize("words", [[], ["--help"], ["help"]])
def test_the_door_names_every_command_and_every_experiment_with_its_question(tmp_path: Path, words: list[str]) -> None:
    outcome = cnnlit(tmp_path, *words)
    assert outcome.returncode == 0, outcome.stderr
    names = {line.split()[0] for line in outcome.stdout.splitlines() if line.startswith("  ") and line[2] != " "}
    assert {path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml")} < names
    assert {"train", "predict", "report"} < names
    assert "pooling                       Does max-pooling work better than average-pooling?" in outcome.stdout


@pytest.mark.slow
def test_a_command_behind_the_door_is_the_command(tmp_path: Path) -> None:
    outcome = cnnlit(tmp_path, "train", "recipe.epochs=1", "logger=none", "trainer=cpu", "trainer.devices=2")
    assert outcome.returncode == 0, outcome.stderr
    assert "2 replicas" in outcome.stderr, "started again for the second process"
    (record,) = tmp_path.glob("runs/*/*/run.json")
    assert "cnnlit.train recipe.epochs=1" in record.read_text()


def test_a_command_that_there_is_not_is_refused_with_the_nearest(tmp_path: Path) -> None:
    outcome = cnnlit(tmp_path, "trian")
    assert (outcome.returncode, outcome.stderr) == (2, "cnnlit: trian: no such command; did you mean train?\n")


@pytest.mark.parametrize("words", [["--version"], ["train", "--version"]])
def test_the_version_is_cnnlits(tmp_path: Path, words: list[str]) -> None:
    from cnnlit import __version__

    assert cnnlit(tmp_path, *words).stdout.startswith(f"cnnlit {__version__} (torch ")
