"""A real S3 server on this machine, and a proxy before it that is slow, busy, or cuts answers short."""

import http.client
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BUCKET = "pictures"
SECRET = "hidden-key-of-the-bucket"
KINDS = ("tar", "parquet", "store", "raw")


class Proxy(ThreadingHTTPServer):
    """Hands requests on.

    Attributes:
        faults: how many of the next requests for ranges fail, by their kind: `busy` (503), `cut`, `refused` (403).
        seconds: that every answer takes longer.
        ranges: how many requests for ranges were made.
    """

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream = port
        self.faults: Counter[str] = Counter()
        self.seconds = 0.0
        self.ranges = 0
        self.lock = threading.Lock()

    def handle_error(self, *_: Any) -> None:
        """A client that has hung up, or a server behind that has ended, is none."""

    def fault(self) -> str | None:
        """The fault of this request."""
        with self.lock:
            self.ranges += 1
            kind = next((kind for kind, count in self.faults.items() if count > 0), None)
            if kind:
                self.faults[kind] -= 1
            return kind


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def handle_request_of_any_kind(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.fault() if "Range" in self.headers else None
        time.sleep(self.server.seconds)
        if fault in ("busy", "refused"):
            self.answer(503 if fault == "busy" else 403, {}, b"")
            return
        there = http.client.HTTPConnection("127.0.0.1", self.server.upstream)
        there.request(self.command, self.path, body, dict(self.headers))
        reply = there.getresponse()
        content = reply.read()
        self.answer(reply.status, dict(reply.getheaders()), content, cut=fault == "cut")
        there.close()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_request_of_any_kind  # noqa: N815

    def answer(self, status: int, headers: dict[str, str], content: bytes, cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        self.close_connection = cut

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def object_store() -> Iterator[Proxy]:
    """A bucket behind a proxy; `AWS_ENDPOINT_URL` has to be `url_of` it."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    proxy = Proxy(int(port))
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        server.stop()


@contextmanager
def google_store() -> Iterator[Proxy]:
    """A bucket as Google has them, behind a proxy; `STORAGE_EMULATOR_HOST` has to be `url_of` it."""
    from gcp_storage_emulator.server import create_server

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket=BUCKET)
    server.start()
    proxy = Proxy(port)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        server.stop()


def url_of(proxy: Proxy) -> str:
    return f"http://127.0.0.1:{proxy.server_address[1]}"


def upload(folder: Path, to: str) -> str:
    """Copy a folder into the bucket; its address."""
    import s3fs

    files = s3fs.S3FileSystem(skip_instance_cache=True)
    if not files.exists(BUCKET):
        files.mkdir(BUCKET)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.relative_to(folder).parts[0].startswith("."):
            files.put_file(str(path), f"{BUCKET}/{to}/{path.relative_to(folder)}")
    return f"s3://{BUCKET}/{to}"
