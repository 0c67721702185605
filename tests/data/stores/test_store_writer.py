"""A store is the same however it was made, and nothing else is overwritten."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from data.stores.stored import SIDE, found, store

from cnnlit.data.sources.folders import ImageFiles
from cnnlit.data.sources.layouts import find_images
from cnnlit.data.stores import store_writer
from cnnlit.data.stores.store import find_prepared, verify
from cnnlit.data.stores.store_writer import Preparation

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.usefixtures("few_images_in_a_shard")


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_better_jpegs_are_nearer_and_larger(photographs: Path, tmp_path: Path) -> None:
    one = store(photographs, tmp_path / "one").about
    other = store(photographs, tmp_path / "other", quality=95, subsampling=444).about
    assert other["sample"]["psnr_db"] > one["sample"]["psnr_db"] + 1
    assert other["splits"]["train"]["bytes"] > one["splits"]["train"]["bytes"]


def test_a_store_is_the_same_whatever_the_number_of_threads(
    photographs: Path, made: Path, tmp_path: Path, encoding: str
) -> None:
    other = store(photographs, tmp_path / "other", encoding=encoding, num_threads=3).folder
    assert content(other) == content(made)


@pytest.mark.parametrize("survived", [0, 1, 11, 23, 30])
def test_a_store_is_the_same_however_often_it_was_cut_off(
    photographs: Path, made: Path, tmp_path: Path, encoding: str, survived: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cut_off"
    left, write = survived, ImageFiles.open

    def opened(self: ImageFiles, index: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return write(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(store_writer, "SAMPLE", 1)
        patch.setattr(ImageFiles, "open", opened)
        for _ in range(2):
            left = survived
            with pytest.raises(KeyboardInterrupt):
                store(photographs, folder, encoding=encoding)
            assert not list(folder.glob(".*.part"))
            survived = min(survived, 4)  # the second time, so few that no further shard is finished
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("*.bin")}
    store(photographs, folder, encoding=encoding)
    assert content(folder) == content(made)
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())


def test_a_store_that_was_killed_is_gone_on_with(photographs: Path, tmp_path: Path) -> None:
    whole = store(photographs, tmp_path / "whole").folder
    folder = tmp_path / "killed"
    script = (
        "import sys, time\n"
        "from cnnlit.data.stores import store_folder, store_writer\n"
        "from cnnlit.data.sources.folders import ImageFiles\n"
        "from cnnlit.data.sources.layouts import find_images\n"
        "store_folder.LEAST_IN_SHARD, store_writer.SAMPLE, opened = 5, 1, ImageFiles.open\n"
        "ImageFiles.open = lambda self, index: (time.sleep(0.1), opened(self, index))[1]\n"
        "preparation = store_writer.Preparation(to=sys.argv[2], side=32, num_threads=1)\n"
        "preparation.run(find_images(sys.argv[1]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(photographs), str(folder)], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    deadline = time.monotonic() + 120
    while not (folder / "train-00001.bin").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "prepared.json").exists()
    with pytest.raises(ValueError, match=r"killed is a half-made store: say the python -m cnnlit.prepare again"):
        find_prepared(folder)
    store(photographs, folder)
    assert content(folder) == content(whole)


def test_two_processes_do_not_make_one_store(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second: list[str] = []
    opened = ImageFiles.open
    script = (
        "import sys\n"
        "from cnnlit.data.sources.layouts import find_images\n"
        "from cnnlit.data.stores.store_writer import Preparation\n"
        "Preparation(to=sys.argv[2], side=32).run(find_images(sys.argv[1]))\n"
    )

    def meanwhile(self: ImageFiles, index: int) -> Any:
        if not second:
            line = [sys.executable, "-c", script, str(photographs), str(tmp_path / "store")]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            outcome = subprocess.run(line, capture_output=True, text=True, env=environment)
            second.append(outcome.stderr)
        return opened(self, index)

    monkeypatch.setattr(ImageFiles, "open", meanwhile)
    store(photographs, tmp_path / "store")
    assert "another process is preparing" in second[0]
    assert not (tmp_path / "store" / ".lock").exists()


def test_other_settings_than_those_of_a_begun_store_are_refused(made: Path, photographs: Path, encoding: str) -> None:
    for change, says in (
        ({"side": 40}, f"side={SIDE}, this is side=40"),
        ({"encoding": "raw" if encoding == "jpeg" else "jpeg"}, f"encoding={encoding}, this is"),
        *([({"quality": 80}, "quality=90, this is quality=80")] if encoding == "jpeg" else []),
    ):
        for how in ("holds images that were prepared", "is half made"):
            with pytest.raises(ValueError, match=rf"^prepare.to={made} {how} with {says}[^\n]*$"):
                store(photographs, made, **{"encoding": encoding, **change})
            if (made / "prepared.json").exists():
                (made / "prepared.json").rename(made / "preparing.json")
        (made / "preparing.json").rename(made / "prepared.json")
    assert store(photographs, made, encoding=encoding).was_there


def test_other_photographs_than_those_of_a_begun_store_are_refused(
    made: Path, photographs: Path, tmp_path: Path
) -> None:
    shutil.copytree(photographs, tmp_path / "fewer")
    next((tmp_path / "fewer").glob("train/*/*")).unlink()
    encoding = found(made).train.encoding  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="other listed"):
        store(tmp_path / "fewer", made, encoding=encoding)


def test_a_folder_with_something_else_is_refused(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="there is something else; name a new folder"):
        store(photographs, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_disk_that_is_too_small_is_named_before_anything_is_written(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match=r"are needed and 1.0 kB are free"):
        store(photographs, tmp_path / "store")
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == [".lock", "preparing.json"]


@pytest.mark.parametrize("sampled", [True, False])
def test_an_unreadable_photograph_stops_or_is_left_out_and_named(
    photographs: Path, tmp_path: Path, sampled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_writer, "SAMPLE", 64 if sampled else 1)
    shutil.copytree(photographs, tmp_path / "photographs")
    bad = tmp_path / "photographs" / "train" / "n00000002" / "n00000002_3.JPEG"
    bad.write_bytes(b"no image")
    listing = find_images(tmp_path / "photographs")
    preparation = Preparation(to=str(tmp_path / "store"), side=SIDE, num_threads=2)
    with pytest.raises(ValueError, match=r"n00000002_3.JPEG cannot be read"):
        preparation.run(listing)
    about = preparation.run(listing, on_unreadable="skip").about
    assert about["splits"]["train"]["unreadable"] == ["n00000002/n00000002_3.JPEG"]
    train = found(tmp_path / "store").train
    assert train.labels.tolist() == [0] * 8 + [1] * 7 + [2] * 8
    names = [name for name in listing.train.names.tolist() if b"n00000002_3" not in name]
    assert train.names.tolist() == names
    assert verify(tmp_path / "store") == 23 + 12


def test_a_store_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match=r"prepare\.to=FOLDER"):
        Preparation(to=None)
