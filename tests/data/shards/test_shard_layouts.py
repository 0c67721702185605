"""Shards are recognised, their images have the right classes, and what is wrong with them is named."""

import json
import os
import pickle
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from as_typed import here
from data.shards.sharded import in_shards, parquet_shards, pictures, tar_shards, write_tar

from cnnlit.data.duplicates import twins
from cnnlit.data.labels.class_ids import imagenet_ids
from cnnlit.data.shards import shard_layouts
from cnnlit.data.shards.shard_classes import is_imagenet
from cnnlit.data.sources.class_names import imagenet_names
from cnnlit.data.sources.folders import Listing
from cnnlit.data.sources.layouts import find_images
from cnnlit.data.sources.named_splits import Named

WNIDS = ["n00000001", "n00000002", "n00000003"]


def made(kind: str, photographs: Path, to: Path) -> Path:
    if kind == "parquet":
        return parquet_shards(photographs, to, size=10, rows=4)
    return tar_shards(photographs, to, size=10, label=kind)


def assert_are_those_of_folders(listing: Listing, photographs: Path) -> None:
    """Each image's pixels and label, part by part."""
    for images, split in ((listing.train, "train"), (listing.test, "val")):
        expected = pictures(photographs / split)
        assert images is not None
        assert images.labels.tolist() == [label for _, label in expected]
        assert len(set(images.names.tolist())) == len(images)
        for index, (path, _) in enumerate(expected):
            assert images.content(index) == path.read_bytes()  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["cls", "json", "key", "parquet"])
def test_shards_have_the_images_and_labels_of_the_class_folders_they_are_made_of(
    photographs: Path, tmp_path: Path, kind: str
) -> None:
    listing = find_images(made(kind, photographs, tmp_path / "shards"))
    assert listing.layout == ("parquet files" if kind == "parquet" else "tar shards")
    assert listing.classes == (["0", "1", "2"] if kind in ("cls", "json") else WNIDS)
    assert_are_those_of_folders(listing, photographs)


def test_classes_told_by_number_have_the_word_net_ids_that_their_names_begin_with(
    photographs: Path, tmp_path: Path
) -> None:
    for split in ("train", "val"):
        listed = pictures(photographs / split)
        members = {f"{path.stem}.jpg": path.read_bytes() for path, _ in listed}
        labels = {f"{path.stem}.cls": str(label).encode() for path, label in listed}
        both = sorted({**members, **labels}.items())
        write_tar(tmp_path / f"imagenet1k-{'validation' if split == 'val' else split}-0000.tar", dict(both))
    listing = find_images(tmp_path)
    assert listing.classes == WNIDS
    assert (len(listing.train), len(listing.test or ())) == (24, 12)


def test_names_of_classes_come_from_a_list_beside_the_shards(photographs: Path, tmp_path: Path) -> None:
    (tar_shards(photographs, tmp_path) / "classes.txt").write_text("cat\ndog\ncow\n")
    assert find_images(tmp_path).class_names == ["cat", "dog", "cow"]
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    with pytest.raises(ValueError, match="2 classes are named, and an image is of class number 2"):
        find_images(tmp_path)


def test_imagenets_classes_are_known_by_their_names_in_their_order() -> None:
    names = [f"{name}, another word" for name in imagenet_names()]
    assert is_imagenet(names)
    assert not is_imagenet(names[::-1])
    assert len(imagenet_ids()) == len(names)


@pytest.mark.parametrize("place", ["", "data"])
@pytest.mark.parametrize("folders", [True, False])
def test_shards_lie_in_folders_of_their_parts_or_are_named_after_them(
    photographs: Path, tmp_path: Path, folders: bool, place: str
) -> None:
    aside, root = tar_shards(photographs, tmp_path / "aside", size=10), tmp_path / "root"
    for path in aside.glob("*.tar"):
        split, _, rest = path.name.partition("-")
        to = root / place / (f"{split}/{rest}" if folders else path.name)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, to)
    assert_are_those_of_folders(find_images(root), photographs)


def test_shards_are_named_by_braces_and_patterns_through_the_command(photographs: Path, tmp_path: Path) -> None:
    tar_shards(photographs, tmp_path / "shards", size=10)
    words = ["data=folder", f"data.root={tmp_path / 'shards'}", "data.num_classes=3", "format=json", "doctor.seconds=0"]
    done = here(tmp_path, "doctor", *words, "data.train=train-{0000..0001}.tar", "data.test=val-*.tar")
    found = json.loads(done.stdout)
    assert (found["layout"], found["train"], found["test"]) == ("tar shards", 20, 12)
    refused = here(tmp_path, "doctor", *words, "data.train=train-{0000..0004}.tar")
    assert refused.returncode == 2
    assert "lacks 2 of 5 shards (train-0003.tar, train-0004.tar)" in refused.stderr


def test_an_index_is_made_once_and_anew_when_a_shard_has_changed(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tar_shards(photographs, tmp_path / "shards", size=10)
    find_images(root)
    kept = sorted((root / ".cnnlit").glob("*.json"))
    read: list[Any] = []

    original = shard_layouts.tar_samples
    monkeypatch.setattr(shard_layouts, "tar_samples", lambda *each: (read.append(each), original(*each))[1])
    find_images(root)
    assert not read
    write_tar(root / "val-0001.tar", {"x.jpg": pictures(photographs / "val")[0][0].read_bytes(), "x.cls": b"1"})
    listing = find_images(root)
    assert len(read) == 2  # the shards of val, and not those of train
    assert listing.test is not None
    assert listing.test.labels.tolist()[10:] == [1]
    assert len(sorted((root / ".cnnlit").glob("*.json"))) == len(kept)  # the older one has gone


def test_where_nothing_can_be_written_an_index_lies_in_the_cache(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tar_shards(photographs, tmp_path / "shards")
    (root / ".cnnlit").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert_are_those_of_folders(find_images(root), photographs)
    assert list((tmp_path / "cache" / "cnnlit" / "shards").glob("*.records.npy"))


def test_an_index_is_mapped_by_a_worker_and_not_handed_to_it(photographs: Path, tmp_path: Path) -> None:
    train = find_images(tar_shards(photographs, tmp_path, size=10)).train.subset(torch.tensor([21, 3]))
    pickled = pickle.dumps(train)
    there = pickle.loads(pickled)
    assert len(pickled) < 1500
    assert there.labels.tolist() == train.labels.tolist()
    assert (there.open(0).rgb() == train.open(0).rgb()).all()
    assert there._records.filename == train._records.filename  # type: ignore[attr-defined]


def cut(root: Path) -> None:
    path = root / "train-0001.tar"
    os.truncate(path, path.stat().st_size // 2)


def cut_in_rows(root: Path) -> None:
    path = next(root.glob("train-00001-*.parquet"))
    os.truncate(path, path.stat().st_size // 2)


def without_class(root: Path) -> None:
    write_tar(root / "train-0009.tar", {"picture.jpg": b"x"})


def with_two_images(root: Path) -> None:
    write_tar(root / "train-0009.tar", {"a.jpg": b"x", "a.png": b"y", "a.cls": b"1"})


def without_a_part(root: Path) -> None:
    write_tar(root / "more.tar", {"a.jpg": b"x", "a.cls": b"1"})


def of_another_class(root: Path) -> None:
    write_tar(root / "val-0009.tar", {"a.jpg": b"x", "a.cls": b"7"})


@pytest.mark.parametrize(
    ("kind", "spoil", "said"),
    [
        ("cls", cut, r"train-0001.tar is damaged or cut short \(its end is missing\); download or copy it again"),
        ("parquet", cut_in_rows, r"train-00001-of-00003.parquet is damaged or cut short"),
        ("cls", without_class, r"train-0009.tar tells no class of picture.jpg"),
        ("cls", with_two_images, r"train-0009.tar holds two images of one sample, a.jpg and a.png"),
        ("cls", without_a_part, r"the names of more.tar do not tell whether to train on them; data.train="),
        ("cls", of_another_class, r"val has images of 7, of which there are none to train on"),
    ],
)
def test_shards_with_something_wrong_are_named(
    photographs: Path, tmp_path: Path, kind: str, spoil: Callable[[Path], None], said: str
) -> None:
    root = made(kind, photographs, tmp_path / "shards")
    spoil(root)
    with pytest.raises(ValueError, match=said) as refused:
        find_images(root)
    assert "\n" not in str(refused.value)


def test_an_image_that_is_damaged_is_named_with_its_shard(photographs: Path, tmp_path: Path) -> None:
    root = tar_shards(photographs, tmp_path / "shards", size=10)
    train = find_images(root).train
    (root / "train-0002.tar").write_bytes(b"")
    said = r"000020.jpg in .*train-0002.tar cannot be read: the shard has become shorter"
    with pytest.raises(ValueError, match=said):
        train.open(20)


def test_extracted_class_folders_are_read_and_not_the_archive_beside_them(photographs: Path, tmp_path: Path) -> None:
    shutil.copytree(photographs, tmp_path / "root")
    with tarfile.open(tmp_path / "root" / "train.tar", "w") as tar:
        tar.add(photographs / "train", "train")
    assert find_images(tmp_path / "root").layout == "class folders"


def test_a_tar_of_class_folders_is_read_as_it_is(photographs: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "pets.tar", "w") as tar:
        tar.add(photographs / "train", "pets")
    listing = find_images(tmp_path, "folder")
    assert (listing.layout, len(listing.train), listing.classes, listing.test) == ("tar shards", 24, WNIDS, None)


def test_hub_files_whose_labels_are_withheld_are_not_used_and_this_is_said(photographs: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    root = parquet_shards(photographs, tmp_path / "data")
    table = parquet.read_table(next(root.glob("validation-*")))
    table = table.set_column(1, "label", pa.array([-1] * len(table)))
    parquet.write_table(table, root / "test-00000-of-00001.parquet")
    listing = find_images(tmp_path)
    assert (len(listing.train), len(listing.test or ()), listing.val) == (24, 12, None)
    assert any("test tells no classes, and is not used" in remark for remark in listing.remarks)


def test_named_shards_of_a_part_alone_leave_the_others_out(photographs: Path, tmp_path: Path) -> None:
    tar_shards(photographs, tmp_path, size=10)
    assert find_images(tmp_path, named=Named(train="train-*.tar")).test is None


def test_images_that_two_parts_of_shards_share_are_found(photographs: Path, tmp_path: Path) -> None:
    tar_shards(photographs, tmp_path, size=10)
    image, label = pictures(photographs / "train")[5]
    write_tar(tmp_path / "val-0009.tar", {"x.jpg": image.read_bytes(), "x.cls": str(label).encode()})
    listing = find_images(tmp_path)
    assert listing.test is not None
    (found,) = twins({"train": listing.train, "test": listing.test}, within=False, most=None)
    assert "x.jpg" in found.held
    assert "000005.jpg" in found.other


FOREIGN = {
    "mosaicml-streaming": {"index.json": {"version": 2, "shards": [{"format": "mds"}]}},
    "litdata": {"index.json": {"chunks": [], "config": {}}},
    "TFDS": {"features.json": {}, "dataset_info.json": {"name": "x", "splits": [{"name": "train"}]}},
}


@pytest.mark.parametrize("library", FOREIGN)
def test_sets_of_other_libraries_are_refused_by_name_with_the_line_that_converts_them(
    tmp_path: Path, library: str
) -> None:
    for name, content in FOREIGN[library].items():
        (tmp_path / name).write_text(json.dumps(content))
    done = here(tmp_path, "doctor", "data=folder", f"data.root={tmp_path}")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert f"is a set of {library}" in line
    assert 'python -c "' in line
    code = line.partition('python -c "')[2].rpartition('"')[0]
    compile(code, "converts", "exec")


def test_shards_hold_as_many_images_as_they_were_given(photographs: Path, tmp_path: Path) -> None:
    sizes = [len(shard) for shard in in_shards(pictures(photographs / "train"), 10)]
    train = find_images(tar_shards(photographs, tmp_path, size=10)).train
    assert torch.from_numpy(train._records["shard"].astype("int64")).bincount().tolist() == sizes  # type: ignore[attr-defined]
