"""python -m cnnlit.doctor, as a user runs it."""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import as_typed
import hydra
import pytest
import torch
from PIL import Image

from cnnlit import config
from cnnlit.config.hydra_internals import DEFAULTS
from cnnlit.data.inspection import Inspection
from cnnlit.doctor import main

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """Run the command in an empty folder: its exit code, what it printed, and what it complained of."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["doctor.py", *arguments])
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        else:
            code = 0
        assert list(tmp_path.iterdir()) == []
        printed = capfd.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.mark.skipif(not (SHARED / "imagenet-sample").is_dir(), reason="no photographs in ../shared/data")
def test_real_photographs_are_one_object_of_json(doctor: Any) -> None:
    options = ("data.num_classes=220", "doctor.scan=all", "doctor.seconds=0", "format=json")
    code, out, _ = doctor("data=imagenet", f"data.root={SHARED / 'imagenet-sample'}", *options)
    assert code == 0
    found = json.loads(out)
    assert {key: found[key] for key in ("layout", "classes", "train", "val", "unreadable", "scanned")} == {
        "layout": "class folders",
        "classes": 220,
        "train": 220,
        "val": 0,
        "unreadable": [],
        "scanned": 220,
    }


@pytest.mark.skipif(not (SHARED / "tiny-imagenet-10").is_dir(), reason="no Tiny ImageNet in ../shared/data")
def test_the_text_names_layout_classes_counts_and_what_would_be_refused(doctor: Any) -> None:
    code, out, _ = doctor("data=imagenet", f"data.root={SHARED / 'tiny-imagenet-10'}", "doctor.seconds=0.1")
    assert code == 0
    for words in (
        f"Layout: Tiny ImageNet in {SHARED / 'tiny-imagenet-10'}",
        "Classes: 10 (goldfish, king penguin,",
        "5,000",
        "50 (n01443537)",
        "Unreadable: 0 of 1,500 that were read; doctor.scan=all reads everything.",
        "images/s decoded and augmented on one core",
        "ResNet-50",
        "A run would be refused: 10 classes, and data.num_classes=1000: say data.num_classes=10",
    ):
        assert words in out, out


@pytest.mark.skipif(not (SHARED / "imagenet-sample").is_dir(), reason="no photographs in ../shared/data")
@pytest.mark.parametrize(("needed", "says"), [("0.1", "The loaders keep up"), ("1e9", "would wait 100% of the time")])
def test_whether_the_loaders_keep_up_is_answered(doctor: Any, needed: str, says: str) -> None:
    root = f"data.root={SHARED / 'imagenet-sample'}"
    options = ("doctor.scan=none", "doctor.seconds=0.1", f"doctor.images_per_second={needed}", "format=markdown")
    code, out, _ = doctor("data=imagenet", root, *options)
    assert code == 0
    assert says in out, out


METADATA = """Metadata-Version: 2.1
Name: cnnlit
Version: 0.2.0
Provides-Extra: more
Requires-Dist: torch>=2
Requires-Dist: rich>=999
Requires-Dist: not-there-at-all>=1
Requires-Dist: numpy<1; extra == "more"
Requires-Dist: not-there-either>=1; extra == "more"
"""


def alone(folder: Path, *words: str, **extra: str) -> "subprocess.CompletedProcess[str]":
    home = folder / "home"
    home.mkdir()
    (folder / "here").mkdir()
    outcome = as_typed.cnnlit(folder / "here", "doctor", *words, HOME=str(home), NETRC=str(home / "netrc"), **extra)
    assert outcome.returncode == 0, outcome.stderr
    assert not list((folder / "here").iterdir())
    assert not list(home.glob("*netrc"))
    return outcome


@pytest.mark.slow
def test_alone_it_says_what_this_machine_is(tmp_path: Path) -> None:
    found = json.loads(alone(tmp_path, "format=json").stdout)
    assert found["torch"] == torch.__version__
    assert found["torch_build"] == (f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU")
    assert len(found["gpus"]) == torch.cuda.device_count()
    assert found["cores"] == len(os.sched_getaffinity(0))
    assert 0 < found["free_bytes"] < shutil.disk_usage(tmp_path).total
    assert found["wandb"].startswith("not logged in")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("told", "says"),
    [({"WANDB_API_KEY": "0" * 40}, "logged in"), ({"WANDB_MODE": "offline"}, "offline, as WANDB_MODE says")],
)
def test_the_table_of_a_machine_tells_where_runs_go_at_wandb(tmp_path: Path, told: dict[str, str], says: str) -> None:
    printed = alone(tmp_path, **told).stdout
    rows = dict(re.findall(r"^(\S+(?: \S+)*)  +(\S.*?) *$", printed, re.MULTILINE))
    assert rows["W&B"] == says
    assert rows["PyTorch"].startswith(torch.__version__)
    assert rows["free disk"].endswith(f"in {tmp_path / 'here'}")


@pytest.mark.slow
def test_installed_versions_that_do_not_fit_are_named_with_what_mends_them(tmp_path: Path) -> None:
    (tmp_path / "cnnlit-0.2.0.dist-info").mkdir()
    (tmp_path / "cnnlit-0.2.0.dist-info" / "METADATA").write_text(METADATA)
    printed = alone(tmp_path, PYTHONPATH=f"{tmp_path}:{as_typed.ROOT}").stdout
    rows = [line.split() for line in printed.splitlines()]
    assert ["rich", version("rich"), ">=999"] in rows
    assert ["not-there-at-all", "missing", ">=1"] in rows
    assert ["numpy", version("numpy"), "<1"] in rows
    assert 'pip install "not-there-at-all>=1" "numpy<1" "rich>=999"' in printed
    assert "not-there-either" not in printed, "what an extra needs may be missing"


def test_digits_need_no_folder(doctor: Any) -> None:
    code, out, _ = doctor("data=digits")
    assert code == 0
    assert "sklearn, in memory" in out
    assert "1,437" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["data=imagenet"], ["there is no folder", "image-net.org", "data=imagenette", "data=synthetic"]),
        (["data=imagenette"], ["imagenette2-320", "downloads it"]),
        (["data=imagenet", "doctor.scan=alll"], ["doctor.scan=alll", "none, sample, all", "did you mean all?"]),
        (["data=imagenet", "doctor.smple=3"], ["doctor.smple", "did you mean doctor.sample?"]),
        (["data=imagenet", "format=xml"], ["format=xml", "text, json, markdown"]),
        (["data=mnist", "data.root=nowhere"], ["train-images-idx3-ubyte", "nowhere"]),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else None,
)
def test_what_is_wrong_is_one_line(doctor: Any, arguments: list[str], says: list[str]) -> None:
    code, out, err = doctor(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    for words in says:
        assert words in err, err


def test_a_flat_validation_folder_is_refused(doctor: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("flat")
    for number in range(1, 4):
        (folder / f"ILSVRC2012_val_{number:08d}.JPEG").touch()
    code, _, err = doctor("data=imagenet", f"data.root={folder}")
    assert code == 2
    assert "3 images" in err
    assert "nothing tells their classes" in err


def test_the_configuration_lists_every_option_and_its_default() -> None:
    with hydra.initialize_config_dir(str(config.conf_dir()), **DEFAULTS):
        node = dict(hydra.compose("doctor").doctor)
    del node["_target_"]
    assert node == {name: each.default for name, each in inspect.signature(Inspection).parameters.items()}


def test_the_first_training_images_are_drawn_and_the_place_is_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("data.distortion=affine1998", "pictures=true", "format=json")
    monkeypatch.setattr(sys, "argv", ["doctor.py", *words])
    main()
    out, err = capfd.readouterr()
    assert json.loads(out)["classes"] == 10
    assert err == "training_images.png\n"
    assert Image.open(tmp_path / "training_images.png").width > 1000


def test_what_a_run_would_refuse_is_found_and_not_drawn(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir()
        for number in range(12):
            Image.new("RGB", (9, 9), (number, 0, 0)).save(tmp_path / "images" / name / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    words = ("data=folder", "data.root=images", "data.num_classes=7", "doctor.seconds=0", "pictures=true")
    monkeypatch.setattr(sys, "argv", ["doctor.py", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    out, err = capfd.readouterr()
    assert stop.value.code == 1
    assert "A run would be refused: 2 classes" in out
    assert err == f"cnnlit: found 2 classes in {tmp_path / 'images'}, data.num_classes=7; say data.num_classes=2\n"
    assert not (tmp_path / "training_images.png").exists()
