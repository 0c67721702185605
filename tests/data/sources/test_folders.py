"""Images in folders are listed in one order, and nothing that lies beside them is taken for one of them."""

from pathlib import Path

import pytest
import torch

from cnnlit.data.sources.folders import folders_in, images_in, list_images
from cnnlit.data.sources.layouts import find_images


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_the_order_does_not_depend_on_the_disk(photographs: Path, tmp_path: Path) -> None:
    for path in sorted(photographs.rglob("*.JPEG"), reverse=True):
        touch(tmp_path / path.relative_to(photographs))
    here, there = find_images(tmp_path), find_images(photographs)
    assert (here.train.names == there.train.names).all()


def test_a_subset_keeps_names_and_labels_together(photographs: Path) -> None:
    train = find_images(photographs).train
    chosen = train.subset(torch.tensor([20, 3]))
    assert [chosen.path(0), chosen.path(1)] == [train.path(20), train.path(3)]
    assert chosen.labels.tolist() == [2, 0]


def test_names_that_are_no_ascii_are_found(tmp_path: Path) -> None:
    touch(tmp_path / "train" / "Bär" / "süß.png", tmp_path / "val" / "Bär" / "é.JPG")
    listing = find_images(tmp_path)
    assert listing.classes == ["Bär"]
    assert listing.test is not None
    assert Path(listing.train.path(0)).is_file()
    assert Path(listing.test.path(0)).is_file()


def test_what_lies_beside_images_is_passed_over(tmp_path: Path) -> None:
    touch(*(tmp_path / "a" / name for name in ("1.JPEG", "2.jpeg", "3.JPG", "4.png", "5.WebP", "6.bmp")))
    touch(*(tmp_path / "a" / name for name in ("Thumbs.db", "notes.txt", ".DS_Store", "._1.JPEG", "7.JPEG.part", "8")))
    assert images_in(tmp_path / "a") == ["1.JPEG", "2.jpeg", "3.JPG", "4.png", "5.WebP", "6.bmp"]


def test_folders_that_are_no_classes_are_passed_over(tmp_path: Path) -> None:
    for name in ("b", "a", ".git", "__MACOSX", "@eaDir", "lost+found"):
        (tmp_path / name).mkdir()
    (tmp_path / "c").symlink_to(tmp_path / "a")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "broken").symlink_to("nowhere")
    touch(tmp_path / "file")
    assert folders_in(tmp_path) == ["a", "b", "c"]


def test_a_link_in_a_loop_below_a_class_ends(photographs: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        touch(tmp_path / name / "1.JPEG")
        (tmp_path / name / "again").symlink_to(tmp_path)
    assert len(find_images(tmp_path).train) == 2


def test_what_is_named_like_an_image_and_is_none_is_refused_by_its_path_when_it_is_opened(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "1.JPEG", tmp_path / "b" / "1.JPEG")
    (tmp_path / "b" / "2.JPEG").mkdir()
    (tmp_path / "b" / "3.JPEG").symlink_to("3.JPEG")
    train = find_images(tmp_path).train
    assert train.labels.tolist() == [0, 1, 1, 1]
    for index, name in enumerate(("a/1.JPEG", "b/1.JPEG", "b/2.JPEG", "b/3.JPEG")):
        with pytest.raises(ValueError, match=rf"{tmp_path}/{name} cannot be read"):
            train.open(index).rgb()


def test_a_class_whose_folder_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no images of class a"):
        list_images(tmp_path, [("a", "a")])
