"""Page of a search in the browser, which keeps itself up to date: an HTTP server on this machine's loopback alone.

It only reads, answers GET of two addresses, and takes no other name than its own in `Host`, so that no page of another
origin reaches it through a name that leads here. The page holds its own script, and shows texts as texts.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from vaeforge.records import to_json
from vaeforge.search.progress_view import counted, describe
from vaeforge.search.space.objective import METRIC
from vaeforge.track.report_artifact import REPORT
from vaeforge.watch.followed import FollowedSearch

HOST = "127.0.0.1"
ANY_PORT = 0
SHOWN = 40  # of the trials that have ended, the newest
PAGE = Path(__file__).parent / "page.html"
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def state_of(followed: FollowedSearch) -> dict[str, Any]:
    """What the page shows."""
    standing, history = followed.look(SHOWN), followed.history
    snapshot = standing.snapshot
    rows = sorted(snapshot.trials, key=lambda trial: (trial.state not in ("running", "waiting"), -trial.trial))
    return {
        "name": followed.folder.name,
        "metric": METRIC,
        "over": standing.over,
        "waits": standing.waits,
        "ended": snapshot.ended,
        "total": followed.total,
        "counts": counted(snapshot.counts),
        "best": to_json(snapshot.best),
        "epochs": followed.epochs,
        "trials": [
            {
                "trial": one.trial,
                "state": one.state,
                "epoch": one.epoch,
                "value": one.value,
                "parameters": describe(one.params),
            }
            for one in rows
        ],
        "values": [[trial.number, trial.state, trial.value] for trial in history.ended_trials],
        "report": str(followed.folder / REPORT) if (followed.folder / REPORT).exists() else None,
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder: Path):
        self.followed, self.lock = FollowedSearch(folder), threading.Lock()
        super().__init__((HOST, ANY_PORT), _Handler)

    @property
    def names(self) -> tuple[str, ...]:
        """What may stand in `Host`."""
        return f"{HOST}:{self.server_port}", f"localhost:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        if self.headers.get("Host") not in self.server.names:
            self._answer(403, "text/plain", b"this page is read at its own address alone\n")
        elif self.path == "/":
            self._answer(200, "text/html", PAGE.read_bytes())
        elif self.path == "/state.json":
            with self.server.lock:
                state = state_of(self.server.followed)
            self._answer(200, "application/json", json.dumps(state, allow_nan=False).encode())
        else:
            self._answer(404, "text/plain", b"here are / and /state.json\n")

    def _answer(self, code: int, kind: str, content: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal shows the search."""


@contextmanager
def serve_page(folder: Path) -> Iterator[str]:
    """Serve the page of the search in `folder`; its address."""
    server = _Server(folder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
