"""The parts of a set are used as they are named, whatever they are called; what is not used is said."""

import json
from pathlib import Path

import pytest
from as_typed import here
from data.sources.laid_out import WNIDS, touch
from PIL import Image

from cnnlit.data.sources.folders import Listing
from cnnlit.data.sources.layouts import find_images
from cnnlit.data.sources.named_splits import Named

COUNTS = {"train": 7, "val": 3, "test": 2}
"""Images of each class in a part."""

CLASSES = ("cat", "dog")


def lay_out(folder: Path, **called: str) -> Path:
    """Parts of a set under other names, with as many pictures of each class as COUNTS says."""
    for number, (part, name) in enumerate(called.items()):
        for kind, colour in zip(CLASSES, (200, 40), strict=True):
            (folder / name / kind).mkdir(parents=True)
            for index in range(COUNTS[part]):
                shown = Image.new("RGB", (24, 24), (colour, 10 * index, 60 * number))
                shown.save(folder / name / kind / f"{part}_{index}.png")
    return folder


def counts(listing: Listing) -> tuple[int, int | None, int | None]:
    val, test = (None if part is None else len(part) for part in (listing.val, listing.test))
    return len(listing.train), val, test


@pytest.mark.parametrize(
    ("called", "expected"),
    [
        ({"train": "train", "val": "val", "test": "test"}, (14, 6, 4)),
        ({"train": "train", "val": "valid", "test": "test"}, (14, 6, 4)),
        ({"train": "Training", "val": "validation", "test": "Testing"}, (14, 6, 4)),
        ({"train": "train", "val": "dev", "test": "eval"}, (14, 6, 4)),
        ({"train": "train", "val": "valid"}, (14, None, 6)),
        ({"train": "train", "val": "dev"}, (14, None, 6)),
        ({"train": "train", "test": "eval"}, (14, None, 4)),
        ({"train": "train", "test": "test"}, (14, None, 4)),
    ],
    ids=lambda given: "-".join(given.values()) if isinstance(given, dict) else "",
)
def test_parts_are_used_as_they_are_named(
    tmp_path: Path, called: dict[str, str], expected: tuple[int, int | None, int | None]
) -> None:
    listing = find_images(lay_out(tmp_path, **called), "folder")
    assert counts(listing) == expected
    assert listing.classes == list(CLASSES)
    for part, images in (("train", listing.train), ("val", listing.val), ("test", listing.test)):
        if images is not None:
            assert {Path(images.path(index)).parents[1].name for index in range(len(images))} == {
                called.get(part) or called["val"]
            }


def test_options_name_other_parts(tmp_path: Path) -> None:
    lay_out(tmp_path, train="first", val="second", test="third")
    assert counts(find_images(tmp_path, "folder", Named("first", "second", "third"))) == (14, 6, 4)
    assert counts(find_images(tmp_path, "folder", Named("first", "second"))) == (14, 6, None)
    assert counts(find_images(tmp_path, "folder", Named("first", None, "third"))) == (14, None, 4)
    with pytest.raises(FileNotFoundError, match=r"data.val=fourth: there is no folder .* holds first, second, third"):
        find_images(tmp_path, "folder", Named("first", "fourth"))


def test_parts_may_lie_in_the_root_itself_and_anywhere(tmp_path: Path) -> None:
    lay_out(tmp_path, train="pets", test="elsewhere/tested")
    named = Named(train=".", test=str(tmp_path / "elsewhere" / "tested"))
    assert counts(find_images(tmp_path / "pets", "folder", named)) == (14, None, 4)


def test_a_validation_set_that_is_named_is_not_tested(tmp_path: Path) -> None:
    lay_out(tmp_path, train="train", val="val")
    assert counts(find_images(tmp_path, "folder", Named(val="val"))) == (14, 6, None)
    assert counts(find_images(tmp_path, "folder", Named(test="val"))) == (14, None, 6)


def test_two_folders_of_one_part_are_refused_until_one_is_chosen(tmp_path: Path) -> None:
    lay_out(tmp_path, train="train", val="val", test="valid")
    with pytest.raises(ValueError, match=r"has both val and valid; data\.val=val chooses"):
        find_images(tmp_path, "folder")
    assert counts(find_images(tmp_path, "folder", Named(val="val", test="valid"))) == (14, 6, 4)


def test_what_is_not_used_is_said(tmp_path: Path) -> None:
    lay_out(tmp_path, train="train", val="val")
    touch(tmp_path / "test" / "1.png", tmp_path / "test" / "2.png")  # without classes, as ImageNet's are
    listing = find_images(tmp_path, "folder")
    assert counts(listing) == (14, None, 6)
    assert any("test in" in each and "not used" in each for each in listing.remarks)
    assert any("val is for the test" in each for each in listing.remarks)


def test_version_0_1_0_saw_other_parts_and_its_runs_go_on_with_them(tmp_path: Path) -> None:
    lay_out(tmp_path, train="train", val="val", test="test")
    assert counts(find_images(tmp_path, "folder", as_0_1=True)) == (14, None, 6)


TRAINING = (
    "train", "model=resnet_cifar", "model.depth=8", "data=folder", "data.num_classes=2", "data.image_size=24",
    "data.num_workers=0", "recipe=modern_images", "recipe/schedule=constant", "recipe.batch_size=4", "recipe.epochs=1",
    "logger=none", "trainer=cpu",
)  # fmt: skip


def test_a_run_trains_validates_and_tests_on_the_named_parts_and_says_so(tmp_path: Path) -> None:
    lay_out(tmp_path / "pets", train="train", val="valid", test="test")
    shown = here(tmp_path, *TRAINING, "data.root=pets", "hydra.run.dir=run")
    assert shown.returncode == 0, shown.stderr
    said = " ".join((shown.stdout + shown.stderr).split())
    assert "14 train, 6 val, 4 test images" in said
    assert "valid is for validation, in place of data.val_split; test is for the test" in said
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert any("valid is for validation" in each for each in record["data_remarks"])


def test_doctor_counts_each_part_under_its_name_and_names_what_is_unused(tmp_path: Path) -> None:
    lay_out(tmp_path, train="train", val="val", test="test")
    words = ("doctor", "data=folder", f"data.root={tmp_path}", "data.num_classes=2", "doctor.seconds=0")
    found = json.loads(here(tmp_path, *words, "format=json").stdout)
    assert (found["train"], found["val"], found["test"]) == (14, 6, 4)
    for path in sorted(tmp_path.glob("val/*/*")) + sorted(tmp_path.glob("val/*")):
        path.unlink() if path.is_file() else path.rmdir()
    (tmp_path / "val").rmdir()
    found = json.loads(here(tmp_path, *words, "format=json").stdout)
    assert (found["train"], found["val"], found["test"]) == (14, 0, 4)
    text = here(tmp_path, *words, "data.test=test", "data.train=train").stdout
    assert "test" in text
    assert found["problems"] == []


def test_a_store_keeps_all_three_parts(tmp_path: Path) -> None:
    lay_out(tmp_path / "pets", train="train", val="val", test="test")
    words = ("data=folder", "data.num_classes=2")
    made = here(tmp_path, "prepare", *words, "data.root=pets", "prepare.to=store", "prepare.side=16")
    assert made.returncode == 0, made.stderr
    assert counts(find_images(tmp_path / "store", "folder")) == (14, 6, 4)
    refused = here(tmp_path, "doctor", *words, "data.root=store", "data.val=val", "doctor.seconds=0")
    assert refused.returncode == 2
    assert "data.val=val" in refused.stderr
    assert "a store, which has parts of its own" in refused.stderr


def test_two_sets_in_one_root_are_refused_with_both_names(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "ImageNet-2012").symlink_to(photographs)
    v2 = tmp_path / "imagenetv2-matched-frequency-format-val"
    touch(*(v2 / wnid / "1.jpeg" for wnid in WNIDS))
    with pytest.raises(ValueError, match=r"holds 2 sets, imagenetv2-\S+-val and ImageNet-2012; point data.root"):
        find_images(tmp_path, "imagenet")
    assert find_images(v2, "imagenet").test is None
