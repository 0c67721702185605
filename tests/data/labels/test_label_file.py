"""Labels from a table: every image has the label that its line says, and what is missing on either side is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from as_typed import here
from data.sources.test_named_splits import TRAINING
from PIL import Image

from cnnlit.data.labels.label_file import find_labelled
from cnnlit.data.sources.folders import Listing
from cnnlit.data.sources.named_splits import AS_USUAL, Named

ANSWERS = {f"{number:02d}.png": ("cat", "dog", "ape")[number % 3] for number in range(12)}


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Twelve pictures in one folder, images/."""
    (tmp_path / "images").mkdir()
    for number, name in enumerate(ANSWERS):
        Image.new("RGB", (24, 24), (20 * number, 10, 80 * (number % 3))).save(tmp_path / "images" / name)
    return tmp_path


def told(listing: Listing) -> dict[str, str]:
    labels = listing.train.labels.tolist()
    return {Path(listing.train.path(index)).name: listing.classes[label] for index, label in enumerate(labels)}


def table(header: str, line: Callable[[str, str], str]) -> str:
    return header + "".join(line(name, label) + "\n" for name, label in ANSWERS.items())


FORMS = {
    "header.csv": table("path,label\n", lambda name, label: f"images/{name},{label}"),
    "none.csv": table("", lambda name, label: f"images/{name},{label}"),
    "other_order.csv": table("Class,x,Filename\n", lambda name, label: f"{label},0.5,images/{name}"),
    "tabs.tsv": table("file_name\tlabel\n", lambda name, label: f"./images/{name}\t{label}"),
    "semicolons.csv": table("path;label\n", lambda name, label: f"images/{name};{label}"),
    "without_suffix.csv": table("id,breed\n", lambda name, label: f"images/{name[:2]},{label}"),
    "windows.csv": table("﻿path,label\n", lambda name, label: f"images\\{name},{label}"),
    "lines.jsonl": table("", lambda name, label: json.dumps({"file_name": f"images/{name}", "label": label})),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_image_has_the_label_of_its_line(pets: Path, form: str) -> None:
    (pets / form).write_text(FORMS[form])
    listing = find_labelled(pets, form, AS_USUAL)
    assert told(listing) == ANSWERS
    assert listing.classes == ["ape", "cat", "dog"]
    assert listing.remarks == ()


def test_paths_may_be_relative_to_a_folder_of_images(pets: Path) -> None:
    (pets / "labels.csv").write_text(table("path,label\n", lambda name, label: f"{name},{label}"))
    assert told(find_labelled(pets, "labels.csv", Named("images"))) == ANSWERS


def test_numbers_are_sorted_by_size_and_images_split_by_a_column(pets: Path) -> None:
    parts = ("train",) * 6 + ("valid",) * 3 + ("test",) * 3
    lines = [
        f"images/{name},{9 + number % 3},{part}" for number, (name, part) in enumerate(zip(ANSWERS, parts, strict=True))
    ]
    (pets / "labels.csv").write_text("path,label,split\n" + "\n".join(lines))
    listing = find_labelled(pets, "labels.csv", AS_USUAL)
    assert listing.classes == ["9", "10", "11"]
    assert listing.val is not None
    assert listing.test is not None
    assert [part.labels.tolist() for part in (listing.train, listing.val, listing.test)] == [
        [0, 1, 2] * 2,
        [0, 1, 2],
        [0, 1, 2],
    ]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("images/99.png,cat\n", r"labels 1 images that are not in \S+: images/99.png"),
        ("images/00.png,dog\n", "labels 1 images more than once: images/00.png"),
        ("images/00.png\n", "line 14 has 1 columns"),
        (",cat\n", "line 14 has no path"),
        ("images/00.png,\n", "line 14 has no label"),
    ],
)
def test_a_line_that_is_wrong_is_named(pets: Path, lines: str, says: str) -> None:
    (pets / "labels.csv").write_text(FORMS["header.csv"] + lines)
    with pytest.raises((ValueError, FileNotFoundError), match=says):
        find_labelled(pets, "labels.csv", AS_USUAL)


def test_a_table_that_is_not_there_or_tells_of_an_unknown_split_or_class_is_refused(pets: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"data\.labels=nowhere.csv: there is no such file in"):
        find_labelled(pets, "nowhere.csv", AS_USUAL)
    (pets / "labels.csv").write_text("path,label,split\nimages/00.png,cat,somewhere\n")
    with pytest.raises(ValueError, match="line 2 has the split somewhere; must be one of train, val, test"):
        find_labelled(pets, "labels.csv", AS_USUAL)
    (pets / "labels.csv").write_text("path,label,split\nimages/00.png,cat,train\nimages/01.png,dog,test\n")
    with pytest.raises(ValueError, match="test has classes that train has not: dog"):
        find_labelled(pets, "labels.csv", AS_USUAL)
    with pytest.raises(ValueError, match=r"data\.test=images: data.labels=labels.csv tells what is for what"):
        find_labelled(pets, "labels.csv", Named(test="images"))


def test_a_run_trains_on_a_table_and_says_what_has_no_label(pets: Path) -> None:
    (pets / "labels.csv").write_text(FORMS["header.csv"].replace("images/11.png,ape\n", ""))
    words: Any = [word for word in TRAINING if word != "data.num_classes=2"]
    shown = here(pets, *words, "data.num_classes=3", "data.root=.", "data.labels=labels.csv", "data.val_split=0",
                 "data.test_split=3", "hydra.run.dir=run")  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    said = " ".join((shown.stdout + shown.stderr).split())
    assert "8 train, 3 test images" in said
    assert "1 image has no label in" in said
    assert "left out: images/11.png" in said
    words = ("doctor", "data=folder", "data.root=.", "data.labels=labels.csv", "data.num_classes=3", "doctor.seconds=0")
    found = json.loads(here(pets, *words, "format=json").stdout)
    assert (found["layout"], found["train"], found["classes"]) == ("labels in labels.csv", 11, 3)
    assert any("images/11.png" in note for note in found["notes"])


def test_a_table_is_refused_where_it_would_have_no_effect(tmp_path: Path) -> None:
    shown = here(tmp_path, "train", "data=synthetic", "data.labels=labels.csv")
    assert shown.returncode == 2
    assert "data.labels" in shown.stderr
