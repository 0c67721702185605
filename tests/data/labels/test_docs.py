"""What docs/data.md says of parts, labels and classes: each of its trees is made here, and read as it says."""

import re
from pathlib import Path

import pytest
from PIL import Image

from cnnlit.data.labels.class_ids import KnownClasses, imagenet_ids, matched, renamed
from cnnlit.data.labels.label_file import find_labelled
from cnnlit.data.sources.folders import Listing
from cnnlit.data.sources.layouts import find_images
from cnnlit.data.sources.named_splits import AS_USUAL, Named

DOCS = (Path(__file__).parents[3] / "docs" / "data.md").read_text().partition("## Parts, classes and labels")[2]
BLOCKS = re.findall(r"^```\n(.*?)^```", DOCS, re.DOTALL | re.MULTILINE)


def made(folder: Path, first: str) -> Path:
    """The tree of the docs whose first lines are these, made in a folder; text files hold the block after it."""
    number, tree = next((place, block) for place, block in enumerate(BLOCKS) if block.startswith(first))
    above = [folder]
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        path = above[depth] / line.strip()
        del above[depth + 1 :]
        if line.endswith("/"):
            path.mkdir(parents=True)
            above.append(path)
        elif path.suffix in (".csv", ".txt"):
            path.write_text(BLOCKS[number + 1])
        else:
            Image.new("RGB", (8, 8)).save(path, "JPEG")
    return folder / tree.splitlines()[0].strip("/")


def counts(listing: Listing) -> tuple[int, int | None, int | None]:
    val, test = (None if part is None else len(part) for part in (listing.val, listing.test))
    return len(listing.train), val, test


def test_there_are_as_many_trees_as_are_read_here() -> None:
    assert sum(block.partition("\n")[0].endswith("/") for block in BLOCKS) == 6


def test_parts_as_they_are_named(tmp_path: Path) -> None:
    assert counts(find_images(made(tmp_path, "pets/\n  train/"), "folder")) == (2, 2, 2)


def test_parts_of_other_names(tmp_path: Path) -> None:
    pets = made(tmp_path, "pets/\n  first/")
    assert counts(find_images(pets, "folder", Named("first", "second", "third"))) == (2, 2, 2)


def test_two_sets_in_one_root(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds 2 sets, imagenetv2-matched-frequency-format-val and ILSVRC2012"):
        find_images(made(tmp_path, "data/"), "imagenet")


def test_a_table_of_labels(tmp_path: Path) -> None:
    listing = find_labelled(made(tmp_path, "pets/\n  images/"), "labels.csv", AS_USUAL)
    assert counts(listing) == (2, None, 1)
    assert listing.classes == ["cat", "dog"]


def test_a_class_map(tmp_path: Path) -> None:
    colours = made(tmp_path, "colours/")
    listing = renamed(find_images(colours, "folder"), str(colours / "map.txt"))
    assert listing.classes == ["n01440764", "n01443537"]


def test_imagenetv2(tmp_path: Path) -> None:
    found = find_images(made(tmp_path, "imagenetv2-"), "imagenet")
    with pytest.raises(ValueError, match=r"data\.class_map=imagenetv2 of ImageNetV2's numbers"):
        matched(found, KnownClasses(imagenet_ids(), imagenet_ids()), {"num_classes": 1000})
    listing = renamed(found, "imagenetv2")
    ids = imagenet_ids()
    _, absent, _ = matched(listing, KnownClasses(ids, ids), {"num_classes": 1000})
    assert absent == list(range(2, 1000))
