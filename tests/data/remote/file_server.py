"""A web server of a folder on this machine, with the faults that such servers have."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote


class FileServer(ThreadingHTTPServer):
    """Serves a folder.

    Attributes:
        has_ranges: whether it sends parts of files.
        moved: it sends whoever asks for a file to the same below `/moved`.
        hangs_up: it closes a connection behind each answer, and does not say so.
        faults: how many of the next requests for ranges fail, by their kind: `busy` (503), `cut`, `refused` (403),
            `stall` (it sends half and waits), `gone` (404).
        ranges, connections: how many requests for ranges there were, and how many connections.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.has_ranges, self.moved, self.hangs_up = True, False, False
        self.faults: Counter[str] = Counter()
        self.ranges = self.connections = 0
        self.lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up is none."""

    def fault(self) -> str | None:
        with self.lock:
            self.ranges += 1
            kind = next(iter(+self.faults), None)
            if kind:
                self.faults[kind] -= 1
            return kind


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FileServer

    def do_GET(self) -> None:
        asked = unquote(self.path)
        path = self.server.folder / asked.removeprefix("/moved").strip("/")
        fault = self.server.fault() if "Range" in self.headers else None
        if fault in ("busy", "refused", "gone"):
            self.say({"busy": 503, "refused": 403, "gone": 404}[fault])
        elif path.is_dir():
            links = "".join(f'<a href="{each.name}{"/" * each.is_dir()}">.</a>' for each in sorted(path.iterdir()))
            self.say(200, links.encode(), {"Content-Type": "text/html"})
        elif not path.is_file():
            self.say(404)
        elif self.server.moved and not asked.startswith("/moved"):
            self.say(302, b"", {"Location": f"/moved{self.path}"})
        else:
            self.file(path.read_bytes(), fault)
        self.close_connection |= self.server.hangs_up or fault in ("cut", "stall")

    do_HEAD = do_GET  # noqa: N815

    def file(self, content: bytes, fault: str | None) -> None:
        accepts = {"Accept-Ranges": "bytes"} if self.server.has_ranges else {}
        if "Range" not in self.headers or not self.server.has_ranges:
            self.say(200, content, accepts)
            return
        first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        part = content[first : last + 1]
        told = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
        self.say(206, part, {**accepts, "Content-Range": told}, short=fault in ("cut", "stall"))
        if fault == "stall":
            time.sleep(3)

    def say(
        self, status: int, content: bytes = b"", headers: dict[str, str] | None = None, short: bool = False
    ) -> None:
        self.send_response_only(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if short else content)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def file_server(folder: Path) -> Iterator[FileServer]:
    server = FileServer(folder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def url_of(server: FileServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"
