"""Imagenette is downloaded once, checked, and never half there."""

import hashlib
import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cnnlit.data.image_folders import Imagenette
from cnnlit.data.sources import imagenette
from cnnlit.data.sources.class_names import IMAGENETTE
from cnnlit.data.sources.imagenette import Archive, obtain_imagenette
from cnnlit.data.stores.store_writer import Preparation

NAME = "imagenette2-160"


@pytest.fixture
def archive(tmp_path: Path, pack: Any, jpeg: Any) -> Path:
    """Imagenette in small: two training images and a validation image of each class."""
    members = {f"{NAME}/noisy_imagenette.csv": b"path\n"}
    for number, wnid in enumerate(IMAGENETTE):
        for split, count in (("train", 2), ("val", 1)):
            for index in range(count):
                members[f"{NAME}/{split}/{wnid}/{wnid}_{index}.JPEG"] = jpeg(10 * number + index)
    path: Path = pack(tmp_path / "served" / f"{NAME}.tgz", members)
    return path


@pytest.fixture
def publish(archive: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Say where the archive is, and that it is what was published."""

    def at(url: str, md5: str = "") -> None:
        published = Archive(url, md5 or hashlib.md5(archive.read_bytes()).hexdigest())
        monkeypatch.setitem(imagenette.PUBLISHED, "160px", published)

    return at


class Server(ThreadingHTTPServer):
    """Serves one file; `limit` bytes of each answer, and parts where `ranges` are known."""

    content = b""
    limit: int | None = None
    ranges = True
    asked: list[str | None]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server: Any = self.server
        asked = self.headers.get("Range")
        server.asked.append(asked)
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.ranges else 0
        if first and first >= len(server.content):
            self.send_error(416)
            return
        self.send_response(206 if first else 200)
        part = server.content[first:]
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part[: server.limit])
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(archive: Path, publish: Any) -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.content, server.asked = archive.read_bytes(), []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    publish(f"http://127.0.0.1:{server.server_port}/{NAME}.tgz")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(".") and path.name != ".lock")


def test_it_is_downloaded_and_recognised(server: Server, tmp_path: Path) -> None:
    root = tmp_path / "some" / "where"
    data = Imagenette(imagenette_size="160px", root=str(root), image_size=8, batch_size=4, num_workers=0)
    data.prepare_data()
    data.setup()
    assert data.num_images == {"train": 20, "val": 0, "test": 10}
    assert data.class_names == list(IMAGENETTE.values())
    assert data.find().layout == "Imagenette"
    assert hidden(root) == []
    data.prepare_data()
    assert server.asked == [None]


def test_a_store_of_it_is_found_in_the_root_and_nothing_is_downloaded(server: Server, tmp_path: Path) -> None:
    obtain_imagenette(tmp_path, "160px")
    listing = Imagenette(root=str(tmp_path / NAME), num_classes=10).find()
    store = Preparation(to=str(tmp_path / "store"), side=8).run(listing)
    data = Imagenette(root=str(store.folder), num_classes=10)
    data.prepare_data()
    assert data.find().layout == "prepared"
    assert len(server.asked) == 1


def test_it_is_found_in_the_root_itself(server: Server, tmp_path: Path) -> None:
    obtain_imagenette(tmp_path, "160px")
    data = Imagenette(root=str(tmp_path / NAME), num_classes=10)
    data.prepare_data()
    assert len(data.find().train) == 20
    assert len(server.asked) == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_broke_off_goes_on(server: Server, tmp_path: Path, ranges: bool) -> None:
    server.limit, server.ranges = 1000, ranges
    with pytest.raises(FileNotFoundError, match=r"no Imagenette in .*160\.tgz.* broke off after 1,000 of"):
        obtain_imagenette(tmp_path, "160px")
    assert not (tmp_path / NAME).exists()
    server.limit = None
    obtain_imagenette(tmp_path, "160px")
    assert server.asked == [None, "bytes=1000-"]
    assert len(list((tmp_path / NAME).rglob("*.JPEG"))) == 30
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("moment", ["downloaded", "unpacked"])
def test_one_that_was_killed_goes_on(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    child = os.fork()
    if not child:

        def die(*_: Any) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        if moment == "downloaded":
            imagenette._unpack = die
        else:
            os.replace = die  # type: ignore[assignment]
        obtain_imagenette(tmp_path, "160px")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not (tmp_path / NAME).exists()
    obtain_imagenette(tmp_path, "160px")
    assert len(list((tmp_path / NAME).rglob("*.JPEG"))) == 30
    assert hidden(tmp_path) == []


def test_another_file_is_refused_and_does_not_stay(server: Server, tmp_path: Path) -> None:
    server.content = server.content[:-1] + b"?"
    with pytest.raises(ValueError, match=r"160\.tgz has md5 \w+ in place of \w+"):
        obtain_imagenette(tmp_path, "160px")
    assert not (tmp_path / NAME).exists()
    assert hidden(tmp_path) == []


def test_a_local_address_will_do(archive: Path, publish: Any, tmp_path: Path) -> None:
    publish(archive.as_uri())
    obtain_imagenette(tmp_path, "160px")
    assert len(list((tmp_path / NAME).rglob("*.JPEG"))) == 30


def test_without_a_network_it_is_one_line_and_nothing_is_left(publish: Any, tmp_path: Path) -> None:
    publish(f"http://127.0.0.1:1/{NAME}.tgz")
    with pytest.raises(FileNotFoundError) as missing:
        obtain_imagenette(tmp_path / "new", "160px")
    for words in (str(tmp_path / "new" / NAME), "127.0.0.1:1", "refused", "data=synthetic"):
        assert words in str(missing.value)
    assert "\n" not in str(missing.value)
    assert not (tmp_path / "new").exists()
