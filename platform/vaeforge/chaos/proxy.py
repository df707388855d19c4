"""Small proxy before a tracking server, which answers as gateways and failing servers do when it is told to."""

import http.client
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Mode = Literal["pass", "401", "503", "504", "late", "reset", "silent"]
SILENT_SECONDS = 20.0
CONNECTION_HEADERS = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class TrackingProxy:
    """A server on this machine that passes requests on to another port.

    Attributes:
        mode: `pass`; `401` and `503` answer so at once; `504` has every change made and answers it with 504, as a
            gateway does that has waited too long, and passes what only reads; `late` answers the same and has the
            change made once `release` is set; `reset` closes the connection; `silent` does not answer for 20 s.
        only: what the path of a request must contain for that; others are passed on.
        refused: how many requests were not answered as the server would have.
    """

    def __init__(self, target_port: int):
        self.target_port = target_port
        self.mode: Mode = "pass"
        self.refused = 0
        self.only = ""
        self.release = threading.Event()
        self.late: list[threading.Thread] = []
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    owner: TrackingProxy
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        mode = self.owner.mode
        if mode == "pass" or self.owner.only not in self.path or (mode in ("504", "late") and self._only_reads()):
            self._pass_on(content)
            return
        self.owner.refused += 1
        if mode == "504":
            self._ask(content)
        if mode == "silent":
            self._wait()
        if mode == "late":
            self.close_connection = True  # this request stays what it is
            self.owner.late.append(threading.Thread(target=self._ask_late, args=(content,), daemon=True))
            self.owner.late[-1].start()
        if mode in ("reset", "silent"):
            self.close_connection = True
        else:
            self._send(504 if mode == "late" else int(mode), {"Content-Type": "text/plain"}, b"said by the proxy")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _answer  # noqa: N815 (names of the standard library)

    def _only_reads(self) -> bool:
        return self.command in ("GET", "HEAD") or self.path.split("?")[0].endswith("/search")

    def _wait(self) -> None:
        deadline = time.monotonic() + SILENT_SECONDS
        while self.owner.mode == "silent" and time.monotonic() < deadline:
            time.sleep(0.1)

    def _ask_late(self, content: bytes) -> None:
        self.owner.release.wait()
        self._ask(content)

    def _pass_on(self, content: bytes) -> None:
        answer = self._ask(content)
        if answer is None:
            self._send(502, {"Content-Type": "text/plain"}, b"the server does not answer")
        else:
            self._send(*answer)

    def _ask(self, content: bytes) -> tuple[int, dict[str, str], bytes] | None:
        """The server's answer; none where there is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.owner.target_port, timeout=60)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in CONNECTION_HEADERS}
        try:
            connection.request(self.command, self.path, content, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in CONNECTION_HEADERS:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not news."""
