"""As much of W&B's server as its client asks for, on this machine, and what becomes of a network."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class WandbServer:
    """Keeps what runs log; `broken` says what it does from then on.

    Attributes:
        broken: None; `dropped`, the connection is closed without an answer; `silent`, it is held and nothing comes;
            `garbage`, an answer of bytes that mean nothing; or an HTTP status that answers all.
        asked_for: the hosts that were asked for, where this stands for a proxy.
        runs: run id -> the rows of its history.
        summaries: run id -> its summary.
        started: how often a run was begun or gone on with, by id.
        artifacts: name of an artifact that was uploaded to its end -> what was said of it.
        uploaded: name of an artifact's file -> its content.
    """

    def __init__(self, broken: str | int | None = None) -> None:
        self.broken = broken
        self.runs: dict[str, list[dict[str, Any]]] = {}
        self.summaries: dict[str, str] = {}
        self.started: list[str] = []
        self.artifacts: dict[str, dict[str, Any]] = {}
        self.uploaded: dict[str, bytes] = {}
        self.asked_for: set[str] = set()
        self._offered: dict[str, Any] = {}
        self._closed = threading.Event()
        self.logged = threading.Event()
        self.refused = threading.Event()
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                host, _, path = self.path.removeprefix("http://").partition("/")
                if host:  # as a proxy is asked
                    backend.asked_for.add(host)
                    self.path = f"/{path}"
                if backend.broken == "silent":
                    backend.refused.set()
                    backend._closed.wait()
                elif backend.broken == "dropped":
                    backend.refused.set()
                    self.close_connection = True
                    self.connection.close()
                elif backend.broken == "garbage":
                    backend.refused.set()
                    self._send(bytes(range(256)), 200)
                elif backend.broken:
                    backend.refused.set()
                    self._answer({"error": "not now"}, int(backend.broken))
                elif self.path == "/graphql":
                    self._answer({"data": backend.query(json.loads(body))})
                elif self.path.endswith("/file_stream"):
                    backend.take(self.path.split("/")[-2], json.loads(body))
                    self._answer({})
                elif self.path.startswith("/artifact/"):
                    backend.uploaded[self.path.removeprefix("/artifact/")] = body
                    self._answer({})
                else:
                    self._answer({})

            do_PUT = do_POST  # noqa: N815

            def do_GET(self) -> None:
                self._answer({}, 404)

            def _answer(self, content: Any, status: int = 200) -> None:
                self._send(json.dumps(content).encode(), status)

            def _send(self, text: bytes, status: int) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def query(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The answers that the client cannot do without."""
        given = asked.get("variables") or {}
        run = given.get("name")
        entity = {"id": "e", "name": "me"}
        match asked.get("operationName"):
            case "Viewer":
                viewer = {"id": "u", "entity": "me", "username": "me", "email": "", "flags": "{}"}
                return {"viewer": {**viewer, "teams": {"edges": []}}}
            case "RunResumeStatus" if run in self.runs:
                rows = self.runs[run]
                status = {"id": run, "name": run, "displayName": run, "config": "{}", "tags": [], "notes": None}
                status |= {"summaryMetrics": self.summaries.get(run, "{}")}
                status |= {"wandbConfig": json.dumps({"t": {}})}  # by which the client knows a run that has begun
                status |= {"logLineCount": 0, "eventsLineCount": 0, "eventsTail": "[]"}
                status |= {"historyLineCount": len(rows), "historyTail": json.dumps([json.dumps(r) for r in rows[-1:]])}
                return {"model": {"id": "p", "name": "cnnlit", "entity": entity, "bucket": status}}
            case "UpsertBucket":
                inserted = run not in self.runs
                self.runs.setdefault(run, [])
                self.started.append(run)
                project = {"id": "p", "name": given["project"], "entity": entity}
                bucket = {"id": run, "name": run, "displayName": run, "config": "{}", "project": project}
                return {"upsertBucket": {"bucket": {**bucket, "historyLineCount": 0}, "inserted": inserted}}
            case "CreateRunFiles":
                files = [{"name": name, "uploadUrl": f"{self.url}/upload"} for name in given["files"]]
                return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}
        return self._of_artifacts(asked)

    def _of_artifacts(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What uploads an artifact: its record, its manifest, its files, and that it is whole."""
        if "query ArtifactType(" in asked["query"]:
            return {"project": {"artifact": None}}
        given = (asked.get("variables") or {}).get("input", {})
        place = {"uploadHeaders": [], "uploadMultipartUrls": None, "storagePath": "", "artifact": {"id": "a"}}
        manifest = {"artifactManifest": {"id": "m", "file": {**place, "uploadUrl": f"{self.url}/artifact/manifest"}}}
        match asked.get("operationName"):
            case "CreateArtifact":
                self._offered = given
                sequence = {"id": "s", "latestArtifact": None}
                return {"createArtifact": {"artifact": {"id": "a", "state": "PENDING", "artifactSequence": sequence}}}
            case "CreateArtifactManifest":
                return {"createArtifactManifest": manifest}
            case "UpdateArtifactManifest":
                return {"updateArtifactManifest": manifest}
            case "CreateArtifactFiles":
                urls = [f"{self.url}/artifact/{each['name']}" for each in given["artifactFiles"]]
                edges = [{"node": {**place, "uploadUrl": url}} for url in urls]
                return {"createArtifactFiles": {"files": {"edges": edges}}}
            case "CommitArtifact":
                self.artifacts[self._offered["artifactCollectionName"]] = self._offered
                return {"commitArtifact": {"artifact": {"id": "a", "digest": ""}}}
        return {}

    def take(self, run: str, stream: dict[str, Any]) -> None:
        """Rows of history and the summary."""
        files = stream.get("files", {})
        for line in files.get("wandb-history.jsonl", {}).get("content", []):
            self.runs[run].append(json.loads(line))
            self.logged.set()
        for line in files.get("wandb-summary.json", {}).get("content", []):
            self.summaries[run] = line

    def close(self) -> None:
        self._closed.set()
        self.server.shutdown()
        self.server.server_close()
