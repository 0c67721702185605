"""ImageNet's archives come out whole, wherever they were cut off, and nothing comes out that does not belong there."""

import errno
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from as_typed import here

from cnnlit.data.image_folders import ImageNet
from cnnlit.data.sources import archives
from cnnlit.data.sources.archives import alone, count_archived, extract_archives, unextracted
from cnnlit.data.sources.layouts import find_images

WNIDS = ["n00000001", "n00000002", "n00000003"]
ANSWERS = ["n00000003", "n00000001", "n00000001", "n00000002", "n00000003", "n00000002"]


@pytest.fixture
def official(tmp_path: Path, pack: Any, kit: Any, jpeg: Any) -> Path:
    """The three archives in small: 3 classes of 5 training images, 6 validation images."""
    number = 0
    inner = {}
    for wnid in reversed(WNIDS):
        images = {f"{wnid}_{index}.JPEG": jpeg(number := number + 1) for index in range(5)}
        inner[f"{wnid}.tar"] = pack(tmp_path / "inner.tar", images).read_bytes()
    (tmp_path / "inner.tar").unlink()
    root = tmp_path / "official"
    pack(root / "ILSVRC2012_img_train.tar", inner)
    images = {f"ILSVRC2012_val_{index:08d}.JPEG": jpeg(100 + index) for index in range(1, 7)}
    pack(root / "ILSVRC2012_img_val.tar", images)
    files = kit(["n00000002", "n00000003", "n00000001"], ANSWERS)
    packed = {f"ILSVRC2012_devkit_t12/{name}": content for name, content in files.items()}
    pack(root / "ILSVRC2012_devkit_t12.tar.gz", packed)
    return root


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_archives_become_class_folders(official: Path, jpeg: Any) -> None:
    extract_archives(official)
    listing = find_images(official)
    assert listing.classes == WNIDS
    assert listing.class_names == [f"name of {wnid}" for wnid in WNIDS]
    assert listing.train.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert (official / "train" / "n00000003" / "n00000003_0.JPEG").read_bytes() == jpeg(1)
    assert listing.test is not None
    found = {Path(listing.test.path(index)).name: listing.test.labels[index] for index in range(6)}
    assert {name: listing.classes[label] for name, label in found.items()} == {
        f"ILSVRC2012_val_{number:08d}.JPEG": wnid for number, wnid in enumerate(ANSWERS, 1)
    }
    assert set(visible(official)) == {"train", "val", "ILSVRC2012_devkit_t12.tar.gz", *archives.ARCHIVES.values()}
    assert not list(official.glob(".*.partial"))


def test_extracting_again_does_nothing(official: Path) -> None:
    extract_archives(official)
    before = {path: path.stat().st_mtime_ns for path in official.rglob("*")}
    extract_archives(official)
    assert {path: path.stat().st_mtime_ns for path in official.rglob("*")} == before


def test_the_data_module_extracts_before_it_looks(official: Path) -> None:
    data = ImageNet(root=str(official), num_classes=3, image_size=8, batch_size=4)
    data.prepare_data()
    data.setup()
    assert data.num_images == {"train": 15, "val": 0, "test": 6}


def test_recognition_extracts_nothing(official: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar, .*not extracted"):
        find_images(official)
    assert not (official / "train").exists()
    (official / "ILSVRC2012_img_val.tar").rename(official / "later")
    extract_archives(official)
    (official / "later").rename(official / "ILSVRC2012_img_val.tar")
    with pytest.raises(FileNotFoundError, match=r"ILSVRC2012_img_val.tar is not extracted"):
        find_images(official)


def test_one_archive_is_enough(official: Path, tmp_path: Path) -> None:
    for name in archives.ARCHIVES.values():
        root = tmp_path / name
        shutil.copytree(official, root)
        (root / name).unlink()
        extract_archives(root)
    trained = find_images(tmp_path / "ILSVRC2012_img_val.tar")
    assert (len(trained.train), trained.test) == (15, None)
    tested = find_images(tmp_path / "ILSVRC2012_img_train.tar")
    assert (len(tested.train), len(tested.test or ())) == (0, 6)


def test_without_the_kit_a_list_of_synsets_labels_the_validation_images(official: Path) -> None:
    (official / "ILSVRC2012_devkit_t12.tar.gz").unlink()
    (official / "labels.txt").write_text("\n".join(ANSWERS))
    extract_archives(official)
    assert len(list((official / "val" / "n00000003").iterdir())) == 2
    assert find_images(official).test is not None


def test_without_labels_nothing_is_extracted(official: Path) -> None:
    (official / "ILSVRC2012_devkit_t12.tar.gz").unlink()
    with pytest.raises(ValueError, match=r"img_val.tar holds 6 images .* nothing tells their classes"):
        extract_archives(official)
    assert visible(official) == ["ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"]
    assert not list(official.glob(".*.partial"))


def test_counts_are_known_before_anything_is_extracted(official: Path) -> None:
    assert count_archived(official / "ILSVRC2012_img_train.tar", "train") == dict.fromkeys(WNIDS, 5)
    assert count_archived(official / "ILSVRC2012_img_val.tar", "val") == dict.fromkeys(WNIDS, 2)


# Cut off


def extract_in_child(folder: Path, moment: str = "", left: int = 0) -> int:
    """Extract in another process, which is killed at a moment: in the middle of a file, before or after a rename.

    Returns:
        The number of the child's process.
    """
    child = os.fork()
    if child:
        return child
    copy, replace = shutil.copyfileobj, os.replace

    def cut_copy(source: Any, target: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            content = source.read()
            target.write(content[: len(content) // 2])
            target.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        copy(source, target)

    def cut_replace(*paths: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0 and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*paths)
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    code = 1
    try:
        if moment == "copy":
            shutil.copyfileobj = cut_copy
        elif moment:
            os.replace = cut_replace  # type: ignore[assignment]
        extract_archives(folder)
        code = 0
    finally:
        os._exit(code)


def kill_while_extracting(folder: Path, moment: str) -> None:
    name, left = moment.split()
    _, status = os.waitpid(extract_in_child(folder, name, int(left)), 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


@pytest.mark.parametrize("moment", ["copy 0", "copy 7", "copy 14", "copy 18", "before 0", "after 0", "before 1"])
def test_an_extraction_that_was_killed_goes_on(official: Path, tmp_path: Path, moment: str) -> None:
    shutil.copytree(official, tmp_path / "whole")
    extract_archives(tmp_path / "whole")
    kill_while_extracting(official, moment)
    cut = contents(official)
    for split in ("train", "val"):  # whole or not there
        if (official / split).exists():
            assert contents(official / split) == contents(tmp_path / "whole" / split)
    extract_archives(official)
    for split in ("train", "val"):
        assert contents(official / split) == contents(tmp_path / "whole" / split)
    assert not list(official.glob(".*.partial"))
    assert len(cut) < len(contents(official)) or moment == "before 1"


def test_what_is_there_already_is_not_written_again(official: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_while_extracting(official, "copy 7")
    copied = []
    copy = shutil.copyfileobj
    monkeypatch.setattr(shutil, "copyfileobj", lambda *files: copied.append(files[1].name) or copy(*files))
    extract_archives(official)
    assert len(copied) == 15 + 6 - 7


def test_processes_that_extract_at_once_do_not_disturb_each_other(official: Path) -> None:
    children = [extract_in_child(official) for _ in range(3)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert len(list((official / "train").rglob("*.JPEG"))) == 15
    assert unextracted(official) == {}


# Refused


def evil(name: str, **fields: Any) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(member, field, value)
    return member


EVIL = {
    "above": (evil("../out.JPEG"), "leads out"),
    "nested": (evil("a/../../out.JPEG"), "leads out"),
    "absolute": (evil("/tmp/out.JPEG"), "leads out"),
    "link": (evil("n00000001_9.JPEG", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "link or a device"),
    "hard link": (evil("n00000001_9.JPEG", type=tarfile.LNKTYPE, linkname="../x"), "link or a device"),
    "device": (evil("n00000001_9.JPEG", type=tarfile.CHRTYPE), "link or a device"),
    "pipe": (evil("n00000001_9.JPEG", type=tarfile.FIFOTYPE), "link or a device"),
    "twice": (evil("./n00000001_0.JPEG"), "twice"),
}


def tar_with(member: tarfile.TarInfo, content: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        first = evil("n00000001_0.JPEG", size=len(content))
        tar.addfile(first, io.BytesIO(content))
        tar.addfile(member)
    return stream.getvalue()


@pytest.mark.parametrize("kind", EVIL)
@pytest.mark.parametrize("where", ["val", "train", "class"])
def test_members_that_do_not_belong_there_are_refused(
    official: Path, pack: Any, jpeg: Any, kind: str, where: str
) -> None:
    member, says = EVIL[kind]
    content = tar_with(member, jpeg())
    if where == "class":
        pack(official / "ILSVRC2012_img_train.tar", {"n00000001.tar": content})
    else:
        (official / archives.ARCHIVES["val" if where == "val" else "train"]).write_bytes(content)
    before = {path for path in official.parent.rglob("*") if official not in path.parents}
    with pytest.raises(ValueError, match=rf"ILSVRC2012_img_\w+.tar is refused: .*{says}"):
        extract_archives(official)
    assert {path for path in official.parent.rglob("*") if official not in path.parents} == before
    assert not Path("/tmp/out.JPEG").exists()
    assert not (official / "train").exists()
    assert not [path for path in official.rglob("*") if path.is_symlink()]


@pytest.mark.parametrize("name", ["...tar", "cats.tar", "n00000001.JPEG", "n00000001.tar.gz"])
def test_training_archives_of_another_make_are_refused(official: Path, pack: Any, jpeg: Any, name: str) -> None:
    pack(official / "ILSVRC2012_img_train.tar", {name: jpeg(), "n00000002.tar": b""})
    with pytest.raises(ValueError, match=r"img_train.tar (holds|is damaged)"):
        extract_archives(official)
    assert not (official / "train").exists()


def cut(path: Path, size: int) -> None:
    os.truncate(path, size)


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_archive_that_was_not_downloaded_whole_is_refused(official: Path, split: Any) -> None:
    path = official / archives.ARCHIVES[split]
    with tarfile.open(path) as tar:
        members = tar.getmembers()
    whole = path.read_bytes()
    within, between = members[1].offset_data + members[1].size // 2, members[2].offset
    for size in (within, between, 700, 0):
        cut(path, size)
        with pytest.raises(ValueError, match=rf"img_{split}.tar is damaged or cut short .*; download it again"):
            extract_archives(official)
        assert not (official / split).exists()
        path.write_bytes(whole)
    extract_archives(official)
    assert unextracted(official) == {}


def test_a_folder_that_cannot_be_written_to_is_refused() -> None:
    with pytest.raises(OSError, match=r"/proc cannot be written to .*; point data.root to a folder of your own"):
        alone(Path("/proc")).__enter__()


def test_training_images_are_extracted_where_the_validation_images_were_by_hand(official: Path) -> None:
    with tarfile.open(official / "ILSVRC2012_img_val.tar") as tar:
        tar.extractall(official / "val", filter="data")
    data = ImageNet(root=str(official), num_classes=3, image_size=8, batch_size=4)
    data.prepare_data()
    assert (len(data.find().train), len(data.find().test or ())) == (15, 6)


def test_a_full_disk_is_known_before(official: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(official)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(OSError, match=r"img_train.tar and ILSVRC2012_img_val.tar takes [\d.]+ kB, and 1.0 kB are free"):
        extract_archives(official)
    assert not list(official.glob(".*.partial"))


def test_of_what_is_half_extracted_the_disk_needs_room_for_the_rest(
    official: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum((official / name).stat().st_size for name in archives.ARCHIVES.values()) * archives.SPARE
    kill_while_extracting(official, "copy 10")
    usage = shutil.disk_usage(official)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=int(size) - 1000))
    extract_archives(official)


def test_official_archives_come_before_a_set_beside_them(tmp_path: Path, official: Path) -> None:
    v2 = official / "imagenetv2-matched-frequency-format-val"
    for wnid in WNIDS:
        (v2 / wnid).mkdir(parents=True)
        (v2 / wnid / "1.jpeg").touch()
    found = json.loads(here(tmp_path, "doctor", "data=imagenet", f"data.root={official}", "data.num_classes=3",
                            "doctor.seconds=0", "format=json").stdout)  # fmt: skip
    assert found["layout"] == "official archives"
    with pytest.raises(FileNotFoundError, match=r"ILSVRC2012_img_train.tar.* not extracted yet"):
        find_images(official, "imagenet")


def sparse(folder: Path, name: str, size: int) -> bytes:
    """An archive of a few kilobytes that holds a file of a class, all of it a hole."""
    (folder / "holes").mkdir()
    with (folder / "holes" / name).open("wb") as file:
        file.truncate(size)
    subprocess.run(["tar", "-S", "-cf", folder / "holes.tar", "-C", folder / "holes", name], check=True)
    content = (folder / "holes.tar").read_bytes()
    assert len(content) < 20_000
    return content


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_small_archive_of_a_huge_sparse_file_is_counted_before_anything_is_written(
    tmp_path: Path, pack: Any, monkeypatch: pytest.MonkeyPatch, split: str
) -> None:
    huge = 300_000_000
    root = tmp_path / "root"
    if split == "train":
        pack(root / "ILSVRC2012_img_train.tar", {"n00000001.tar": sparse(tmp_path, "n00000001_1.JPEG", huge)})
    else:
        root.mkdir()
        (root / "ILSVRC2012_img_val.tar").write_bytes(sparse(tmp_path, "ILSVRC2012_val_00000001.JPEG", huge))
        (root / "synsets.txt").write_text("n00000001\n")
    usage = shutil.disk_usage(root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100_000_000))
    outcome = here(tmp_path, "train", "model=alexnet", f"data.root={root}", "trainer=cpu", "logger=none")
    assert outcome.returncode == 2
    assert outcome.stderr.count("\n") == 1
    assert str(root) in outcome.stderr
    assert "0.1 GB are free" in outcome.stderr
    assert sum(path.stat().st_size for path in root.rglob("*.JPEG")) == 0


def test_a_disk_that_fills_up_names_the_file_and_what_it_needs(official: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OSError, match=r"No space left on the disk of \S+n00000003: n00000003_\S+ needs 0.7 kB"):
        extract_archives(official)


def test_doctor_compares_official_archives_with_the_published_ones(
    official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("data=imagenet", f"data.root={official}", "data.num_classes=3", "format=json")
    part = here(tmp_path, "doctor", *words)
    assert "bytes where the published one has 6,744,924,160: a part of it, or cut short." in part.stdout
    train, val = (official / name for name in archives.ARCHIVES.values())
    digest = hashlib.md5(train.read_bytes(), usedforsecurity=False).hexdigest()
    published = {"train": (train.stat().st_size, digest), "val": (val.stat().st_size, "0" * 32)}
    monkeypatch.setattr(archives, "PUBLISHED", published)
    assert "img_train.tar is as long as the published one; doctor.scan=all" in here(tmp_path, "doctor", *words).stdout
    whole = here(tmp_path, "doctor", *words, "doctor.scan=all").stdout
    assert "img_train.tar is the published one, by md5." in whole
    assert "img_val.tar is damaged: it is not the published one, by md5." in whole


def test_archives_of_a_class_each_are_extracted_beside_them(official: Path) -> None:
    whole = official / "ILSVRC2012_img_train.tar"
    (official / "train").mkdir()
    with tarfile.open(whole) as outer:
        outer.extractall(official / "train", filter="data")
    whole.unlink()
    with tarfile.open(official / "train" / f"{WNIDS[0]}.tar") as tar:  # one of them by hand
        tar.extractall(official / "train" / WNIDS[0], filter="data")
    with pytest.raises(FileNotFoundError, match=r"n00000002.tar, n00000003.tar in train, which are not extracted yet"):
        find_images(official)
    data = ImageNet(root=str(official), num_classes=3, image_size=8, batch_size=4)
    data.prepare_data()
    listing = data.find()
    assert listing.train.labels.bincount().tolist() == [5, 5, 5]
    assert len(listing.test or ()) == 6
    assert not list((official / "train").glob(".*"))
