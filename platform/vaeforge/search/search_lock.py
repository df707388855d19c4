"""One process at a time runs a search; what a killed one left behind is ended by the next."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import psutil

from vaeforge.errors import SearchError
from vaeforge.paths import write_json

GRACE_SECONDS = 20.0
LOOK_SECONDS = 1.0  # for which whoever only looks whether a search runs may hold its lock


class Session:
    """The lock on a search's folder, and a list of the processes that work for it."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise SearchError(f"{folder}: belongs to another user; a search is resumed by its owner only")
        self._lock = (folder / "lock").open("a+")
        self._acquire()

    def _acquire(self) -> None:
        """Take the lock.

        Raises:
            SearchError: naming the process and machine that hold it.
        """
        deadline = time.monotonic() + LOOK_SECONDS
        while not self._locked() and time.monotonic() < deadline:
            time.sleep(0.05)
        if not self._locked():
            self._lock.seek(0)
            holder = self._lock.read().strip() or "another process"
            self._lock.close()
            raise SearchError(f"search {self.folder.name!r} is already running: {holder}; wait for it or end it")
        self._lock.truncate(0)
        self._lock.write(f"process {os.getpid()} on {socket.gethostname()}")
        self._lock.flush()

    def _locked(self) -> bool:
        try:
            fcntl.flock(self._lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def remember(self) -> None:
        """Note this process's children, so that they can be found should this process be killed."""
        found = [{"pid": p.pid, "started": _started(p)} for p in psutil.Process().children(recursive=True)]
        write_json(self.folder / "processes.json", [item for item in found if item["started"] is not None])

    def end_leftovers(self) -> int:
        """End the processes that an earlier session noted and that still run; returns how many there were."""
        alive = [process for item in self._noted() if (process := find_process(item)) is not None]
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + GRACE_SECONDS
        while any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in alive if psutil.pid_exists(p.pid)):
            if time.monotonic() > deadline:
                raise SearchError(f"processes {[p.pid for p in alive]} of an earlier session could not be ended")
            time.sleep(0.1)
        return len(alive)

    def _noted(self) -> list[dict[str, Any]]:
        """The noted processes; none where there is no list or it cannot be read."""
        try:
            noted: list[dict[str, Any]] = json.loads((self.folder / "processes.json").read_text())
        except (OSError, json.JSONDecodeError):
            return []
        return noted

    def close(self) -> None:
        """Give the lock back."""
        self._lock.close()


def _started(process: psutil.Process) -> float | None:
    try:
        return float(process.create_time())
    except psutil.NoSuchProcess:
        return None


def find_process(noted: dict[str, Any]) -> psutil.Process | None:
    """The running process that `noted` means: its id, and a start time that agrees, because ids are reused."""
    try:
        process = psutil.Process(int(noted["pid"]))
        same = abs(process.create_time() - float(noted["started"])) < 1.0
    except psutil.NoSuchProcess:
        return None
    return process if same and process.pid != os.getpid() else None
