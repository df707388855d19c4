"""Real MLflow server of a chaos run, which can be killed and started again, behind a proxy that keeps its address."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from vaeforge.chaos.proxy import TrackingProxy
from vaeforge.errors import TrackingError

START_SECONDS = 600.0
# no telemetry, and no second process for jobs that nobody here gives it
SETTINGS = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


class TrackingServer:
    """`mlflow server` over a database in `folder`, and the proxy that searches are told.

    Attributes:
        database: its URI, for who reads it without the server.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.database = f"sqlite:///{folder / 'mlflow.db'}"
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.proxy = TrackingProxy(self._port)

    def start(self) -> None:
        """Start the server, and wait until it answers.

        Raises:
            TrackingError: if it does not within ten minutes.
        """
        place = ["--host", "127.0.0.1", "--port", str(self._port), "--workers", "1"]
        store = ["--backend-store-uri", self.database, "--artifacts-destination", str(self.folder / "mlartifacts")]
        environment = {**os.environ, **SETTINGS}
        with (self.folder / "mlflow-server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *place, *store],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=log,
                process_group=0,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise TrackingError(f"mlflow server: does not answer; see {self.folder / 'mlflow-server.log'}")
            time.sleep(0.2)

    def kill(self) -> None:
        """End the server and its workers without a word."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        self.kill()
        self.proxy.close()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
