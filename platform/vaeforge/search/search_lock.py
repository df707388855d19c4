"""Lock on a search: one process at a time runs it; what a killed one left behind is ended by the next."""

import contextlib
import json
import os
import signal
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from vaeforge.errors import SearchError
from vaeforge.paths import is_anothers, write_json

GRACE_SECONDS = 20.0
OWN = {"lock", "processes.json"}  # files of a search's folder that are written before its ledger
LOOK_SECONDS = 1.0  # for which whoever only looks whether a search runs may hold its lock


@dataclass(frozen=True)
class NotedProcess:
    """A process as `processes.json` names it: its id, and when it was created, because ids are reused.

    Attributes:
        folder: of the search that it works for; the list is copied along with a project, whose original may still run.
    """

    pid: int
    started: float
    folder: str = ""


class SearchLock:
    """The lock on a search's folder, and a list of the processes that work for it."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if is_anothers(folder):
            raise SearchError(f"{folder}: belongs to another user; a search is resumed by its owner only")
        self._lock = FileLock(folder / "lock", thread_local=False, preserve_lock_file=True, fallback_to_soft=False)
        self._acquire()

    def _acquire(self) -> None:
        """Take the lock.

        Raises:
            SearchError: naming the process and machine that hold it.
        """
        try:
            self._lock.acquire(timeout=LOOK_SECONDS)
        except Timeout:
            holder = (self.folder / "lock").read_text() or "another process"
            raise SearchError(
                f"search {self.folder.name!r} is already running: {holder}; wait for it or end it"
            ) from None
        (self.folder / "lock").write_text(f"process {os.getpid()} on {socket.gethostname()}")

    def remember(self) -> None:
        """Note this process's children, so that they can be found should this process be killed.

        A disk that takes no note now is no reason to end a search: the next call, seconds later, tries again.
        """
        children = [(p.pid, _started(p)) for p in psutil.Process().children(recursive=True)]
        folder = str(self.folder)
        found = [NotedProcess(pid, started, folder) for pid, started in children if started is not None]
        with contextlib.suppress(OSError):
            write_json(self.folder / "processes.json", [asdict(process) for process in found])

    def end_leftovers(self) -> int:
        """End the processes that an earlier session noted and that still run; returns how many there were.

        In a copied project those of the original are left alone.
        """
        noted = [
            item
            for item in noted_processes(self.folder)
            if item.folder in ("", str(self.folder)) or not Path(item.folder).exists()
        ]
        alive = [process for item in noted if (process := find_process(item.pid, item.started)) is not None]
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + GRACE_SECONDS
        while any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in alive if psutil.pid_exists(p.pid)):
            if time.monotonic() > deadline:
                raise SearchError(f"processes {[p.pid for p in alive]} of an earlier session could not be ended")
            time.sleep(0.1)
        return len(alive)

    def discard(self) -> None:
        """Remove the search's folder where it holds nothing but this lock's own files; else it stays."""
        with contextlib.suppress(OSError):
            if {path.name for path in self.folder.iterdir()} <= OWN:
                for name in OWN:
                    (self.folder / name).unlink(missing_ok=True)
                self.folder.rmdir()

    def close(self) -> None:
        """Give the lock back."""
        self._lock.release()


def noted_processes(search_folder: Path) -> list[NotedProcess]:
    """The processes that a search has noted; none where there is no list or it cannot be read."""
    try:
        noted = json.loads((search_folder / "processes.json").read_text())
        return [NotedProcess(int(one["pid"]), float(one["started"]), str(one.get("folder", ""))) for one in noted]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _started(process: psutil.Process) -> float | None:
    try:
        return float(process.create_time())
    except psutil.NoSuchProcess:
        return None


def find_process(pid: int, started: float) -> psutil.Process | None:
    """The running process of this id, if its start time agrees."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < 1.0
    except psutil.NoSuchProcess:
        return None
    return process if same and process.pid != os.getpid() else None
