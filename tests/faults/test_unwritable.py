"""Folders that cannot be written, and disks that are full: one line with the place, the reason and what to do."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import as_typed
import pytest
from PIL import Image

SITE = """
import builtins, io, os, pathlib, errno
real = os.fsync
def full(descriptor):
    if os.environ["FULL"] in os.readlink(f"/proc/self/fd/{descriptor}"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return real(descriptor)
os.fsync = full
"""
"""A disk that is full for files of a name, as the system tells a program that syncs what it wrote."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    words = ("recipe.epochs=1", "logger=none", "trainer=cpu", "hydra.run.dir=run")
    outcome = as_typed.here(folder, "train", *words)
    assert outcome.returncode == 0, outcome.stderr
    Image.new("L", (28, 28), 90).save(folder / "0.png")
    return folder


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A file system that nobody may write to, not even root."""
    place = tmp_path / "read_only"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(place)]
    if (mounted := subprocess.run(mount, capture_output=True, text=True)).returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def below_a_file(tmp_path: Path) -> Path:
    """A place that cannot be on any system."""
    (tmp_path / "file").write_text("no folder")
    return tmp_path / "file"


WRITES = {
    "train": ("recipe.epochs=1", "logger=none", "hydra.run.dir={place}/x"),
    "-m": ("-m", "seed=0,1", "logger=none", "hydra.sweep.dir={place}/x"),
    "evaluate": ("run=run", "output={place}/x"),
    "predict": ("run=run", "images=0.png", "to={place}/x.png"),
    "report": ("runs=run", "format=html", "to={place}/x.html"),
    "export": ("run=run", "format=safetensors", "to={place}/x"),
    "describe": ("to={place}/x.html", "format=html"),
    "prepare": ("data=folder", "data.num_classes=2", "data.root=images", "prepare.to={place}/x"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize("place", ["below_a_file", "read_only"])
def test_a_place_that_cannot_be_written_is_one_line(
    trained: Path, request: pytest.FixtureRequest, kind: str, place: str
) -> None:
    where: Path = request.getfixturevalue(place)
    for number in range(12):
        picture = trained / "images" / "ab"[number % 2] / f"{number}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), (number, 0, 0)).save(picture)
    words = [word.format(place=where) for word in WRITES[kind]]
    outcome = as_typed.here(trained, "train" if kind == "-m" else kind, *words)
    line = outcome.stderr.splitlines()[-1]
    assert outcome.returncode in (1, 2)
    assert str(where) in line
    assert "not a directory" in line or "read-only file system" in line
    assert "another place" in line
    assert "Traceback" not in outcome.stderr
    if kind == "predict":
        assert "0.png" in outcome.stdout
    elif kind not in ("train", "-m"):
        assert not outcome.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("command", "answer"), [("predict", "0.png"), ("evaluate", "test/error")])
def test_on_a_full_disk_answers_are_printed_before_they_are_lost(trained: Path, command: str, answer: str) -> None:
    site = trained / "site"
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(SITE)
    words = {"predict": ("images=0.png", "to=full.png"), "evaluate": ("output=full",)}[command]
    paths = f"{as_typed.ROOT}:{site}"
    outcome = as_typed.cnnlit(trained, command, "run=run", *words, PYTHONPATH=paths, FULL="full")
    assert outcome.returncode == 1
    assert answer in outcome.stdout
    assert outcome.stderr.splitlines()[-1].startswith("cnnlit: No space left on the disk of ")
    assert "Traceback" not in outcome.stderr
    assert not list(trained.rglob("*.part"))


def test_json_stays_json_when_the_picture_is_lost(trained: Path, below_a_file: Path) -> None:
    words = ("run=run", "images=0.png", "format=json", f"to={below_a_file}/x.png")
    outcome = as_typed.here(trained, "predict", *words)
    assert (outcome.returncode, len(json.loads(outcome.stdout))) == (1, 1)


def test_a_run_on_a_full_disk_ends_in_one_line(trained: Path) -> None:
    site = trained / "site"
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(SITE)
    words = ("recipe.epochs=1", "logger=none", "trainer=cpu", "hydra.run.dir=other")
    outcome = as_typed.cnnlit(trained, "train", *words, PYTHONPATH=f"{as_typed.ROOT}:{site}", FULL="metrics.csv")
    assert outcome.returncode == 1
    assert "cnnlit: No space left on the disk of" in outcome.stderr
    assert "Traceback" not in outcome.stderr
