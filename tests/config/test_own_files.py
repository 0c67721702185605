"""Files of `--config-dir`: found by every part, checked like ours, and first where both have one of the same name."""

import shutil
import sys
from pathlib import Path
from typing import Any

import hydra
import pytest
import yaml

from cnnlit import config, sweep
from cnnlit.config.hydra_internals import searching
from cnnlit.train import main, train

GROUPS = sorted(
    {str(path.parent.relative_to(config.conf_dir())) for path in config.conf_dir().glob("*/**/*.yaml")}
    - {"hydra/launcher", "hydra/sweeper"}
)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for files of one's own, beside which commands run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    return tmp_path / "own"


def write(folder: Path, name: str, content: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)


def says(monkeypatch: pytest.MonkeyPatch, capfd: Any, *words: str, command: Any = main) -> str:
    """What a command that is refused says."""
    monkeypatch.setattr(sys, "argv", ["command.py", *words])
    with pytest.raises(SystemExit) as stop:
        command()
    assert stop.value.code == 2
    err: str = capfd.readouterr().err
    assert err.count("\n") == 1, err
    return err


@pytest.mark.parametrize("group", GROUPS)
def test_an_own_file_wins_over_ours_of_the_same_name(own: Path, group: str) -> None:
    ours = min((config.conf_dir() / group).glob("*.yaml"))
    text = ours.read_text()
    marked = f"{text}\nfrom_own_file: 1\n" if "{}" not in text else "from_own_file: 1\n"
    write(own, f"{group}/{ours.name}", marked)
    extra = ["data=synthetic", "model=alexnet"] if group == "protocol" else []
    with searching(config.conf_dir(), own):
        composed = hydra.compose("train", [*extra, f"{group}={ours.stem}"])
    assert "from_own_file" in str(composed)


def test_a_folder_of_the_search_path_wins_too(own: Path) -> None:
    write(own, "recipe/optimizer/sgd.yaml", "{_target_: torch.optim.SGD, _partial_: true, lr: 0.123}")
    with searching(config.conf_dir(), None):
        node = config.compose_again(train, [f"hydra.searchpath=[file://{own}]", "recipe/optimizer=sgd"])
    assert node["recipe"]["optimizer"]["lr"] == 0.123


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("recipe.epoch=3",), "did you mean recipe.epochs?"),
        (("model=mine", "model.num_clases=3"), "did you mean model.num_classes?"),
        (("model=mien",), "did you mean mine?"),
        (("recipe/lossy=none",), "did you mean recipe/loss?"),
        (("grop/sub=a",), "did you mean group/sub?"),
    ],
)
@pytest.mark.parametrize("option", [("--config-dir", "own"), ("--config-dir=own",), ("-cd", "own")])
def test_the_nearest_match_is_offered_with_own_files_as_without(
    own: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any, words: Any, meant: str, option: Any
) -> None:
    shutil.copy(config.conf_dir() / "model" / "compact.yaml", own / "model.yaml")
    write(own, "model/mine.yaml", (own / "model.yaml").read_text())
    write(own, "group/sub/a.yaml", "b: 1")
    assert meant in says(monkeypatch, capfd, *option, *words)


@pytest.mark.parametrize(
    ("key", "folder", "refused"),
    [
        ("model.width", "own", None),
        ("model.widht", "own", "did you mean model.width?"),
        ("model.width", "gone", "--config-dir gone: there is no such folder"),
    ],
)
def test_a_sweep_file_with_own_files_is_checked_like_the_rest(
    own: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any, key: str, folder: str, refused: str | None
) -> None:
    write(own, "model/mine.yaml", (config.conf_dir() / "model" / "compact.yaml").read_text())
    command = ["${env}", "${interpreter}", "-m", "cnnlit.train", "--config-dir", folder, "model=mine"]
    content = {"method": "grid", "parameters": {key: {"values": [0.5, 1.0]}}, "command": command}
    content["command"] = [*command, "${args_no_hyphens}"]
    Path("sweep.yaml").write_text(yaml.safe_dump(content))
    if refused:
        assert refused in says(monkeypatch, capfd, "file=sweep.yaml", command=sweep.main)
    else:
        monkeypatch.setattr(sys, "argv", ["sweep.py", "file=sweep.yaml"])
        sweep.main()
        assert "every key and value is one of the configuration's (2 runs)" in capfd.readouterr().out
