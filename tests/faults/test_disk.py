"""Full disks and files that were cut short: what was there stays, and what is used is whole."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from training import BOUND_SECONDS, ROOT, SHORT, assert_same_end, await_line, run, start

from cnnlit.files import DiskFullError, write_whole
from cnnlit.runs.folder import Run, RunError
from cnnlit.runs.reading import read


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB: two checkpoints of LeNet-5 fit in, a third one while it is written does not."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_what_does_not_fit_leaves_everything_as_it_was(small_disk: Path) -> None:
    path, previous = small_disk / "last.ckpt", small_disk / "previous.ckpt"
    write_whole(path, b"1" * 700_000, previous=previous)
    write_whole(path, b"2" * 700_000, previous=previous)
    with pytest.raises(
        DiskFullError, match=r"No space left on the disk of .*small: last.ckpt needs 0.9 MB, .* missing"
    ):
        write_whole(path, b"3" * 900_000, previous=previous)
    assert {file.name: file.read_bytes()[:1] for file in small_disk.iterdir()} == {
        "last.ckpt": b"2",
        "previous.ckpt": b"1",
    }


@pytest.mark.slow
def test_a_full_disk_ends_a_run_in_one_line_and_it_goes_on_when_there_is_room(small_disk: Path, whole: Path) -> None:
    folder = small_disk / "run"
    outcome = run(small_disk.parent, *SHORT, f"hydra.run.dir={folder}")
    assert outcome.returncode == 1
    why, command = outcome.stderr.splitlines()[-2:]
    assert why.startswith("cnnlit: No space left on the disk of"), outcome.stderr
    assert command.endswith(f"python -m cnnlit.train resume={folder.relative_to(small_disk.parent)}")
    assert "Traceback" not in outcome.stderr
    assert read(folder)["state"] == "failed"
    assert "No space left" in read(folder)["error"]
    assert not list(folder.rglob(".*.ckpt.*"))
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    outcome = run(small_disk.parent, f"resume={folder}")
    assert outcome.returncode == 0, outcome.stderr
    assert_same_end(folder, whole)


READ_ONLY = """
import builtins, errno, io, os
place = os.environ["PLACE"]
def refusing(real, writes):
    def asked(path, *words, **named):
        below = isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(place + "/")
        if below and writes(*words) and os.path.exists(place + ".ro"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), os.fspath(path))
        return real(path, *words, **named)
    return asked
builtins.open = io.open = refusing(builtins.open, lambda mode="r", *_: not mode.startswith("r"))
os.open = refusing(os.open, lambda flags=0, *_: flags & (os.O_WRONLY | os.O_RDWR))
os.replace = refusing(os.replace, lambda *_: True)
"""
"""A file system that the kernel makes read-only when its disk fails, once there is a file beside it."""


@pytest.mark.slow
def test_a_folder_that_becomes_read_only_ends_the_run_in_one_line(tmp_path: Path, whole: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(READ_ONLY)
    folder = tmp_path / "run"
    path = f"{ROOT}{os.pathsep}{tmp_path}"
    process = start(tmp_path, *SHORT, f"hydra.run.dir={folder}", PYTHONPATH=path, PLACE=str(folder))
    await_line(process, "epoch 1/3")
    (tmp_path / "run.ro").touch()
    _, errors = process.communicate(timeout=BOUND_SECONDS)
    assert process.returncode == 1
    assert "Traceback" not in errors
    why, command = errors.splitlines()[-2:]
    assert "run/metrics.csv cannot be written (read-only file system)" in why
    assert command.endswith("python -m cnnlit.train resume=run")
    (tmp_path / "run.ro").unlink()
    outcome = run(tmp_path, f"resume={folder}")
    assert outcome.returncode == 0, outcome.stderr
    assert_same_end(folder, whole)


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def unfinished(folder: Path) -> None:
    """Make a finished run one that was killed in its test."""
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, "state": "running"}))
    (folder / "test.json").unlink()


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [cut_short, flip_a_byte])
def test_a_spoilt_checkpoint_gives_way_to_the_one_before(tmp_path: Path, whole: Path, spoil: object) -> None:
    folder = tmp_path / "run"
    subprocess.run(["cp", "-r", str(whole), str(folder)], check=True)
    unfinished(folder)
    assert callable(spoil)
    spoil(folder / "checkpoints" / "last.ckpt")
    outcome = run(tmp_path, f"resume={folder}")
    assert outcome.returncode == 0, outcome.stderr
    assert "last.ckpt was cut short" in outcome.stderr
    assert "previous.ckpt is used in its place" in outcome.stderr
    assert "epoch 3/3" in outcome.stderr
    assert "epoch 1/3" not in outcome.stderr
    assert_same_end(folder, whole)


@pytest.mark.slow
def test_without_a_whole_checkpoint_a_run_says_so(tmp_path: Path, whole: Path) -> None:
    folder = tmp_path / "run"
    subprocess.run(["cp", "-r", str(whole), str(folder)], check=True)
    unfinished(folder)
    for name in ("last", "previous"):
        cut_short(folder / "checkpoints" / f"{name}.ckpt")
    outcome = run(tmp_path, f"resume={folder}")
    assert outcome.returncode == 1
    assert "cnnlit: no checkpoint can be read" in outcome.stderr.splitlines()[-1]
    assert "Traceback" not in outcome.stderr


def test_a_checkpoint_is_under_one_of_both_names_at_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path)
    for content in (b"1", b"2"):
        write_whole(run.checkpoint, content, previous=run.previous_checkpoint)
    replace = os.replace

    def killed(source: Path, target: Path) -> None:
        if target == run.checkpoint:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_whole(run.checkpoint, b"3", previous=run.previous_checkpoint)
    assert run.checkpoint.read_bytes() == b"2"
    assert run.previous_checkpoint.read_bytes() == b"2"
    run.record["command"] = ""
    with pytest.raises(RunError, match="no checkpoint can be read"):
        run.sound_checkpoint()
