"""Process that keeps MLflow up to date while a search runs: `python -m vaeforge.track.tracking_process --ledger …`.

The search calls `start` and never waits for the store. Whatever fails here is tried again; training does not notice.
It ends with the search, or with the search's process.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from vaeforge.errors import TrackingError
from vaeforge.paths import PACKAGE
from vaeforge.track.replay import Replay, exclusive
from vaeforge.track.store import default_uri, redact

_LOG = "tracking.log"
_ROUND_SECONDS = 1.0
_LONGEST_WAIT = 30.0
_LAST_TRIES = 3
_GRACE_SECONDS = 10.0


def start(ledger: Path, uri: str, root: Path) -> "subprocess.Popen[bytes]":
    """Start following `ledger` on behalf of this process; what goes wrong is written to `tracking.log` beside it.

    Call it after the line `search` or `resumed` was written. The URI travels in the environment, where its password is
    not in everybody's list of processes.
    """
    command = [sys.executable, "-m", "vaeforge.track.tracking_process", "--ledger", str(ledger.resolve())]
    command += ["--root", str(root.resolve()), "--parent", str(os.getpid())]
    sources = [str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "PYTHONPATH": os.pathsep.join(filter(None, sources))}
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        environment.pop(name, None)
    with ledger.with_name(_LOG).open("ab") as log:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def follow(ledger: Path, uri: str, root: Path, parent_pid: int) -> int:
    """Replay `ledger` about once a second until its search is over, or the process `parent_pid` is gone.

    Returns:
        The exit code: 0 once the store holds everything, 1 if it could not be told (`vaeforge sync` does it later).
    """
    alive = _watch(parent_pid)
    log = Log(ledger.with_name(_LOG))
    ledger.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            with exclusive(ledger.parent):
                return _follow(Replay(ledger, uri, root), log, alive)
        except (TrackingError, OSError) as error:  # an earlier session's process is about to end
            log.trouble(error)
            if not alive():
                return 1


class Log:
    """Says once what is wrong, and once that it is over, each in one line of the file at `path`."""

    def __init__(self, path: Path):
        self._path = path
        self._trouble = ""

    def trouble(self, error: BaseException) -> None:
        text = redact(" ".join(f"{type(error).__name__}: {error}".split()))[:1000]
        if text != self._trouble:
            self._trouble = text
            self.line(f"{text}; trying again")

    def well(self) -> None:
        if self._trouble:
            self._trouble = ""
            self.line("up to date again")

    def line(self, text: str) -> None:
        # a full disk must not end the tracking: it may be gone tomorrow, and `sync` needs no log
        with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {text}\n")


def _follow(replay: Replay, log: Log, alive: Callable[[], bool]) -> int:
    wait, started, patience_ends = _ROUND_SECONDS, time.time(), time.monotonic() + _GRACE_SECONDS
    while alive():
        if _attempt(replay.step, log):
            # an end from before our start belongs to an earlier session: this one may not have said yet that it resumes
            if replay.complete and (replay.search.phase_time >= started or time.monotonic() > patience_ends):
                return 0
            wait = _ROUND_SECONDS
        else:
            wait = min(2 * wait, _LONGEST_WAIT)
        _sleep_while(alive, wait)
    return _finish(replay, log)


def _finish(replay: Replay, log: Log) -> int:
    """The last replay, after the search's process went away."""
    for tries in range(_LAST_TRIES):
        time.sleep(tries * _ROUND_SECONDS)
        if _attempt(replay.step, log) and (replay.complete or _attempt(replay.abandon, log)):
            return 0
    log.line("the search's process is gone and the store could not be told; run `vaeforge sync`")
    return 1


def _attempt(tell: Callable[[], None], log: Log) -> bool:
    """Whether `tell` went through; anything at all that it raises is for the log and for the next try."""
    try:
        tell()
    except Exception as error:
        log.trouble(error)
        return False
    log.well()
    return True


def _sleep_while(alive: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while alive() and (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, _ROUND_SECONDS))


def _watch(pid: int) -> Callable[[], bool]:
    """A test whether `pid` still runs: while it is this process's parent, by that (a zombie counts as gone)."""
    if os.getppid() == pid:
        return lambda: os.getppid() == pid
    return lambda: _exists(pid)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and follow; Ctrl-C and a terminal's end are the search's to act on, not ours."""
    parser = argparse.ArgumentParser(prog="python -m vaeforge.track.tracking_process", description=__doc__)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--uri", help="default: MLFLOW_TRACKING_URI, else the project's database")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    given = parser.parse_args(arguments)
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    os.nice(10)  # training comes first
    return follow(given.ledger, given.uri or default_uri(given.root), given.root, given.parent)


if __name__ == "__main__":
    sys.exit(main())
