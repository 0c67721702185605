"""Pictures are found with their classes, in order, or it is said what is missing."""

import shutil
from pathlib import Path

import pytest
import torch

from cnnlit.data.image_folders import list_class_folders, list_tiny_imagenet

WNIDS = ["n00000001", "n00000002", "n00000003"]


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Tiny ImageNet's layout without a pixel: 3 classes of 4 training and 2 validation pictures."""
    folder = tmp_path / "tiny-imagenet-3"
    for wnid in reversed(WNIDS):
        touch(folder / "train" / wnid / f"{wnid}_boxes.txt")
        touch(*(folder / "train" / wnid / "images" / f"{wnid}_{number}.JPEG" for number in range(4)))
    touch(*(folder / "val" / "images" / f"val_{number}.JPEG" for number in range(6)))
    rows = [f"val_{number}.JPEG\t{WNIDS[number % 3]}\t0\t32\t44\t62\n" for number in range(6)]
    (folder / "val" / "val_annotations.txt").write_text("".join(rows))
    (folder / "words.txt").write_text("n00000002\ttabby, tabby cat\nn00000001\tgoldfish\nn99999999\tother\n")
    return folder


@pytest.mark.parametrize("below", [True, False])
def test_tiny_imagenet_is_found_at_the_root_or_below(tiny: Path, below: bool) -> None:
    listing = list_tiny_imagenet(tiny.parent if below else tiny)
    assert listing.classes == WNIDS
    assert listing.class_names == ["goldfish", "tabby", "n00000003"]
    assert listing.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    for index, label in enumerate(listing.train.labels.tolist()):
        path = Path(listing.train.path(index))
        assert path.is_file()
        assert path.parents[1].name == WNIDS[label]


def test_tiny_imagenets_validation_is_labelled_by_its_annotations(tiny: Path) -> None:
    test = list_tiny_imagenet(tiny).test
    assert {Path(test.path(index)).name: int(test.labels[index]) for index in range(len(test))} == {
        f"val_{number}.JPEG": number % 3 for number in range(6)
    }
    assert Path(test.path(0)).is_file()


def test_an_annotation_of_an_unknown_class_is_refused(tiny: Path) -> None:
    (tiny / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn00000007\t0\t0\t9\t9\n")
    with pytest.raises(ValueError, match=r"val_annotations.txt: val_0.JPEG n00000007 names no class"):
        list_tiny_imagenet(tiny)


def test_an_annotated_picture_that_is_missing_is_refused(tiny: Path) -> None:
    (tiny / "val" / "images" / "val_3.JPEG").unlink()
    with pytest.raises(ValueError, match=r"images lacks val_3.JPEG"):
        list_tiny_imagenet(tiny)


def test_class_folders_are_found_at_the_root_or_below(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "imagenet-sample").mkdir()  # of another layout
    (tmp_path / "imagenet2012").symlink_to(photographs)
    for root in (photographs, tmp_path):
        listing = list_class_folders(root)
        assert listing.classes == listing.class_names == WNIDS
        assert listing.train.labels.bincount().tolist() == [8, 8, 8]
        assert listing.test.labels.bincount().tolist() == [4, 4, 4]
        for files in (listing.train, listing.test):
            for index, label in enumerate(files.labels.tolist()):
                assert Path(files.path(index)).parent.name == WNIDS[label]


def test_the_order_does_not_depend_on_the_disk(photographs: Path, tmp_path: Path) -> None:
    for path in sorted(photographs.rglob("*.JPEG"), reverse=True):
        touch(tmp_path / path.relative_to(photographs))
    here, there = list_class_folders(tmp_path), list_class_folders(photographs)
    assert (here.train.names == there.train.names).all()


def test_a_subset_keeps_names_and_labels_together(photographs: Path) -> None:
    train = list_class_folders(photographs).train
    chosen = train.subset(torch.tensor([20, 3]))
    assert [chosen.path(0), chosen.path(1)] == [train.path(20), train.path(3)]
    assert chosen.labels.tolist() == [2, 0]


def test_names_that_are_no_ascii_are_found(tmp_path: Path) -> None:
    touch(tmp_path / "train" / "Bär" / "süß.png", tmp_path / "val" / "Bär" / "é.JPG")
    listing = list_class_folders(tmp_path)
    assert listing.classes == ["Bär"]
    assert Path(listing.train.path(0)).is_file()
    assert Path(listing.test.path(0)).is_file()


def test_a_thousand_wordnet_classes_have_imagenets_names(tmp_path: Path) -> None:
    for number in range(1000):
        touch(*(tmp_path / split / f"n{number:08d}" / "a.jpeg" for split in ("train", "val")))
    names = list_class_folders(tmp_path).class_names
    assert (names[0], names[1], names[999]) == ("tench", "goldfish", "toilet tissue")


def test_nothing_there_is_one_line_that_says_what_was_looked_for_and_where(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        list_class_folders(tmp_path / "nowhere")
    for words in ("train/<class>/*.JPEG", "val/<class>", str(tmp_path / "nowhere"), "image-net.org", "data=synthetic"):
        assert words in str(missing.value)
    with pytest.raises(FileNotFoundError) as missing:
        list_tiny_imagenet(tmp_path)
    for words in ("val_annotations.txt", str(tmp_path), "tiny-imagenet-200.zip", "data=synthetic"):
        assert words in str(missing.value)
    assert "\n" not in str(missing.value)


def test_training_and_validation_of_other_classes_are_refused(photographs: Path, tmp_path: Path) -> None:
    shutil.copytree(photographs, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "val" / WNIDS[1])
    with pytest.raises(ValueError, match=r"train has 3 classes and val 2; in one alone: n00000002"):
        list_class_folders(tmp_path)


def test_a_flat_validation_folder_is_refused_and_not_taken_for_a_class(photographs: Path, tmp_path: Path) -> None:
    shutil.copytree(photographs / "train", tmp_path / "train")
    touch(*(tmp_path / "val" / f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(9)))
    with pytest.raises(ValueError, match=r"train has 3 classes and val 0"):
        list_class_folders(tmp_path)


def test_a_class_without_pictures_is_refused(photographs: Path, tmp_path: Path) -> None:
    shutil.copytree(photographs, tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "train" / WNIDS[2]).iterdir():
        path.rename(path.with_suffix(".txt"))
    with pytest.raises(ValueError, match=r"n00000003 holds no pictures"):
        list_class_folders(tmp_path)
