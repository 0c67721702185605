"""A store shows the photographs that it was made of, is the same however it was made, and says when it is damaged."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cnnlit.data.image_folders import ImageNet
from cnnlit.data.sources import store_folder, store_writer
from cnnlit.data.sources.folders import ImageFiles, Listing
from cnnlit.data.sources.layouts import find_images
from cnnlit.data.sources.store import StoredImages, find_prepared, verify
from cnnlit.data.sources.store_writer import Preparation, PreparedStore, psnr
from cnnlit.data.transforms.geometry import CenterCrop, Flip, RandomCrop, RandomResizedCrop, ShorterSide

ROOT = Path(__file__).parents[3]
SIDE = 32
ALEXNET = (ShorterSide(pixels=256), CenterCrop(pixels=256), RandomCrop(pixels=224), Flip())
SHARDS = ["train-00000.bin", "train-00001.bin", "train-00002.bin", "train-00003.bin", "train-00004.bin"]


@pytest.fixture(autouse=True)
def few_images_in_a_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    """24 training images in five shards, 12 of validation in three."""
    monkeypatch.setattr(store_folder, "LEAST_IN_SHARD", 5)


def store(root: Path, to: Path, **options: Any) -> PreparedStore:
    return Preparation(to=str(to), **{"side": SIDE, "num_threads": 1, **options}).run(find_images(root))


@pytest.fixture
def listing(photographs: Path) -> Listing:
    return find_images(photographs)


@pytest.fixture(params=["jpeg", "raw"])
def encoding(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def made(photographs: Path, tmp_path: Path, encoding: str) -> Path:
    return store(photographs, tmp_path / "store", encoding=encoding).folder


def found(folder: Path) -> Listing:
    listing = find_prepared(folder)
    assert listing is not None
    return listing


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def exact(path: str, square: bool) -> np.ndarray:
    """What is to be stored of an image, by PIL: its shorter side SIDE, and the square in the middle."""
    image = Image.open(path).convert("RGB")
    shorter = min(image.size)
    width, height = (side * SIDE // shorter for side in image.size)
    if shorter > SIDE or square:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    if square:
        left, top = round((width - SIDE) / 2), round((height - SIDE) / 2)
        image = image.crop((left, top, left + SIDE, top + SIDE))
    return np.asarray(image)


def test_a_store_holds_the_photographs_in_their_order_with_their_labels_and_names(
    made: Path, listing: Listing, encoding: str
) -> None:
    stored = found(made)
    assert (stored.classes, stored.class_names) == (listing.classes, listing.class_names)
    for ours, theirs in ((stored.train, listing.train), (stored.test, listing.test)):
        assert len(ours) == len(theirs)
        assert torch.equal(ours.labels, theirs.labels)
        assert ours.names.tolist() == theirs.names.tolist()
        for index in range(len(theirs)):
            image, expected = ours.open(index), exact(theirs.path(index), encoding == "raw")
            pixels = image.rgb()
            assert pixels.dtype == np.uint8
            assert pixels.shape == expected.shape == (image.height, image.width, 3)
            if encoding == "raw":
                assert np.abs(pixels.astype(int) - expected).max() <= 2
            else:
                assert psnr(pixels, expected) > 24  # noise of single pixels, which JPEG likes least
            assert os.fsdecode(theirs.names[index]) in ours.path(index)


def test_an_image_smaller_than_the_side_is_not_enlarged_as_jpeg_and_is_in_a_raw_square(
    photographs: Path, tmp_path: Path
) -> None:
    sides = {
        encoding: store(photographs, tmp_path / encoding, encoding=encoding, side=50).folder
        for encoding in ("jpeg", "raw")
    }
    originals = find_images(photographs).train
    for index in range(len(originals)):
        width, height = Image.open(originals.path(index)).size
        jpeg, raw = (found(folder).train.open(index) for folder in sides.values())
        assert min(jpeg.height, jpeg.width) == min(50, height, width)
        assert (raw.height, raw.width) == (50, 50)


def test_better_jpegs_are_nearer_and_larger(photographs: Path, tmp_path: Path) -> None:
    one = store(photographs, tmp_path / "one").about
    other = store(photographs, tmp_path / "other", quality=95, subsampling=444).about
    assert other["sample"]["psnr_db"] > one["sample"]["psnr_db"] + 1
    assert other["splits"]["train"]["bytes"] > one["splits"]["train"]["bytes"]


# Made in any way


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
        "from cnnlit.data.sources import store_folder, store_writer\n"
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
        "from cnnlit.data.sources.store_writer import Preparation\n"
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
    with pytest.raises(OSError, match=r"are needed and 0.0 GB are free"):
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


# Damage


def flip_a_byte(path: Path, place: int) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[place] ^= 4
    path.write_bytes(damaged)


def test_a_damaged_shard_is_detected_and_its_image_named(made: Path, encoding: str) -> None:
    assert verify(made) == 36
    flip_a_byte(made / "train-00001.bin", 300)
    with pytest.raises(ValueError, match=r"^damaged: n0\S+\.JPEG in \S+train-00001.bin; [^\n]*$"):
        verify(made)
    train = found(made).train
    if encoding == "raw":  # a checksum would cost more than all else that is done to a raw image
        return
    messages = []
    for index in range(len(train)):
        try:
            train.open(index).rgb()
        except ValueError as error:
            messages.append(str(error))
    (message,) = messages
    assert "train-00001.bin is damaged; prepare.verify=true finds" in message


@pytest.mark.parametrize("table", ["train.index.npy", "val.names.npy"])
def test_a_damaged_table_is_detected(made: Path, table: str) -> None:
    flip_a_byte(made / table, -3)
    with pytest.raises(ValueError, match=rf"{table} is damaged"):
        verify(made)


@pytest.mark.parametrize("file", ["train-00002.bin", "val-00000.bin", "val.index.npy"])
def test_a_file_that_is_cut_off_or_missing_is_refused_with_one_line(made: Path, file: str) -> None:
    whole = (made / file).read_bytes()
    (made / file).write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=rf"^\S+{file} has [\d,]+ bytes where {len(whole):,} were written; [^\n]*$"):
        find_prepared(made)
    (made / file).unlink()
    with pytest.raises(ValueError, match=rf"^\S+{file} is missing where [^\n]*$"):
        find_prepared(made)


def test_a_store_of_another_format_is_refused(made: Path) -> None:
    text = (made / "prepared.json").read_text()
    (made / "prepared.json").write_text(text.replace('"format": 1', '"format": 7'))
    with pytest.raises(ValueError, match="has format 7, this cnnlit reads 1; prepare it anew"):
        find_prepared(made)


def test_a_folder_that_is_no_store_is_left_to_others(photographs: Path) -> None:
    assert find_prepared(photographs) is None


# ImageBatch


def loaded(root: Path, **options: Any) -> ImageNet:
    chosen: Any = {"image_size": 28, "num_classes": 3, "batch_size": 5, "num_workers": 0, "augmentation": ALEXNET}
    data = ImageNet(root=str(root), **{**chosen, **options})
    data.setup()
    return data


def shown(data: ImageNet, epoch: int = 0) -> tuple[Tensor, Tensor]:
    loader: Any = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    batches = [(batch.images, batch.labels) for batch in loader]
    pixels, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    return pixels, labels


@pytest.mark.parametrize("augmentation", [ALEXNET, (RandomResizedCrop(pixels=224), Flip())])
def test_the_pixels_do_not_depend_on_the_number_of_workers(made: Path, augmentation: Any) -> None:
    options: Any = {"augmentation": augmentation, "val_split": 3}
    pixels, labels = shown(loaded(made, **options), epoch=2)
    for num_workers in (1, 2):
        others, other_labels = shown(loaded(made, num_workers=num_workers, **options), epoch=2)
        assert torch.equal(others, pixels)
        assert torch.equal(other_labels, labels)


def test_a_raw_store_shows_what_the_photographs_themselves_show(photographs: Path, tmp_path: Path) -> None:
    made = store(photographs, tmp_path / "store", encoding="raw").folder
    options: Any = {"val_split": 6, "seed": 3}
    for epoch in range(2):
        stored, stored_labels = shown(loaded(made, **options), epoch)
        pixels, labels = shown(loaded(photographs, **options), epoch)
        assert torch.equal(stored_labels, labels)
        assert (stored.int() - pixels.int()).abs().max() <= 2


def test_a_store_goes_to_a_worker_process_by_its_name(made: Path) -> None:
    train = found(made).train.subset(torch.tensor([7, 3, 20]))
    before = train.open(1).rgb()
    pickled = pickle.dumps(train)
    assert len(pickled) < 600
    there: StoredImages = pickle.loads(pickled)
    assert np.array_equal(there.open(1).rgb(), before)
    assert there.labels.tolist() == [0, 0, 2]


# The order on the disk


def test_neighbours_on_the_disk_are_of_different_classes(made: Path) -> None:
    train: Any = found(made).train
    assert sorted(train.places.tolist()) == list(range(24))
    by_place = train.labels[train.places.argsort()]
    assert (by_place[1:] != by_place[:-1]).sum() > 8  # 2, if they lay as they were listed


def test_blocks_of_neighbours_show_each_image_once(made: Path) -> None:
    data = loaded(made, block_images=4, val_split=6)
    for epoch in range(2):
        loader: Any = data.train_dataloader()
        assert sorted(loader.sampler.presentations(epoch).tolist()) == list(range(18))


def test_blocks_of_images_stored_class_by_class_are_refused(photographs: Path) -> None:
    with pytest.raises(ValueError, match=r"data.block_images=4: these images are stored class by class"):
        loaded(photographs, block_images=4)


def test_a_store_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match=r"prepare\.to=FOLDER"):
        Preparation(to=None)
