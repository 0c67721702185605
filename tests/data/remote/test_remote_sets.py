"""Sets in an object store are those on the disk, to the bit, however badly it answers."""

import itertools
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from as_typed import here
from data.presented import assert_same, batches
from data.remote.object_store import KINDS, SECRET, Proxy, upload

from cnnlit.data.image_folders import ImageFolder
from cnnlit.data.remote import addresses, range_requests, remote_shards
from cnnlit.data.remote.remote_shards import room_for
from cnnlit.data.shards.shard_files import Range
from cnnlit.data.shards.shard_index import ShardFile

pytest.importorskip("moto")
pytest.importorskip("s3fs")


def loaded(root: object, **options: Any) -> ImageFolder:
    chosen: Any = {"image_size": 24, "num_classes": 3, "batch_size": 5, "num_workers": 0, "val_split": 0, **options}
    data = ImageFolder(root=str(root), **chosen)
    data.setup()
    return data


def everything(data: ImageFolder) -> list[Any]:
    return batches(data, epoch=1) + batches(data, "test")


@pytest.mark.parametrize(("kind", "workers"), [*itertools.product(KINDS, (0,)), ("tar", 1), ("parquet", 2)])
def test_a_set_at_an_address_is_shown_as_the_same_set_on_the_disk(
    store: Proxy, sets: dict[str, Path], kind: str, workers: int
) -> None:
    address = upload(sets[kind], kind)
    far, near = loaded(address, num_workers=workers), loaded(sets[kind])
    assert_same(everything(far), everything(near))
    assert far.class_folders == near.class_folders
    assert str(far.find().folder) == address


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_busy_or_cut_short_is_asked_again_and_the_bits_are_the_same(
    store: Proxy, sets: dict[str, Path], kind: str
) -> None:
    address = upload(sets[kind], kind)
    far = loaded(address)
    expected = everything(loaded(sets[kind]))
    store.faults.update(busy=2, cut=2)
    assert_same(everything(far), expected)
    assert not +store.faults


def test_a_store_that_stays_busy_is_named_and_no_key_is(store: Proxy, sets: dict[str, Path]) -> None:
    far = loaded(upload(sets["tar"], "tar"))
    store.faults.update(busy=10_000)
    with pytest.raises(
        ValueError, match=r"in s3://pictures/tar/train-000\d.tar cannot be read: .*; asked 6 times"
    ) as said:
        batches(far)
    assert SECRET not in str(said.value)
    assert "\n" not in str(said.value)


def test_access_that_is_denied_is_said_at_once(store: Proxy, sets: dict[str, Path]) -> None:
    far = loaded(upload(sets["tar"], "tar"))
    store.faults.update(refused=10_000)
    before = store.ranges
    with pytest.raises(ValueError, match="access is denied; fsspec's settings or the environment hold credentials"):
        far.find().train.open(0)
    assert store.ranges - before <= 3  # by the short way, and twice by s3fs


def test_a_cache_as_large_as_the_set_is_asked_for_nothing_in_the_second_epoch(
    store: Proxy, sets: dict[str, Path], tmp_path: Path
) -> None:
    address = upload(sets["tar"], "tar")
    options = {"cache_dir": str(tmp_path / "here"), "cache_gb": 1.0}
    first = batches(loaded(address, **options))
    before = store.ranges
    assert_same(batches(loaded(address, **options)), first)
    assert store.ranges == before
    kept = next((tmp_path / "here" / "ranges").rglob("*-*"))
    damaged = bytearray(kept.read_bytes())
    damaged[-1] ^= 1
    kept.write_bytes(damaged)
    assert_same(batches(loaded(address, **options)), first)
    assert store.ranges == before + 1  # the damaged one, anew


def test_a_cache_of_a_third_keeps_no_more_and_the_bits_are_the_same(
    store: Proxy, sets: dict[str, Path], tmp_path: Path
) -> None:
    address = upload(sets["tar"], "tar")
    size = sum(path.stat().st_size for path in sets["tar"].glob("*.tar"))
    gb = size / 3 / 1e9
    third = loaded(address, cache_dir=str(tmp_path / "here"), cache_gb=gb)
    assert_same(everything(third), everything(loaded(address)))
    kept = sum(path.stat().st_size for path in (tmp_path / "here" / "ranges").rglob("*-*"))
    assert 0 < kept < gb * 1e9
    asked = []
    for options in ({}, {"cache_dir": str(tmp_path / "here"), "cache_gb": gb}):
        before = store.ranges
        everything(loaded(address, **options))
        asked.append(store.ranges - before)
    assert 0 < asked[1] < asked[0]


def test_images_are_asked_for_before_they_are_opened_and_neighbours_together(
    store: Proxy, sets: dict[str, Path]
) -> None:
    train = loaded(upload(sets["tar"], "tar")).find().train
    reader = train._reader._shards  # type: ignore[attr-defined]
    before = store.ranges
    train.expect(torch.arange(24))  # type: ignore[attr-defined]
    assert len(reader._coming) == 24
    assert [train.open(index).rgb().ndim for index in range(24)] == [3] * 24
    assert not reader._coming
    assert store.ranges == before + len(list(sets["tar"].glob("train-*.tar")))


def test_what_is_far_apart_or_large_together_is_asked_for_alone() -> None:
    gap, span = remote_shards.GAP_BYTES, remote_shards.SPAN_BYTES
    near, far = Range(0, 1000 + gap, 10), Range(0, 1011 + 2 * gap, 10)
    together = remote_shards._neighbours([far, near, Range(1, 0, 5), Range(0, 0, 1000)])
    assert list(together) == [[Range(0, 0, 1000), near], [far], [Range(1, 0, 5)]]
    large = [Range(0, number * span // 2, span // 2) for number in range(3)]
    assert list(remote_shards._neighbours(large)) == [large[:2], large[2:]]


def test_an_address_whose_signature_expired_is_signed_anew(store: Proxy, sets: dict[str, Path]) -> None:
    address = f"{upload(sets['tar'], 'tar')}/train-0000.tar"
    content = range_requests.bytes_at(address, 0, 99)
    (key, known) = next(iter(range_requests._signed.items()))
    range_requests._signed[key] = known._replace(at=known.at - 600)
    store.faults.update(refused=1)
    assert range_requests.bytes_at(address, 0, 99) == content
    anew = range_requests._signed[key]
    assert anew.url
    assert anew.at > known.at
    store.faults.update(refused=1)  # so soon it is no question of time: fsspec finds the way from now on
    assert range_requests.bytes_at(address, 0, 99) == content
    assert range_requests._signed[key].url is None


def test_an_answer_that_takes_too_long_is_named(
    store: Proxy, sets: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    train = loaded(upload(sets["tar"], "tar")).find().train
    for module in (addresses, range_requests):
        monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(range_requests, "_threads", range_requests._OfProcess())
    store.seconds = 1
    with pytest.raises(ValueError, match=r"cannot be read: s3://pictures/.*: no answer in 0.3 s; asked 6 times"):
        train.open(0)


@pytest.mark.parametrize("proxies", [{}, {"http": "http://127.0.0.1:1"}])
def test_a_proxy_is_left_to_fsspec(
    store: Proxy, sets: dict[str, Path], monkeypatch: pytest.MonkeyPatch, proxies: dict[str, str]
) -> None:
    monkeypatch.setattr(range_requests, "getproxies", lambda: proxies)
    monkeypatch.setattr(range_requests, "proxy_bypass", lambda _: False)
    url = range_requests._url_of("s3://pictures/tar/train-0000.tar")
    assert (url is None) == bool(proxies)
    assert url is None or "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url


def test_what_is_expected_is_bounded(store: Proxy, sets: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_shards, "MOST_AHEAD", 5)
    train = loaded(upload(sets["tar"], "tar")).find().train
    train.expect(torch.arange(24))  # type: ignore[attr-defined]
    assert len(train._reader._shards._coming) == 5  # type: ignore[attr-defined]


def test_a_worker_that_is_not_forked_gets_no_connection(store: Proxy, sets: dict[str, Path]) -> None:
    train = loaded(upload(sets["tar"], "tar")).find().train
    assert (pickle.loads(pickle.dumps(train)).open(3).rgb() == train.open(3).rgb()).all()


def test_doctor_counts_a_set_at_an_address(store: Proxy, sets: dict[str, Path], tmp_path: Path) -> None:
    address = upload(sets["tar"], "tar")
    words = ["data=folder", "data.num_classes=3", f"data.root={address}", "format=json", "doctor.seconds=0"]
    found = json.loads(here(tmp_path, "doctor", *words).stdout)
    assert (found["layout"], found["folder"], found["train"], found["val"]) == ("tar shards", address, 24, 12)
    assert any("3 shards from" in note for note in found["notes"])
    some = json.loads(
        here(tmp_path, "doctor", *words, "data.train=train-{0000..0001}.tar", "data.test=val-*.tar").stdout
    )
    assert (some["train"], some["test"]) == (20, 12)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("data.root=s3://pictures/nothing",), "s3://pictures/nothing is empty, or not there"),
        (("data.root=s3://pictures/tar", "data.train=train-{0000..0007}.tar"), "train-0003.tar: there is nothing"),
        (("data.root=s3://pictures/tar", "data.train=first"), "data.train=first: at an address, a pattern"),
        (("data.root=.", "data.cache_gb=3"), "data.cache_gb and data.copies are for addresses, and . is a folder"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    store: Proxy, sets: dict[str, Path], tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    upload(sets["tar"], "tar")
    done = here(tmp_path, "doctor", "data=folder", "data.num_classes=3", *words)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert said in line


def test_a_cache_that_the_disk_has_no_room_for_is_refused(tmp_path: Path) -> None:
    large = {
        "train": (ShardFile("s3://pictures/a.tar", 10**17, ""),),
        "val": (ShardFile("s3://pictures/b.tar", 5, ""),),
    }
    with pytest.raises(OSError, match=r"data.cache_gb=1e\+07: .* are free in .*; data.cache_dir= names another disk"):
        room_for(large, tmp_path / "new", 1e7)
    assert room_for(large, tmp_path / "new", 1e-8) == {"s3://pictures/a.tar": 5, "s3://pictures/b.tar": 5}


def test_a_store_with_a_shard_of_another_length_is_refused(store: Proxy, sets: dict[str, Path]) -> None:
    import s3fs

    address = upload(sets["store"], "shorter")
    s3fs.S3FileSystem(skip_instance_cache=True).pipe_file(f"{address}/train-00000.bin", b"short")
    with pytest.raises(ValueError, match=r"shorter/train-00000.bin has 5 bytes where .* were written; copy it again"):
        loaded(address)
