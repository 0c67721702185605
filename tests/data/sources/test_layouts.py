"""Each layout is recognised from its folder alone, with the right classes; what is none of them is refused and told."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from data.sources.laid_out import WNIDS, by_name, numbered, touch

from cnnlit.data.sources import layouts
from cnnlit.data.sources.folders import Listing
from cnnlit.data.sources.layouts import find_images


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
    with pytest.raises(ValueError, match=r"Val holds 1 images \(a.JPEG\) and no class folders"):
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
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[2])]!r}
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


@pytest.mark.parametrize("below", ["", "images"])
@pytest.mark.parametrize("emptied", [True, False])
def test_tiny_imagenets_validation_that_somebody_sorted_into_class_folders_is_read(
    tiny: Path, below: str, emptied: bool
) -> None:
    for number in range(6):
        name = f"val_{number}.JPEG"
        place = tiny / "val" / WNIDS[number % 3] / below / name
        place.parent.mkdir(parents=True, exist_ok=True)
        (tiny / "val" / "images" / name).rename(place)
    if emptied:
        (tiny / "val" / "images").rmdir()
        (tiny / "val" / "val_annotations.txt").unlink()
        touch(tiny / "wnids.txt")
    touch(tiny / "test" / "images" / "test_0.JPEG")
    listing = find_images(tiny, "tiny_imagenet")
    assert listing.layout == "Tiny ImageNet"
    assert listing.class_names == ["goldfish", "tabby", "n00000003"]
    assert by_name(listing.test, listing.classes) == {f"val_{n}.JPEG": WNIDS[n % 3] for n in range(6)}
    assert len(listing.train) == 12
    assert not listing.remarks
