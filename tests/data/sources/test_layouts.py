"""Each layout is recognised from its folder alone, with the right classes; what is none of them is refused and told."""

import csv
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cnnlit.data.sources import layouts
from cnnlit.data.sources.class_names import IMAGENETTE
from cnnlit.data.sources.folders import ImageFiles, Listing
from cnnlit.data.sources.layouts import find_images

WNIDS = ["n00000001", "n00000002", "n00000003"]
ANSWERS = ["n00000003", "n00000001", "n00000001", "n00000002", "n00000003", "n00000002"]
"""The class of each validation image."""


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def numbered(number: int) -> str:
    return f"ILSVRC2012_val_{number:08d}.JPEG"


def training(folder: Path, count: int = 4) -> Path:
    """train/<wnid>/<wnid>_<number>.JPEG, without a pixel."""
    touch(*(folder / "train" / wnid / f"{wnid}_{number}.JPEG" for wnid in reversed(WNIDS) for number in range(count)))
    return folder


def flat(folder: Path) -> Path:
    touch(*(folder / numbered(number) for number in reversed(range(1, 7))))
    return folder


def by_name(files: ImageFiles | None, classes: list[str]) -> dict[str, str]:
    """The class of each file, which has to be there."""
    assert files is not None
    paths = [Path(files.path(index)) for index in range(len(files))]
    assert all(path.exists() for path in paths)
    return {path.name: classes[label] for path, label in zip(paths, files.labels.tolist(), strict=True)}


def assert_flat(listing: Listing) -> None:
    assert by_name(listing.test, listing.classes) == {numbered(n): wnid for n, wnid in enumerate(ANSWERS, 1)}


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Tiny ImageNet's layout without a pixel: 3 classes of 4 training and 2 validation images."""
    folder = tmp_path / "tiny-imagenet-3"
    for wnid in reversed(WNIDS):
        touch(folder / "train" / wnid / f"{wnid}_boxes.txt")
        touch(*(folder / "train" / wnid / "images" / f"{wnid}_{number}.JPEG" for number in range(4)))
    touch(*(folder / "val" / "images" / f"val_{number}.JPEG" for number in range(6)))
    rows = [f"val_{number}.JPEG\t{WNIDS[number % 3]}\t0\t32\t44\t62\n" for number in range(6)]
    (folder / "val" / "val_annotations.txt").write_text("".join(rows))
    (folder / "words.txt").write_text("n00000002\ttabby, tabby cat\nn00000001\tgoldfish\nn99999999\tother\n")
    return folder


# Tiny ImageNet


@pytest.mark.parametrize("below", [True, False])
def test_tiny_imagenet_is_found_at_the_root_or_below(tiny: Path, below: bool) -> None:
    listing = find_images(tiny.parent if below else tiny, "tiny_imagenet")
    assert listing.layout == "Tiny ImageNet"
    assert listing.classes == WNIDS
    assert listing.class_names == ["goldfish", "tabby", "n00000003"]
    assert listing.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    for index, label in enumerate(listing.train.labels.tolist()):
        path = Path(listing.train.path(index))
        assert path.is_file()
        assert path.parents[1].name == WNIDS[label]


def test_tiny_imagenets_validation_is_labelled_by_its_annotations(tiny: Path) -> None:
    listing = find_images(tiny)
    expected = {f"val_{number}.JPEG": WNIDS[number % 3] for number in range(6)}
    assert by_name(listing.test, listing.classes) == expected


def test_an_annotation_of_an_unknown_class_is_refused(tiny: Path) -> None:
    (tiny / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn00000007\t0\t0\t9\t9\n")
    with pytest.raises(ValueError, match=r"val_annotations.txt: val_0.JPEG n00000007 names no class"):
        find_images(tiny)


def test_an_annotated_image_that_is_missing_is_refused(tiny: Path) -> None:
    (tiny / "val" / "images" / "val_3.JPEG").unlink()
    with pytest.raises(ValueError, match=r"images lacks val_3.JPEG"):
        find_images(tiny)


def test_an_image_that_no_annotation_names_is_refused(tiny: Path) -> None:
    touch(tiny / "val" / "images" / "val_6.JPEG")
    with pytest.raises(ValueError, match=r"tells no class of val_6.JPEG"):
        find_images(tiny)


def test_the_real_tiny_imagenet_is_recognised(real_tiny_imagenet: Path) -> None:
    listing = find_images(real_tiny_imagenet / "tiny-imagenet-10")
    assert (listing.layout, len(listing.train), len(listing.test or ())) == ("Tiny ImageNet", 5000, 500)
    assert listing.class_names[:2] == ["goldfish", "king penguin"]


# Class folders


@pytest.mark.parametrize("validation", ["val", "validation"])
def test_class_folders_are_found_at_the_root_or_below(photographs: Path, tmp_path: Path, validation: str) -> None:
    folder = tmp_path / "elsewhere"
    shutil.copytree(photographs, folder)
    (folder / "val").rename(folder / validation)
    (tmp_path / "imagenet-sample").mkdir()  # of another layout
    (tmp_path / "imagenet2012").symlink_to(folder)
    for root in (folder, tmp_path):
        listing = find_images(root)
        assert listing.layout == "class folders"
        assert listing.classes == listing.class_names == WNIDS
        assert listing.test is not None
        assert listing.train.labels.bincount().tolist() == [8, 8, 8]
        assert listing.test.labels.bincount().tolist() == [4, 4, 4]
        for files in (listing.train, listing.test):
            for index, label in enumerate(files.labels.tolist()):
                assert Path(files.path(index)).parent.name == WNIDS[label]


def test_imagenet_is_not_looked_for_in_imagenette(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "imagenette2-320").symlink_to(photographs)
    with pytest.raises(FileNotFoundError, match="holds 1 folder"):
        find_images(tmp_path, "imagenet")
    assert find_images(tmp_path, "imagenette").classes == WNIDS


def test_one_folder_of_class_folders_has_no_test(photographs: Path) -> None:
    listing = find_images(photographs / "train")
    assert listing.layout == "class folders"
    assert listing.test is None
    assert listing.classes == WNIDS
    assert len(listing.train) == 24


def test_a_train_folder_alone_has_no_test(photographs: Path, tmp_path: Path) -> None:
    shutil.copytree(photographs / "train", tmp_path / "train")
    listing = find_images(tmp_path)
    assert listing.test is None
    assert len(listing.train) == 24


def test_parts_of_a_set_are_never_classes(tmp_path: Path) -> None:
    touch(tmp_path / "Val" / "a.JPEG", tmp_path / "Test" / "b.JPEG")
    with pytest.raises(FileNotFoundError, match=r"holds 2 folders \(Test, Val\)"):
        find_images(tmp_path)


def test_a_validation_set_alone_leaves_nothing_to_train_on(photographs: Path, tmp_path: Path) -> None:
    shutil.copytree(photographs / "val", tmp_path / "val")
    listing = find_images(tmp_path)
    assert len(listing.train) == 0
    assert len(listing.test or ()) == 12
    assert listing.classes == WNIDS


def test_training_and_validation_of_other_classes_are_refused(photographs: Path, tmp_path: Path) -> None:
    shutil.copytree(photographs, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "val" / WNIDS[1])
    with pytest.raises(ValueError, match=r"train has 3 classes and val 2; in one alone: n00000002"):
        find_images(tmp_path)


def test_a_class_without_images_is_refused(photographs: Path, tmp_path: Path) -> None:
    shutil.copytree(photographs, tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "train" / WNIDS[2]).iterdir():
        path.rename(path.with_suffix(".txt"))
    with pytest.raises(ValueError, match=r"n00000003 holds no images"):
        find_images(tmp_path)


@pytest.mark.parametrize("split", ["train", "val"])
def test_images_beside_class_folders_are_refused(photographs: Path, tmp_path: Path, split: str) -> None:
    shutil.copytree(photographs, tmp_path, dirs_exist_ok=True)
    touch(tmp_path / split / numbered(7))
    with pytest.raises(ValueError, match=rf"{split} holds class folders .* beside them images .*_val_00000007"):
        find_images(tmp_path)


def test_two_validation_folders_are_refused(photographs: Path, tmp_path: Path) -> None:
    shutil.copytree(photographs, tmp_path, dirs_exist_ok=True)
    (tmp_path / "validation").symlink_to(tmp_path / "val")
    with pytest.raises(ValueError, match="both val and validation"):
        find_images(tmp_path)


def test_the_real_photographs_are_one_folder(real_photographs: list[Path]) -> None:
    listing = find_images(real_photographs[0].parents[1])
    assert (len(listing.classes), len(listing.train), listing.test) == (220, 220, None)


# A flat validation folder


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


# Kaggle


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


# Names


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


# What is none of them


def test_nothing_there_is_one_line_that_says_what_was_looked_for_and_where(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        find_images(tmp_path / "nowhere")
    words = ("train/<class>/*.JPEG", str(tmp_path / "nowhere"), "image-net.org", "data=imagenette", "data=synthetic")
    assert all(each in str(missing.value) for each in words)
    with pytest.raises(FileNotFoundError) as missing:
        find_images(tmp_path, "tiny_imagenet")
    for each in ("val_annotations.txt", f"{tmp_path} holds nothing", "tiny-imagenet-200.zip", "data=synthetic"):
        assert each in str(missing.value)
    assert "\n" not in str(missing.value)


def test_what_is_there_is_told(tmp_path: Path) -> None:
    touch(tmp_path / "imagenet.zip", tmp_path / "a" / "notes.txt", *(tmp_path / f"{each}.npy" for each in range(9)))
    with pytest.raises(
        FileNotFoundError, match=r"holds 1 folder \(a\) and 10 files \(0.npy, 1.npy, 2.npy and 7 more\)"
    ):
        find_images(tmp_path)


@pytest.mark.parametrize("content", ["file", "loop", "empty"])
def test_a_train_folder_that_is_none_is_no_reason_to_hang(tmp_path: Path, content: str) -> None:
    if content == "file":
        touch(tmp_path / "train")
    elif content == "loop":
        (tmp_path / "train").symlink_to("train")
    else:
        (tmp_path / "train").mkdir()
    with pytest.raises((FileNotFoundError, ValueError), match=str(tmp_path)):
        find_images(tmp_path)


# A million entries


def list_many(classes: int, per_class: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Listing:
    """List training images that are made up when their folder is read, with the real names' length."""
    scandir = os.scandir

    class Entry:
        def __init__(self, name: str) -> None:
            self.name = name

        def is_dir(self) -> bool:
            return False

    class Entries(list[Entry]):
        def __enter__(self) -> Iterator[Entry]:
            return iter(self)

        def __exit__(self, *_: object) -> None:
            pass

    def made_up(path: Any) -> Any:
        wnid = os.path.basename(path)
        if wnid.startswith("n"):
            return Entries([Entry(f"{wnid}_{number}.JPEG") for number in range(per_class)])
        return scandir(path)

    for number in range(classes):
        (tmp_path / "train" / f"n{number:08d}").mkdir(parents=True)
    monkeypatch.setattr(os, "scandir", made_up)
    return find_images(tmp_path)


def test_a_long_listing_takes_few_bytes_and_little_time_for_each_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import tracemalloc

    began = time.process_time()
    listing = list_many(20, 1281, monkeypatch, tmp_path)
    assert (time.process_time() - began) * 50 < 10
    tracemalloc.start()
    listing = layouts.find_images(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(listing.train) == 25_620
    assert peak * 50 < 1e9


@pytest.mark.slow
def test_imagenets_million_is_listed_in_ten_seconds_and_a_gigabyte(tmp_path: Path) -> None:
    program = f"""
import resource, sys, time
from pathlib import Path
import pytest
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_layouts import list_many
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.process_time()
listing = list_many(1000, 1281, pytest.MonkeyPatch(), Path({str(tmp_path)!r}))
seconds = time.process_time() - began
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(len(listing.train), seconds, (after - before) / 1e6)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300)
    count, seconds, gigabytes = map(float, done.stdout.split())
    assert count == 1_281_000
    assert seconds < 10
    assert gigabytes < 1
