"""W&B's server on this machine, as far as wandb-workspaces asks it: it keeps views, and the specifications sent."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VIEWER = {"id": "1", "entity": "me", "username": "me", "email": "me@example.org", "flags": "{}", "teams": {"edges": []}}
PROJECT = {"__typename": "Project", "id": "7", "name": "cnnlit", "entityName": "me", "user": None}


class DashboardServer:
    """Answers at `url`; `views` is what it keeps, by id, each with `type`, `displayName` and `spec` (parsed).

    Args:
        configs: of the runs in me/cnnlit, the only project.
    """

    def __init__(self, configs):
        self.configs = configs
        self.views = {}
        self.asked = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def of(self, kind):
        """All views of a kind: `project-view`, a workspace; `runs`, a report."""
        return [view for view in self.views.values() if view["type"] == kind]

    def _handler(server):  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                answer = {}
                if self.path == "/graphql":
                    request = json.loads(content)
                    answer = {"data": server._answer(request["query"], request.get("variables") or {})}
                content = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args):
                pass

        return Handler

    def _answer(self, query, given):
        self.asked.append(query.split("(")[0].split()[1])
        here = (given.get("entity"), given.get("project")) == ("me", "cnnlit")
        page = {"__typename": "PageInfo", "hasNextPage": False, "endCursor": None}
        if "upsertView" in query:
            return {"upsertView": self._upsert(given)}
        if "allViews" in query:  # two a page
            kept = self.of(given["type"])
            start = int(given["cursor"] or 0)
            nodes = [{key: view[key] for key in ("id", "name", "displayName")} for view in kept[start : start + 2]]
            page |= {"hasNextPage": start + 2 < len(kept), "endCursor": str(start + 2)}
            return (
                {"project": {"allViews": {"edges": [{"node": node} for node in nodes], "pageInfo": page}}}
                if here
                else {"project": None}
            )
        if "runs(" in query:
            chosen = json.loads(given["filters"])
            runs = [run for run in self.configs if all(run[key] == value for key, value in chosen.items())]
            nodes = [{"config": json.dumps({k: {"value": v} for k, v in run["config"].items()})} for run in runs]
            return {
                "project": {"runs": {"edges": [{"node": node} for node in nodes[: given["first"]]]}} if here else None
            }
        if "models(" in query:
            project = PROJECT | {"createdAt": "2026-01-01T00:00:00", "isBenchmark": False}
            return {"models": {"edges": [{"node": project}], "pageInfo": page}}
        if "viewer" in query:
            keys = {"__typename": "User", "name": "Me", "admin": False, "deletedAt": None, "apiKeys": {"edges": []}}
            return {"viewer": VIEWER | keys}
        raise AssertionError(query)

    def _upsert(self, given):
        known = {"project": {"id": "7", "name": given["projectName"], "entityName": given["entityName"]}}
        new = not given.get("id")
        number = f"view{len(self.views)}" if new else given["id"]
        assert new or number in self.views
        kept = {"id": number, "type": given["type"], "name": given["name"], "displayName": given["displayName"]}
        self.views[number] = kept | {"spec": json.loads(given["spec"]), **known}
        sent = {"spec": given["spec"], "description": "", "updatedAt": "2026-01-01T00:00:00"}
        return {"view": kept | known | sent, "inserted": new}
