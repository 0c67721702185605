"""Sets on a web server are those on the disk, and what such a server does otherwise is named."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from data.presented import assert_same, batches
from data.remote.file_server import FileServer, file_server, url_of

from cnnlit.data.image_folders import ImageFolder
from cnnlit.data.remote import addresses, fsspec_internals, range_requests
from cnnlit.data.remote.addresses import asked
from cnnlit.data.remote.range_requests import bytes_at

pytest.importorskip("aiohttp")
pytest.importorskip("pyarrow")

KINDS = ("tar", "parquet", "store", "raw")
CONTENT = bytes(range(256)) * 40


@pytest.fixture
def web(sets: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(addresses, "PAUSE_SECONDS", 0.01)
    addresses._file_system.cache_clear()
    range_requests._signed.clear()
    root = sets["tar"].parent
    (root / "some.bin").write_bytes(CONTENT)
    with file_server(root) as server:
        yield server


def loaded(root: object, **options: Any) -> ImageFolder:
    chosen: Any = {"image_size": 24, "num_classes": 3, "batch_size": 5, "num_workers": 0, "val_split": 0, **options}
    data = ImageFolder(root=str(root), **chosen)
    data.setup()
    return data


def everything(data: ImageFolder) -> list[Any]:
    return batches(data, epoch=1) + batches(data, "test")


@pytest.mark.parametrize("kind", KINDS)
def test_a_set_on_a_server_is_that_on_the_disk_whatever_the_server_lets_one_wait_for(
    web: FileServer, sets: dict[str, Path], kind: str
) -> None:
    far = loaded(f"{url_of(web)}/{kind}")
    web.faults.update(busy=2, cut=2)
    assert_same(everything(far), everything(loaded(sets[kind])))
    assert not +web.faults


def test_shards_are_named_by_a_pattern(web: FileServer, sets: dict[str, Path]) -> None:
    far = loaded(f"{url_of(web)}/tar", train="train-{0000..0002}.tar", test="val-{0000..0001}.tar")
    assert_same(everything(far), everything(loaded(sets["tar"])))


def test_requests_of_a_thread_share_a_connection(web: FileServer) -> None:
    address = f"{url_of(web)}/some.bin"
    assert bytes_at(address, 0, 5) == CONTENT[:5]
    before = web.connections
    assert [bytes_at(address, at, 7) for at in range(9)] == [CONTENT[at : at + 7] for at in range(9)]
    assert web.connections == before


def test_a_connection_that_was_closed_without_a_word_is_made_anew_at_once(web: FileServer) -> None:
    web.hangs_up = True
    address = f"{url_of(web)}/some.bin"
    assert [bytes_at(address, at, 7) for at in range(4)] == [CONTENT[at : at + 7] for at in range(4)]
    assert web.ranges == 4


def test_an_answer_that_stalls_is_waited_for_so_long_and_asked_for_again(
    web: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (addresses, fsspec_internals, range_requests):
        monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(range_requests, "_threads", range_requests._OfProcess())
    web.faults.update(stall=2)
    address = f"{url_of(web)}/some.bin"
    began = time.monotonic()
    assert asked(address, lambda: bytes_at(address, 3, 500)) == CONTENT[3:503]
    assert 0.9 < time.monotonic() - began < 3
    web.faults.update(stall=99)
    with pytest.raises(OSError, match=r"some.bin: no answer in 0.5 s; asked 6 times"):
        asked(address, lambda: bytes_at(address, 3, 500))


def test_a_server_that_sends_elsewhere_is_followed(web: FileServer) -> None:
    web.moved = True
    address = f"{url_of(web)}/some.bin"
    assert [bytes_at(address, at, 7) for at in (0, 9)] == [CONTENT[:7], CONTENT[9:16]]


def test_a_server_without_ranges_is_named_at_once(web: FileServer) -> None:
    web.has_ranges = False
    address = f"{url_of(web)}/some.bin"
    assert bytes_at(address, 0, len(CONTENT)) == CONTENT  # a whole file is what was asked for
    before = web.ranges
    with pytest.raises(OSError, match=r"some.bin: the server sends whole files, and no parts of them"):
        asked(address, lambda: bytes_at(address, 0, 9))
    assert web.ranges == before + 1


@pytest.mark.parametrize(
    ("fault", "said"), [("refused", "some.bin: 403"), ("gone", "some.bin: there is nothing"), ("busy", "some.bin: 503")]
)
def test_what_is_refused_is_named(web: FileServer, fault: str, said: str) -> None:
    web.faults[fault] = 99
    address = f"{url_of(web)}/some.bin"
    with pytest.raises(OSError, match=said) as error:
        asked(address, lambda: bytes_at(address, 0, 9))
    assert "\n" not in str(error.value)
    assert web.ranges == (6 if fault == "busy" else 2)  # by the short way, and by fsspec, whose word is the last


def test_a_set_that_is_not_there_is_named(web: FileServer) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere is empty, or not there"):
        loaded(f"{url_of(web)}/nowhere")
    with pytest.raises(FileNotFoundError, match=r"train-0007.tar: there is nothing"):
        loaded(f"{url_of(web)}/tar", train="train-0007.tar", test="val-0000.tar")
