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
    from torchvision.models import AlexNet_Weights

    names = AlexNet_Weights.IMAGENET1K_V1.meta["categories"]
    known = {names.index(name): wnid for wnid, name in IMAGENETTE.items()}
    wnids = [known[0]]
    for place in range(1, 1000):
        wnids.append(known.get(place, f"n{int(wnids[-1][1:]) + 1:08d}"))
    for root, classes in (("thousand", wnids), ("other", [f"n{number:08d}" for number in range(1000)])):
        touch(*(tmp_path / root / split / wnid / "a.jpeg" for wnid in classes for split in ("train", "val")))
    assert find_images(tmp_path / "thousand").class_names == names
    assert find_images(tmp_path / "other").class_names[0] == "n00000000"


def test_imagewoof_has_names(tmp_path: Path) -> None:
    for wnid in IMAGEWOOF:
        touch(tmp_path / "train" / wnid / "a.JPEG", tmp_path / "val" / wnid / "b.JPEG")
    listing = find_images(tmp_path, "folder")
    assert listing.layout == "Imagewoof"
    assert listing.class_names == list(IMAGEWOOF.values())


def test_imagewoofs_names_are_those_that_imagenet_calls_them_by() -> None:
    theirs = dict(zip(imagenet_ids(), imagenet_names(), strict=True))
    assert {wnid: theirs[wnid] for wnid in IMAGEWOOF} == IMAGEWOOF
