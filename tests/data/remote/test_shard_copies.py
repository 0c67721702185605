"""A machine that holds some shards reads the others from their address, to the same bits."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from as_typed import here
from data.presented import assert_same, batches
from data.remote.object_store import KINDS, Proxy, upload

from cnnlit.data.image_folders import ImageFolder

pytest.importorskip("moto")
pytest.importorskip("s3fs")


def loaded(root: object, **options: Any) -> ImageFolder:
    chosen: Any = {"image_size": 24, "num_classes": 3, "batch_size": 5, "num_workers": 0, "val_split": 0, **options}
    data = ImageFolder(root=str(root), **chosen)
    data.setup()
    return data


def everything(data: ImageFolder) -> list[Any]:
    return batches(data, epoch=1) + batches(data, "test")


def shards_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in (".tar", ".parquet", ".bin"))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_here_is_read_here_and_the_bits_are_the_same(
    store: Proxy, sets: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    address = upload(sets[kind], kind)
    expected = everything(loaded(sets[kind]))
    shards = shards_in(sets[kind])
    asked = []
    for count in (0, 1, len(shards)):
        place = tmp_path / str(count)
        place.mkdir()
        for path in shards[:count]:
            shutil.copy(path, place)
        data = loaded(address, copies=str(place)) if count else loaded(address)
        before = store.ranges
        assert_same(everything(data), expected)
        asked.append(store.ranges - before)
    assert asked[0] >= asked[1] > asked[2] == 0


def test_machines_with_different_thirds_make_the_same_batches(
    store: Proxy, sets: dict[str, Path], tmp_path: Path
) -> None:
    address = upload(sets["tar"], "tar")
    shown = []
    for number, path in enumerate(sorted(sets["tar"].glob("train-*.tar"))):
        place = tmp_path / f"machine{number}" / "tar"
        place.mkdir(parents=True)
        shutil.copy(path, place)
        shown.append(batches(loaded(address, copies=str(place), num_workers=number), epoch=2))
    assert len(shown) == 3
    for each in shown[1:]:
        assert_same(each, shown[0])


def test_a_copy_that_is_none_is_refused(store: Proxy, sets: dict[str, Path], tmp_path: Path) -> None:
    address = upload(sets["tar"], "tar")
    with pytest.raises(ValueError, match=r"data.copies=.*gone: there is no such folder"):
        loaded(address, copies=str(tmp_path / "gone"))
    with pytest.raises(ValueError, match=r"none of the shards of s3://pictures/tar is there \(train-0000.tar"):
        loaded(address, copies=str(tmp_path))
    copy = Path(shutil.copy(sets["tar"] / "train-0001.tar", tmp_path))
    content = copy.read_bytes()
    copy.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"train-0001.tar has .* bytes, and s3://.*; copy it again, or remove it"):
        loaded(address, copies=str(tmp_path))
    copy.write_bytes(bytes(len(content)))
    with pytest.raises(ValueError, match=r"train-0001.tar is no copy of s3://pictures/tar/train-0001.tar"):
        loaded(address, copies=str(tmp_path))


def test_copies_of_a_folder_are_refused_as_typed(sets: dict[str, Path], tmp_path: Path) -> None:
    words = ("data=folder", "data.num_classes=3", f"data.root={sets['tar']}", f"data.copies={tmp_path}")
    done = here(tmp_path, "doctor", *words)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "data.copies are for addresses" in line
