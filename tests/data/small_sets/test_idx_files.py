"""MNIST's files are found wherever they usually lie, checked, or downloaded whole."""

import gzip
import hashlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cnnlit.data.small_sets.downloads import obtain
from cnnlit.data.small_sets.finding import find, locate
from cnnlit.data.small_sets.published import IDX, PUBLISHED_ERRORS, SETS, File

# Test index:truth>answer, as matched to the paper's Fig. 8.
FIGURE_8 = """
247:4>6 449:3>5 582:8>2 659:2>1 674:5>3 829:4>8 926:2>8 938:3>5 1014:6>5 1039:7>3 1232:9>4 1319:8>0 1328:7>8 1393:5>3
1530:8>7 1621:0>6 1681:3>7 1790:2>7 1878:8>3 1901:9>4 1955:8>2 2035:5>3 2043:4>8 2109:3>9 2118:6>0 2129:9>8 2130:4>9
2135:6>1 2293:9>4 2387:9>1 2414:9>4 2462:2>0 2654:6>1 2921:3>5 2927:3>2 2939:9>5 3030:6>0 3422:6>0 3520:6>0 3762:6>8
3780:4>6 3808:7>3 3869:9>4 3941:4>6 4176:2>7 4224:9>7 4265:4>3 4369:9>4 4405:9>4 4425:9>4 4497:8>7 4575:4>2 4601:8>4
4740:3>5 4956:8>4 5736:6>5 5749:8>5 5955:3>8 5973:3>8 6091:9>8 6101:1>5 6173:9>8 6538:6>3 6557:0>2 6558:6>5 6571:9>5
6597:0>7 6783:1>6 7434:4>9 8059:2>1 8094:2>8 8408:8>5 8527:4>9 9009:7>2 9015:7>2 9679:6>5 9692:9>7 9698:6>1 9729:5>6
9770:5>0 9792:4>9 9904:2>8
"""

Files = dict[str, bytes]


def idx(shape: tuple[int, ...], most: int, seed: int = 0) -> bytes:
    """An idx file of random bytes below `most`."""
    header = b"".join(number.to_bytes(4, "big") for number in (2048 + len(shape), *shape))
    return header + np.random.default_rng(seed).integers(0, most, shape, dtype=np.uint8).tobytes()


def four(train: int = 30, test: int = 10) -> Files:
    """A set in MNIST's format, name -> content."""
    counts = {name: train if name.startswith("train") else test for name in IDX}
    return {
        name: idx((count, 28, 28) if "images" in name else (count,), 200 if "images" in name else 10)
        for name, count in counts.items()
    }


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Files:
    """A set in MNIST's format, 30 training and 10 test images, in place of the published one."""
    files = four()
    described = tuple(
        File(f"{name}.gz", md5(gzip.compress(content, mtime=0)), md5(content)) for name, content in files.items()
    )
    monkeypatch.setitem(SETS, "mnist", SETS["mnist"]._replace(files=described, counts=(30, 10)))
    return files


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def find_mnist(root: Path) -> Path:
    """The folder that it is found in."""
    return locate(SETS["mnist"], root)[0].path


def read_mnist(root: Path) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    found = find(SETS["mnist"], root).contents
    assert found.test
    return found.train.pixels[:, 0], found.train.labels, found.test.pixels[:, 0], found.test.labels


def obtain_mnist(root: Path, mirrors: list[str]) -> None:
    obtain(SETS["mnist"]._replace(mirrors=tuple(mirrors)), root)


def lay(files: Files, folder: Path, form: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if form == "packed":
            (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
        else:
            (folder / (name.replace("-idx", ".idx") if form == "dotted" else name)).write_bytes(content)


def assert_read(root: Path, files: Files) -> None:
    """What is read is what the files hold, past their headers of 16 and 8 bytes."""
    for part, content in zip(read_mnist(root), files.values(), strict=True):
        header = 16 if part.dtype == torch.uint8 else 8
        assert part.dtype == (torch.uint8 if header == 16 else torch.int64)
        assert part.to(torch.uint8).numpy().tobytes() == content[header:]


@pytest.mark.parametrize("folder", ["", "MNIST/raw", "raw", "MNIST", "mnist"])
@pytest.mark.parametrize("form", ["unpacked", "packed", "dotted"])
def test_files_are_found_in_every_usual_form(tmp_path: Path, made: Files, folder: str, form: str) -> None:
    lay(made, tmp_path / folder, form)
    assert find_mnist(tmp_path) == tmp_path / folder
    assert_read(tmp_path, made)


def test_a_folder_that_holds_all_is_preferred_to_one_that_holds_some(tmp_path: Path, made: Files) -> None:
    lay(dict(list(made.items())[:2]), tmp_path, "unpacked")
    lay(made, tmp_path / "raw", "packed")
    assert find_mnist(tmp_path) == tmp_path / "raw"


def test_a_missing_file_is_named(tmp_path: Path, made: Files) -> None:
    lay({name: content for name, content in made.items() if "t10k-labels" not in name}, tmp_path, "packed")
    with pytest.raises(
        FileNotFoundError, match=f"t10k-labels-idx1-ubyte .* not in {re.escape(str(tmp_path))}"
    ) as missing:
        find(SETS["mnist"], tmp_path)
    assert "train-images" not in str(missing.value)


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


def undeflatable(content: bytes) -> bytes:
    """In a packed file, the first block after the header is of a type that there is not."""
    return content[:10] + b"\x07" + content[11:]


def halved(content: bytes) -> bytes:
    return content[: len(content) // 2]


def emptied(content: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [flipped, undeflatable, halved, emptied])
@pytest.mark.parametrize("form", ["unpacked", "packed"])
def test_a_damaged_file_is_refused_by_its_path(
    tmp_path: Path, made: Files, form: str, damage: Callable[[bytes], bytes]
) -> None:
    lay(made, tmp_path, form)
    (path,) = tmp_path.glob("t10k-images*")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=re.escape(str(path))) as refusal:
        read_mnist(tmp_path)
    assert "\n" not in str(refusal.value)


def test_a_damaged_header_of_a_packed_file_is_refused(tmp_path: Path, made: Files) -> None:
    lay(made, tmp_path, "packed")
    path = tmp_path / "train-labels-idx1-ubyte.gz"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(ValueError, match=re.escape(str(path))):
        read_mnist(tmp_path)


Answer = tuple[int, bytes, int]
"""Status, body, and the length that is announced; -1 for a body in chunks."""


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[str], Answer]], str]]:
    """Starts a server on the loopback that answers by file name; gives its address as a mirror's."""
    monkeypatch.setenv("no_proxy", "*")
    servers = []

    def start(answer: Callable[[str], Answer]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body, length = answer(self.path.rpartition("/")[2])
                self.send_response(status)
                chunks = ("Transfer-Encoding", "chunked")
                self.send_header(*(chunks if length < 0 else ("Content-Length", str(length))))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/mnist/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def packed(files: Files, name: str) -> Answer:
    body = gzip.compress(files[name.removesuffix(".gz")], mtime=0)
    return 200, body, len(body)


def dead_mirror() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/"


def test_a_missing_set_without_network_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    root = tmp_path / "data"
    mirror = dead_mirror()
    with pytest.raises(FileNotFoundError) as missing:
        obtain_mnist(root, [mirror])
    message = str(missing.value)
    assert "\n" not in message
    for said in (str(root), mirror, "refused", "data.root", "data=digits"):
        assert said in message
    assert list(tmp_path.iterdir()) == []


def test_a_mirror_is_used_when_those_before_it_are_dead(tmp_path: Path, made: Files, serve: Any) -> None:
    asked = []

    def answer(name: str) -> Answer:
        asked.append(name)
        return packed(made, name)

    obtain_mnist(tmp_path, [dead_mirror(), serve(lambda name: (404, b"", 0)), serve(answer), dead_mirror()])
    assert asked == [f"{name}.gz" for name in made]
    assert sorted(path.name for path in (tmp_path / "MNIST" / "raw").iterdir()) == sorted(asked)
    assert_read(tmp_path, made)


def test_files_that_are_there_are_not_downloaded(tmp_path: Path, made: Files) -> None:
    lay(made, tmp_path, "packed")
    obtain_mnist(tmp_path, [dead_mirror()])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{name}.gz" for name in made)


def cut_off(body: bytes) -> Answer:
    return 200, body[: len(body) // 2], len(body)


def cut_off_in_a_chunk(body: bytes) -> Answer:
    return 200, f"{len(body):x}\r\n".encode() + body[: len(body) // 2], -1


def short(body: bytes) -> Answer:
    return 200, body[: len(body) // 2], len(body) // 2


def garbled(body: bytes) -> Answer:
    return 200, undeflatable(body), len(body)


def another(body: bytes) -> Answer:
    page = gzip.compress(b"a page of a hotel's network")
    return 200, page, len(page)


def not_packed(body: bytes) -> Answer:
    page = b"<html>"
    return 200, page, len(page)


@pytest.mark.parametrize("damage", [cut_off, cut_off_in_a_chunk, short, garbled, another, not_packed])
def test_a_damaged_download_leaves_no_file_and_the_next_try_needs_no_more_than_was_missing(
    tmp_path: Path, made: Files, serve: Any, damage: Callable[[bytes], Answer]
) -> None:
    asked = []

    def answer(name: str) -> Answer:
        asked.append(name)
        whole = packed(made, name)
        return damage(whole[1]) if asked.count(name) == 1 and "t10k-images" in name else whole

    mirror = serve(answer)
    with pytest.raises(FileNotFoundError, match=re.escape(mirror)) as missing:
        obtain_mnist(tmp_path / "data", [mirror])
    assert "\n" not in str(missing.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and not path.name.startswith(".")] == []
    obtain_mnist(tmp_path / "data", [mirror])
    assert_read(tmp_path / "data", made)
    assert [name.split("-ubyte")[0] for name in asked[2:]] == ["t10k-images-idx3"] * 2 + ["t10k-labels-idx1"]


@pytest.mark.parametrize("damage", [cut_off, garbled])
def test_a_damaged_download_is_made_up_for_by_the_next_mirror(
    tmp_path: Path, made: Files, serve: Any, damage: Callable[[bytes], Answer]
) -> None:
    obtain_mnist(tmp_path, [serve(lambda name: damage(packed(made, name)[1])), serve(lambda name: packed(made, name))])
    assert_read(tmp_path, made)


def test_the_published_errors_are_those_of_figure_8() -> None:
    decoded = [re.split("[:>]", error) for error in FIGURE_8.split()]
    assert {int(index): int(answer) for index, _, answer in decoded} == PUBLISHED_ERRORS
    assert len(PUBLISHED_ERRORS) == 82


@pytest.fixture(scope="module")
def read(real_mnist: Path) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return read_mnist(real_mnist)


def test_mnist_counts_are_those_published(read: tuple[Tensor, ...]) -> None:
    assert [tuple(part.shape) for part in read] == [(60_000, 28, 28), (60_000,), (10_000, 28, 28), (10_000,)]
    assert [part.dtype for part in read] == [torch.uint8, torch.int64] * 2
    assert read[1].bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def test_mnist_has_its_mean_and_deviation(read: tuple[Tensor, ...]) -> None:
    # Counted by value, exactly.
    for images, mean, std, digits in ((read[0], 0.130660, 0.308108, 6), (read[2], 0.1325, 0.3105, 4)):
        counts = images.flatten().bincount(minlength=256).double() / images.numel()
        values = torch.arange(256) / 255
        average = (counts * values).sum()
        assert round(average.item(), digits) == mean
        assert round((counts * (values - average) ** 2).sum().sqrt().item(), digits) == std


def test_the_published_errors_are_errors(read: tuple[Tensor, ...]) -> None:
    labels = read[3]
    for index, truth, answer in (map(int, re.split("[:>]", error)) for error in FIGURE_8.split()):
        assert labels[index] == truth != answer


def test_real_files_are_read_unpacked_and_by_link(real_mnist: Path, tmp_path: Path, read: tuple[Tensor, ...]) -> None:
    for path in sorted(find_mnist(real_mnist).glob("*ubyte*")):
        if "t10k" in path.name:
            (tmp_path / path.name.removesuffix(".gz")).write_bytes(gzip.decompress(path.read_bytes()))
        else:
            (tmp_path / path.name).symlink_to(path.resolve())
    assert all(map(torch.equal, read_mnist(tmp_path), read))
