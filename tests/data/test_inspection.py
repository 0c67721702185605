"""What the doctor finds is what is there."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from cnnlit.data import inspection
from cnnlit.data.image_folders import ImageNet
from cnnlit.data.inspection import Inspection
from cnnlit.data.small_images import SmallImages


def examined(root: Path, **options: Any) -> dict[str, Any]:
    data = ImageNet(root=str(root), num_classes=3, image_size=16, batch_size=4, num_workers=0)
    return Inspection(**{"seconds": 0.0, **options}).examine(data).as_json()


@pytest.fixture
def damaged(photographs: Path, tmp_path: Path) -> Path:
    """Three images that cannot be read, of 36."""
    shutil.copytree(photographs, tmp_path / "damaged")
    folder = tmp_path / "damaged"
    whole = (folder / "train" / "n00000001" / "n00000001_0.JPEG").read_bytes()
    (folder / "train" / "n00000001" / "n00000001_0.JPEG").write_bytes(whole[:200])
    (folder / "train" / "n00000002" / "n00000002_7.JPEG").write_bytes(b"")
    (folder / "val" / "n00000003" / "n00000003_1.JPEG").unlink()
    (folder / "val" / "n00000003" / "n00000003_1.JPEG").symlink_to("n00000003_1.JPEG")
    return folder


def test_counts_and_extremes_are_those_of_the_folders(photographs: Path, tmp_path: Path) -> None:
    shutil.copytree(photographs, tmp_path, dirs_exist_ok=True)
    (tmp_path / "train" / "n00000002" / "n00000002_7.JPEG").unlink()
    found = examined(tmp_path, scan="none")
    assert (found["layout"], found["folder"]) == ("class folders", str(tmp_path))
    assert (found["classes"], found["train"], found["val"]) == (3, 23, 12)
    assert found["extremes"]["train"]["smallest"] == ["n00000002", 7]
    assert found["extremes"]["train"]["largest"][1] == 8
    assert found["scanned"] == 0
    assert found["problems"] == []


def test_all_that_cannot_be_read_is_found_with_its_path_and_reason(damaged: Path) -> None:
    found = examined(damaged, scan="all")
    assert found["scanned"] == 36
    assert sorted(found["unreadable"]) == [
        str(damaged / "train" / "n00000001" / "n00000001_0.JPEG"),
        str(damaged / "train" / "n00000002" / "n00000002_7.JPEG"),
        str(damaged / "val" / "n00000003" / "n00000003_1.JPEG"),
    ]
    assert all("cannot be read" in reason for reason in found["reasons"])


def test_a_sample_reads_as_many_as_it_says_from_each_part(damaged: Path) -> None:
    found = examined(damaged, scan="sample", sample=5)
    assert found["scanned"] == 10
    assert len(found["unreadable"]) < 3


def test_the_speed_is_measured_on_what_can_be_read(damaged: Path) -> None:
    found = examined(damaged, scan="all", seconds=0.2, images_per_second=1.0)
    assert found["speed"]["one_core"] > 0
    assert found["speed"]["workers"] > 0
    assert (found["speed"]["needed"], found["speed"]["keeps_up"]) == (1.0, True)
    assert "not measured" in examined(damaged, scan="none", seconds=0.2)["notes"][1]


def test_a_set_of_nothing_that_can_be_read_is_a_finding_too(photographs: Path, tmp_path: Path) -> None:
    for path in photographs.rglob("*.JPEG"):
        (tmp_path / path.relative_to(photographs)).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path.relative_to(photographs)).touch()
    found = examined(tmp_path, seconds=0.1)
    assert len(found["unreadable"]) == 36
    assert found["speed"] is None


def test_a_rate_counts_what_comes_after_the_first_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 10.5, 11.0, 12.0, 12.0])
    monkeypatch.setattr(inspection.time, "perf_counter", lambda: next(clock))
    assert inspection._rate(iter([1000, 32, 32, 32, 32]), seconds=2.0) == 96 / 2.0


def test_another_number_of_classes_is_a_problem_and_no_refusal(photographs: Path) -> None:
    data = ImageNet(root=str(photographs), num_classes=1000)
    found = Inspection(scan="none", seconds=0).examine(data)
    assert found.problems == ["3 classes, and data.num_classes=1000: say data.num_classes=3"]


def test_nothing_to_train_on_is_a_problem(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "val").symlink_to(photographs / "val")
    found = examined(tmp_path)
    assert (found["train"], found["val"], found["scanned"]) == (0, 12, 12)
    assert "no training images" in found["problems"][0]


def test_one_folder_is_to_be_split(photographs: Path) -> None:
    found = examined(photographs / "train", scan="none")
    assert (found["train"], found["val"]) == (24, 0)
    assert "data.test_split=0.1" in found["notes"][0]


def test_archives_are_counted_and_left_as_they_are(tmp_path: Path, pack: Any, kit: Any, jpeg: Any) -> None:
    wnids = ["n00000001", "n00000002"]
    inner = {f"{wnid}.tar": pack(tmp_path / "inner.tar", {f"{wnid}_0.JPEG": jpeg()}).read_bytes() for wnid in wnids}
    pack(tmp_path / "root" / "ILSVRC2012_img_train.tar", inner)
    pack(tmp_path / "root" / "ILSVRC2012_img_val.tar", {"ILSVRC2012_val_00000001.JPEG": jpeg()})
    pack(tmp_path / "root" / "ILSVRC2012_devkit_t12.tar.gz", kit(wnids, wnids[1:]))
    before = sorted((tmp_path / "root").rglob("*"))
    found = examined(tmp_path / "root")
    assert (found["layout"], found["classes"], found["train"], found["val"]) == ("official archives", 2, 2, 1)
    assert "training does so" in found["notes"][0]
    assert found["problems"] == ["2 classes, and data.num_classes=3: say data.num_classes=2"]
    assert sorted((tmp_path / "root").rglob("*")) == before


def test_archives_of_a_class_each_are_counted_beside_those_that_are_extracted(
    photographs: Path, tmp_path: Path, pack: Any, jpeg: Any
) -> None:
    """photographs has 24 training images of three classes."""
    root = shutil.copytree(photographs, tmp_path / "root")
    pack(root / "train" / "n00000009.tar", {f"n00000009_{number}.JPEG": jpeg() for number in range(5)})
    found = examined(root, scan="none")
    assert (found["layout"], found["classes"], found["train"]) == ("archives of a class each", 4, 29)
    assert "training does so" in found["notes"][0]
    assert not (root / "train" / "n00000009").exists()


def test_sets_in_memory_are_counted(tmp_path: Path) -> None:
    found = Inspection().examine(SmallImages(val_split=180)).as_json()
    assert (found["layout"], found["classes"]) == ("sklearn, in memory", 10)
    assert (found["train"], found["val"], found["test"]) == (1437, 0, 360)
    assert found["extremes"]["test"] == {"smallest": ["8", 35], "largest": ["3", 37]}
    assert found["speed"] is None
