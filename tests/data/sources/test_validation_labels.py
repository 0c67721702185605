"""Validation images in one folder are labelled by the lists beside them, or refused; no label is ever guessed."""

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
from data.sources.laid_out import ANSWERS, WNIDS, assert_flat, flat, numbered, touch, training, write

from cnnlit.data.sources.layouts import find_images


def test_a_flat_validation_folder_without_labels_is_refused(tmp_path: Path) -> None:
    flat(training(tmp_path) / "val")
    for root in (tmp_path, tmp_path / "val"):
        with pytest.raises(ValueError, match=r"6 images .* nothing tells their classes.*ILSVRC2012_devkit_t12.tar.gz"):
            find_images(root)


@pytest.mark.parametrize("place", ["ILSVRC2012_devkit_t12", "."])
@pytest.mark.parametrize("trained", [True, False])
def test_the_development_kit_labels_it(tmp_path: Path, kit: Any, place: str, trained: bool) -> None:
    flat(tmp_path / "val")
    write(tmp_path / place, kit(["n00000002", "n00000003", "n00000001"], ANSWERS))
    if trained:
        training(tmp_path)
    listing = find_images(tmp_path)
    assert listing.layout == "flat validation"
    assert listing.classes == WNIDS
    assert listing.class_names == [f"name of {wnid}" for wnid in WNIDS]
    assert len(listing.train) == (12 if trained else 0)
    assert_flat(listing)


def test_the_development_kits_archive_labels_it(tmp_path: Path, kit: Any, pack: Any) -> None:
    flat(training(tmp_path) / "val")
    files = kit(["n00000002", "n00000003", "n00000001"], ANSWERS)
    packed = {f"ILSVRC2012_devkit_t12/{name}": content for name, content in files.items()}
    pack(tmp_path / "ILSVRC2012_devkit_t12.tar.gz", packed)
    assert_flat(find_images(tmp_path))
    pack(tmp_path / "ILSVRC2012_devkit_t12.tar.gz", dict(list(packed.items())[:1]))
    with pytest.raises(ValueError, match=r"devkit_t12.tar.gz lacks data/ILSVRC2012_validation_ground_truth.txt"):
        find_images(tmp_path)
    (tmp_path / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(b"half")
    with pytest.raises(ValueError, match=r"devkit_t12.tar.gz is damaged"):
        find_images(tmp_path)


def test_the_folder_itself_may_be_flat_with_the_kit_beside_it(tmp_path: Path, kit: Any) -> None:
    write(tmp_path / "ILSVRC2012_devkit_t12", kit(WNIDS, ANSWERS))
    listing = find_images(flat(tmp_path / "images"))
    assert listing.layout == "flat validation"
    assert_flat(listing)


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("beside", [False, True])
def test_a_list_of_synsets_labels_it(tmp_path: Path, pairs: bool, beside: bool) -> None:
    flat(training(tmp_path) / "val")
    lines = [f"{numbered(number)} {wnid}" if pairs else wnid for number, wnid in enumerate(ANSWERS, 1)]
    if pairs:
        lines.reverse()
    place = tmp_path if beside else tmp_path / "val"
    (place / "labels.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "README.txt").write_text("nothing of this kind\n")
    assert_flat(find_images(tmp_path))


@pytest.mark.parametrize("told", ["kit", "list", "pairs", "Kaggle"])
def test_a_missing_image_moves_no_label(tmp_path: Path, kit: Any, told: str) -> None:
    flat(training(tmp_path) / "val")
    tell(tmp_path, told, kit)
    assert_flat(find_images(tmp_path))
    (tmp_path / "val" / numbered(2)).unlink()
    with pytest.raises(ValueError, match=r"5 images, and a list|1 are not there \(ILSVRC2012_val_00000002\)"):
        find_images(tmp_path)


@pytest.mark.parametrize("told", ["kit", "list", "pairs", "Kaggle"])
def test_an_image_of_another_name_moves_no_label(tmp_path: Path, kit: Any, told: str) -> None:
    flat(training(tmp_path) / "val")
    tell(tmp_path, told, kit)
    (tmp_path / "val" / numbered(2)).rename(tmp_path / "val" / numbered(9))
    with pytest.raises(ValueError, match=r"tells no class of ILSVRC2012_val_00000009.JPEG"):
        find_images(tmp_path)


def tell(folder: Path, how: str, kit: Any) -> None:
    """Tell the classes of the images in val/."""
    if how == "kit":
        write(folder, kit(WNIDS, ANSWERS))
    elif how == "Kaggle":
        solution(folder)
    else:
        lines = [f"{numbered(number)} {wnid}" if how == "pairs" else wnid for number, wnid in enumerate(ANSWERS, 1)]
        (folder / "labels.txt").write_text("\n".join(lines))


def test_lists_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    flat(training(tmp_path) / "val")
    (tmp_path / "one.txt").write_text("\n".join(ANSWERS))
    (tmp_path / "other.txt").write_text("\n".join(reversed(ANSWERS)))
    with pytest.raises(ValueError, match=r"one.txt, other.txt do not agree"):
        find_images(tmp_path)


def test_a_list_of_the_classes_is_none_of_the_images(tmp_path: Path) -> None:
    touch(*(tmp_path / "val" / numbered(number) for number in range(1, 201)))
    (tmp_path / "synsets.txt").write_text("\n".join(f"n{number:08d}" for number in range(200)))
    with pytest.raises(ValueError, match="nothing tells their classes"):
        find_images(tmp_path)


def test_a_flat_validation_of_other_classes_than_training_is_refused(tmp_path: Path) -> None:
    flat(training(tmp_path) / "val")
    shutil.rmtree(tmp_path / "train" / WNIDS[0])
    (tmp_path / "labels.txt").write_text("\n".join(ANSWERS))
    with pytest.raises(ValueError, match=r"train has 2 classes and val 3; in one alone: n00000001"):
        find_images(tmp_path)


def solution(folder: Path) -> None:
    with (folder / "LOC_val_solution.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ImageId", "PredictionString"])
        for number, wnid in reversed(list(enumerate(ANSWERS, 1))):
            writer.writerow([numbered(number).removesuffix(".JPEG"), f"{wnid} 85 1 499 272 {wnid} 3 4 5 6 "])
    lines = ["n00000001 tench, Tinca tinca\n", "n00000002 goldfish, Carassius auratus\n", "n00000003 white shark\n"]
    (folder / "LOC_synset_mapping.txt").write_text("".join(lines))


@pytest.mark.parametrize("root", ["", "ILSVRC", "ILSVRC/Data", "ILSVRC/Data/CLS-LOC"])
@pytest.mark.parametrize("csv_in", ["", "ILSVRC/Data/CLS-LOC"])
def test_kaggles_archive_is_recognised_from_any_of_its_folders(tmp_path: Path, root: str, csv_in: str) -> None:
    folder = tmp_path / "ILSVRC" / "Data" / "CLS-LOC"
    flat(training(folder) / "val")
    touch(*(folder / "test" / f"ILSVRC2012_test_{number:08d}.JPEG" for number in range(3)))
    touch(tmp_path / "ILSVRC" / "Annotations" / "CLS-LOC" / "val" / "a.xml")
    solution(tmp_path / csv_in)
    listing = find_images(tmp_path / root)
    assert listing.layout == "Kaggle"
    assert listing.class_names == ["tench", "goldfish", "white shark"]
    assert_flat(listing)


def test_kaggles_archive_with_sorted_validation_images_is_recognised(tmp_path: Path, photographs: Path) -> None:
    shutil.copytree(photographs, tmp_path / "ILSVRC" / "Data" / "CLS-LOC")
    solution(tmp_path)
    listing = find_images(tmp_path)
    assert (listing.layout, listing.class_names[0], len(listing.test or ())) == ("Kaggle", "tench", 12)


def test_a_damaged_solution_is_refused(tmp_path: Path) -> None:
    flat(training(tmp_path) / "val")
    (tmp_path / "LOC_val_solution.csv").write_text("ImageId,PredictionString\nILSVRC2012_val_00000001\n")
    with pytest.raises(ValueError, match=r"LOC_val_solution.csv: a line is not"):
        find_images(tmp_path)
