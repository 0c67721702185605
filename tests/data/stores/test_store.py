"""A store shows the images that it was made of, and says when it is damaged."""

import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data.stores.stored import SIDE, found, store
from PIL import Image
from torch import Tensor

from cnnlit.data.image_folders import ImageNet
from cnnlit.data.sources.folders import Listing
from cnnlit.data.sources.layouts import find_images
from cnnlit.data.stores.store import StoredImages, find_prepared, verify
from cnnlit.data.stores.store_writer import psnr
from cnnlit.data.transforms.geometry import CenterCrop, Flip, RandomCrop, RandomResizedCrop, ShorterSide

ALEXNET = (ShorterSide(pixels=256), CenterCrop(pixels=256), RandomCrop(pixels=224), Flip())

pytestmark = pytest.mark.usefixtures("few_images_in_a_shard")


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
    assert "train-00001.bin is damaged; data.on_unreadable=skip leaves it out, prepare.replace_damaged=true" in message


def test_a_damaged_image_is_made_anew_from_its_original_to_the_byte(
    photographs: Path, made: Path, encoding: str
) -> None:
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    for shard in ("train-00001.bin", "val-00000.bin"):
        flip_a_byte(made / shard, 300)
    mended = store(photographs, made, encoding=encoding, replace_damaged=True, verify=True)
    assert len(mended.replaced) == 2
    assert mended.num_verified == 36
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before


def test_an_image_whose_original_has_changed_is_not_made_anew(
    photographs: Path, tmp_path: Path, few_images_in_a_shard: None
) -> None:
    shutil.copytree(photographs, tmp_path / "originals")
    made = store(tmp_path / "originals", tmp_path / "store").folder
    for path in (tmp_path / "originals").rglob("*.JPEG"):
        Image.new("RGB", (60, 60), "green").save(path)
    flip_a_byte(made / "train-00001.bin", 300)
    damaged = (made / "train-00001.bin").read_bytes()
    with pytest.raises(ValueError, match=r"train-00001.bin is damaged, and its original has changed since"):
        store(tmp_path / "originals", made, replace_damaged=True)
    assert (made / "train-00001.bin").read_bytes() == damaged


def test_there_is_nothing_to_make_anew_in_a_store_that_is_not_there(photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"replace_damaged=true: \S+ is no complete store; leave it out"):
        store(photographs, tmp_path / "store", replace_damaged=True)


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
