"""doctor finds the image that is trained on and tested, whatever it is called."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from as_typed import here
from data.shards.sharded import parquet_shards
from data.sources.test_named_splits import lay_out

from cnnlit.data.duplicates import twins
from cnnlit.data.sources.layouts import find_images


def doctor(folder: Path, *words: str) -> Any:
    options = ("data=folder", "data.num_classes=2", "doctor.seconds=0", "format=json")
    shown = here(folder, "doctor", *options, *words)
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return lay_out(tmp_path / "pets", train="train", val="val", test="test")


def test_a_sound_set_has_no_twins(pets: Path) -> None:
    assert doctor(pets.parent, "data.root=pets")["twice"] == []


@pytest.mark.parametrize("scan", ["all", "sample"])
def test_a_file_in_train_and_test_is_named(pets: Path, scan: str) -> None:
    one, other = pets / "train" / "cat" / "train_3.png", pets / "test" / "dog" / "renamed.png"
    shutil.copy(one, other)
    assert doctor(pets.parent, "data.root=pets", f"doctor.scan={scan}")["twice"] == [[str(other), str(one)]]
    text = here(pets.parent, "doctor", "data=folder", "data.num_classes=2", "doctor.seconds=0", "data.root=pets").stdout
    assert "Twice: 1 pair of files with the same content" in text
    assert "renamed.png is" in " ".join(text.split())


def test_a_file_that_training_would_part_is_named_too(tmp_path: Path) -> None:
    """Where images to test with are held out of the same folder."""
    lay_out(tmp_path, train="pets")
    one, other = tmp_path / "pets" / "cat" / "train_0.png", tmp_path / "pets" / "cat" / "twin.png"
    shutil.copy(one, other)
    (found,) = doctor(tmp_path, "data.root=pets")["twice"]
    assert set(found) == {str(one), str(other)}


def test_files_of_one_size_are_no_twins_yet(tmp_path: Path) -> None:
    lay_out(tmp_path, train="train", test="test")
    for number, path in enumerate(sorted(tmp_path.rglob("*.png"))):
        path.write_bytes(path.read_bytes() + bytes(1000 - path.stat().st_size - 1) + bytes([number]))
    assert len({path.stat().st_size for path in tmp_path.rglob("*.png")}) == 1
    listing = find_images(tmp_path, "folder")
    assert listing.test is not None
    assert twins({"train": listing.train, "test": listing.test}, within=False, most=None) == []


def test_a_store_has_the_twins_of_its_images(pets: Path) -> None:
    shutil.copy(pets / "train" / "cat" / "train_3.png", pets / "val" / "cat" / "twin.png")
    made = here(pets.parent, "prepare", "data=folder", "data.num_classes=2", "data.root=pets", "prepare.to=store",
                "prepare.side=16")  # fmt: skip
    assert made.returncode == 0, made.stderr
    (found,) = doctor(pets.parent, "data.root=store")["twice"]
    assert any("cat/twin.png" in each for each in found)
    assert any("cat/train_3.png" in each for each in found)


def test_a_photograph_that_parquet_files_have_twice_is_found_by_reading_all_of_them(
    photographs: Path, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    originals = Path(shutil.copytree(photographs, tmp_path / "originals"))
    one = sorted((originals / "train").rglob("*.*"))[0]
    shutil.copy(one, originals / "val" / one.parent.name / f"twin{one.suffix}")
    parquet_shards(originals, tmp_path / "parquet")
    words = ("data.root=parquet", "data.num_classes=3")
    found = doctor(tmp_path, *words, "doctor.scan=all")
    (pair,) = found["twice"]
    assert {Path(each).name for each in pair} == {
        "validation-00000-of-00001.parquet",
        "train-00000-of-00001.parquet",
    }
    sampled = doctor(tmp_path, *words)
    assert sampled["twice"] == []
    assert any("doctor.scan=all reads all of them for it" in note for note in sampled["notes"])
