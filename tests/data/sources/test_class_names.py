"""Classes have the names that are known for their ids."""

from pathlib import Path

from data.sources.laid_out import touch

from cnnlit.data.labels.class_ids import imagenet_ids
from cnnlit.data.sources.class_names import IMAGENETTE, IMAGEWOOF, imagenet_names
from cnnlit.data.sources.layouts import find_images


def test_imagenette_is_recognised_and_has_names(tmp_path: Path) -> None:
    for wnid in IMAGENETTE:
        touch(tmp_path / "imagenette2-320" / "train" / wnid / "a.JPEG")
        touch(tmp_path / "imagenette2-320" / "val" / wnid / "b.JPEG")
    touch(tmp_path / "imagenette2-320" / "noisy_imagenette.csv")
    listing = find_images(tmp_path, "imagenette")
    assert listing.layout == "Imagenette"
    assert listing.class_names[:2] == ["tench", "English springer"]
    assert len(listing.train) == len(listing.test or ()) == 10


def test_the_thousand_have_imagenets_names_and_another_thousand_have_not(tmp_path: Path) -> None:
    for root, classes in (("thousand", imagenet_ids()), ("other", [f"n{number:08d}" for number in range(1000)])):
        touch(*(tmp_path / root / split / wnid / "a.jpeg" for wnid in classes for split in ("train", "val")))
    assert find_images(tmp_path / "thousand").class_names == imagenet_names()
    assert find_images(tmp_path / "other").class_names[0] == "n00000000"


def test_some_of_imagenets_classes_have_their_names_and_a_class_beside_them_its_id(tmp_path: Path) -> None:
    touch(*(tmp_path / wnid / "a.jpeg" for wnid in ("n01443537", "n02056570", "n09999999")))
    assert find_images(tmp_path, "folder").class_names == ["goldfish", "king penguin", "n09999999"]


def test_imagewoof_has_names(tmp_path: Path) -> None:
    for wnid in IMAGEWOOF:
        touch(tmp_path / "train" / wnid / "a.JPEG", tmp_path / "val" / wnid / "b.JPEG")
    listing = find_images(tmp_path, "folder")
    assert listing.layout == "Imagewoof"
    assert listing.class_names == list(IMAGEWOOF.values())


def test_the_names_of_the_tens_are_those_that_imagenet_calls_them_by() -> None:
    theirs = dict(zip(imagenet_ids(), imagenet_names(), strict=True))
    for ten in (IMAGENETTE, IMAGEWOOF):
        assert {wnid: theirs[wnid] for wnid in ten} == ten
