"""Search under chaos: a project of its own, and real sessions of `vaeforge tune` in it, one after the other."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from vaeforge.chaos.observed import ObservedLedger
from vaeforge.chaos.processes import MARK, noted
from vaeforge.chaos.tracking_server import TrackingServer
from vaeforge.data.data_sets import IN_USE
from vaeforge.errors import SearchError
from vaeforge.paths import PACKAGE, Project
from vaeforge.search.search_lock import NotedProcess

NAME = "chaos"
TRIALS = 16  # by which the search is extended each time that it is complete before the time is up
SILENCE = 420.0  # seconds without a new line in the ledger after which the search counts as hanging
NOT_INHERITED = ("MLFLOW_", "RAY_ADDRESS")


class ChaosSearch:
    """The search that faults are injected into.

    Attributes:
        root: of its project: a copy of the data, the parameters and the spaces of the caller's.
        folder: of the search.
        sessions: how many have been started.
        seen: processes that were seen to work for it.
    """

    def __init__(self, project: Project, family: str, root: Path):
        self.root, self.family = root, family
        self.folder = Project(root).search(NAME)
        self.ledger = ObservedLedger(self.folder / "ledger.jsonl")
        self.trials, self.sessions = TRIALS, 0
        self.seen: set[NotedProcess] = set()
        _copy(project, family, root)
        self.server = TrackingServer(root)
        self.server.start()
        # Ray's sessions that are killed leave their folders behind
        self._scratch = Path(tempfile.mkdtemp(prefix="vaeforge-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._newest = (0, time.monotonic())

    @property
    def mark(self) -> str:
        return str(self.root)

    @property
    def driver(self) -> psutil.Process:
        assert self._process is not None
        return psutil.Process(self._process.pid)

    @property
    def log(self) -> Path:
        """The output of the newest session."""
        return self.root / f"session-{self.sessions:03d}.log"

    def extend(self) -> None:
        """Ask for more trials from the next session on."""
        self.trials += TRIALS

    def start(self) -> None:
        """Start the search, or resume it where it was started before."""
        self.sessions += 1
        self.ledger.look()
        resume = ["--resume", "true"] if self.ledger.history.header is not None else []
        call = ["tune", "--family", self.family, "--name", NAME, "--trials", str(self.trials), *resume]
        self._process = self._call(*call, "--register", "false")
        self._newest = (0, time.monotonic())

    def sync(self) -> int:
        """Bring MLflow up to date; the exit code."""
        self.sessions += 1
        return self._call("sync", "--name", NAME).wait(600)

    def _call(self, *arguments: str) -> "subprocess.Popen[bytes]":
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(NOT_INHERITED)}
        path = os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]))
        own = {MARK: self.mark, "MLFLOW_TRACKING_URI": self.server.proxy.uri, "TMPDIR": str(self._scratch)}
        with self.log.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "vaeforge", *arguments],
                cwd=self.root,
                env={**inherited, **own, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def poll(self) -> int | None:
        """Look at ledger and processes; the session's exit code, once it has ended.

        Raises:
            SearchError: if it runs and has written nothing for `SILENCE`; it is killed.
        """
        assert self._process is not None
        code = self._process.poll()
        count = self.ledger.look()
        if count != self._newest[0]:
            self._newest = (count, time.monotonic())
        if code is None:
            self._remember()
            if time.monotonic() - self._newest[1] > SILENCE:
                self.kill()
                raise SearchError(f"session {self.sessions}: wrote nothing for {SILENCE:.0f} s; see {self.log}")
        return code

    def _remember(self) -> None:
        try:
            found = self.driver.children(recursive=True)
        except psutil.NoSuchProcess:
            return
        self.seen |= {one for process in found if (one := noted(process)) is not None}

    def kill(self) -> None:
        """End the session's process, where it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def said(self, characters: int = 600) -> str:
        """The end of the newest session's output."""
        return self.log.read_text(errors="replace")[-characters:]

    def close(self) -> None:
        self.kill()
        self.server.close()
        shutil.rmtree(self._scratch, ignore_errors=True)


def _copy(project: Project, family: str, root: Path) -> None:
    """What a search of the family needs of a project."""
    root.mkdir(parents=True)
    shutil.copytree(project.data(family), Project(root).data(family))
    shutil.copytree(project.root / "tune_spaces", root / "tune_spaces")
    for name in ("params.yaml", IN_USE):
        if (project.root / name).exists():
            shutil.copy(project.root / name, root)
