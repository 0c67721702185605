"""Sets in a bucket of Google's are those on the disk, however badly it answers, and stores are prepared into one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from as_typed import here
from data.presented import assert_same, batches
from data.remote.object_store import BUCKET, KINDS, Proxy, google_store, url_of

from cnnlit.data.image_folders import ImageFolder
from cnnlit.data.remote import addresses, fsspec_internals

pytest.importorskip("gcp_storage_emulator")
gcsfs = pytest.importorskip("gcsfs")


@pytest.fixture(scope="module")
def google() -> Iterator[Proxy]:
    with google_store() as proxy:
        yield proxy


@pytest.fixture
def bucket(google: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url_of(google))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(addresses, "PAUSE_SECONDS", 0.01)
    addresses._file_system.cache_clear()
    google.faults.clear()
    google.seconds = 0
    return google


def upload(folder: Path, to: str) -> str:
    files = gcsfs.GCSFileSystem(skip_instance_cache=True)
    for path in sorted(folder.iterdir()):
        if path.is_file():
            files.pipe_file(f"{BUCKET}/{to}/{path.name}", path.read_bytes())
    return f"gs://{BUCKET}/{to}"


def loaded(root: object) -> ImageFolder:
    data = ImageFolder(root=str(root), image_size=24, num_classes=3, batch_size=5, num_workers=0, val_split=0)
    data.setup()
    return data


def everything(data: ImageFolder) -> list[Any]:
    return batches(data, epoch=1) + batches(data, "test")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_set_in_a_bucket_is_that_on_the_disk_whatever_it_lets_one_wait_for(
    bucket: Proxy, sets: dict[str, Path], kind: str
) -> None:
    far = loaded(upload(sets[kind], kind))
    bucket.faults.update(busy=2, cut=2)
    assert_same(everything(far), everything(loaded(sets[kind])))
    assert not +bucket.faults


def test_what_is_denied_and_what_is_not_there_is_named(bucket: Proxy, sets: dict[str, Path]) -> None:
    far = loaded(upload(sets["tar"], "tar"))
    bucket.faults.update(refused=10_000)
    with pytest.raises(ValueError, match=r"in gs://pictures/tar/train-0000.tar cannot be read: .*"):
        far.find().train.open(0)
    with pytest.raises(FileNotFoundError, match="gs://pictures/nothing is empty, or not there"):
        loaded("gs://pictures/nothing")


def test_an_answer_that_takes_too_long_is_named(
    bucket: Proxy, sets: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    train = loaded(upload(sets["tar"], "tar")).find().train
    monkeypatch.setattr(fsspec_internals, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(addresses, "PATIENCE_SECONDS", 0.3)
    bucket.seconds = 1
    with pytest.raises(ValueError, match=r"cannot be read: gs://pictures/.*: no answer in 0.3 s; asked 6 times"):
        train.open(0)


def test_a_store_is_prepared_into_a_bucket(bucket: Proxy, sets: dict[str, Path], tmp_path: Path) -> None:
    to = "gs://pictures/made"
    words = (f"data.root={sets['tar']}", f"prepare.to={to}", "prepare.side=32")
    done = here(tmp_path, "prepare", "data=folder", "data.num_classes=3", *words)
    assert done.returncode == 0, done.stderr
    assert_same(everything(loaded(to)), everything(loaded(sets["store"])))
