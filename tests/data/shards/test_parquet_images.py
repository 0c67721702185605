"""Parquet files are read by groups of rows: each once in training and in prepare."""

from pathlib import Path
from typing import Any

import pytest
import torch
from data.presented import photographed
from data.shards.sharded import parquet_shards, pictures

from cnnlit.data.image_folders import ImageFolder
from cnnlit.data.loading.batch_sampler import MIXED_BLOCKS, BatchSampler
from cnnlit.data.shards.parquet_images import ParquetReader
from cnnlit.data.sources.layouts import find_images
from cnnlit.data.stores.store_writer import Preparation


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The groups that are read, by shard and number."""
    groups: list[tuple[int, int]] = []
    original = ParquetReader._read
    monkeypatch.setattr(ParquetReader, "_read", lambda *each: (groups.append(each[1:]), original(*each))[1])
    return groups


@pytest.fixture
def root(photographs: Path, tmp_path: Path) -> Path:
    return parquet_shards(photographs, tmp_path / "parquet", size=10, rows=2)


def test_training_reads_each_group_once_and_mixes_some_of_them(root: Path, read: list[Any]) -> None:
    data = photographed(root, ImageFolder, val_split=0, batch_size=4)
    loader = data.train_dataloader()
    read.clear()
    train: Any = data._splits["train"]
    train._reader._forget()
    assert sum(len(batch.labels) for batch in loader) == 24
    assert sorted(read) == [(shard, group) for shard in range(3) for group in range(5 if shard < 2 else 2)]
    order: Any = loader.sampler.presentations(0)
    assert not torch.equal(order, order.sort().values)
    assert MIXED_BLOCKS * 2 > 12  # all are mixed here


def test_images_are_read_one_by_one_where_any_order_is_asked_for(root: Path) -> None:
    batches: Any = photographed(root, ImageFolder, val_split=0, block_images=1).training_batches()
    assert torch.equal(batches.presentations(0), BatchSampler(24, 5, order="fresh").presentations(0))


def test_prepare_reads_each_group_once(root: Path, tmp_path: Path, photographs: Path, read: list[Any]) -> None:
    listing = find_images(root)
    Preparation(to=str(tmp_path / "store"), side=32, num_threads=2).run(listing)
    training = [each for each in read if each[0] < 3]
    assert len(training) <= 12 + 6 + 12  # of both splits, and those of the sample
    stored = find_images(tmp_path / "store")
    assert stored.train.labels.tolist() == [label for _, label in pictures(photographs / "train")]
    assert stored.classes == listing.classes


def test_files_sorted_by_class_are_refused_in_blocks(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from data.shards import sharded

    monkeypatch.setattr(sharded, "pictures", lambda folder: sorted(pictures(folder)))
    root = parquet_shards(photographs, tmp_path / "sorted", rows=2)
    with pytest.raises(ValueError, match=r"data.block_images=null: these images are stored class by class; .*=1 reads"):
        photographed(root, ImageFolder)
    photographed(root, ImageFolder, block_images=1)


def test_a_balanced_order_of_groups_is_refused(root: Path) -> None:
    data = photographed(root, ImageFolder, order="balanced")
    with pytest.raises(ValueError, match=r"data.block_images=null: a balanced order reads no neighbours"):
        data.training_batches()
