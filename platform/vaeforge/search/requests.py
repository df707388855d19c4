"""Requests to a running search by other processes: a small file in `artifacts/searches/NAME/requests/`.

`stop` asks the whole search to end now, with what it has; `stop-00003` asks for the end of trial 3 alone. The search
looks into the folder about once a second, does what it finds, and removes the file when it is done, so that a request
asked twice is one request, and one that a killed search left behind can be told from a new one: `clear` at the start.
"""

import json
import os
import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from filelock import lock_descriptor

from vaeforge.errors import SearchError
from vaeforge.ledger.history import SearchHistory, read_history
from vaeforge.paths import Project, write_json

STOP = re.compile(r"stop(-[0-9]{5,})?")
LOOKS, LOOK_SECONDS = 10, 0.02  # how often, and how far apart, a lock is tried that another look may hold


@dataclass(frozen=True)
class SearchTarget:
    """What `NAME` or `NAME#3` means: a search, or one trial of it."""

    name: str
    trial: int | None = None


@dataclass(frozen=True)
class StopRequest:
    """A wish to stop: the whole search where `trial` is none. `by` says who asked, for the ledger."""

    trial: int | None = None
    by: str = ""

    @property
    def file(self) -> str:
        return "stop" if self.trial is None else f"stop-{self.trial:05d}"


def parse_target(text: str) -> SearchTarget:
    """`NAME` or `NAME#trial`.

    Raises:
        SearchError: if there is no name, or what follows the last # is no number.
    """
    name, mark, trial = text.rpartition("#")
    if not mark and text:
        return SearchTarget(text)
    if not name or not trial.isascii() or not trial.isdigit():
        raise SearchError(f"search: got {text!r}, must be NAME or NAME#TRIAL, say lipid-3f2a91c0#12")
    return SearchTarget(name, int(trial))


def folder_of(project: Project, name: str) -> Path:
    """The folder of a search that exists.

    Raises:
        SearchError: if there is none of this name, or the name leads elsewhere.
    """
    folder = project.search(name)
    if name in ("", ".", "..") or folder.parent != project.artifacts / "searches" or "\0" in name:
        raise SearchError(f"search: got {name!r}, must be the name of one folder in {project.artifacts / 'searches'}")
    if not folder.is_dir():
        raise SearchError(f"search {name!r}: not found in {folder.parent}; `vaeforge searches` lists those there are")
    return folder


def holder(folder: Path) -> str | None:
    """Who runs the search in `folder`, as `process 12 on host`; none if nobody does.

    The lock is taken for a moment and given back at once, so that others who look at the same time are waited for.
    """
    try:
        with (folder / "lock").open() as file:
            for _ in range(LOOKS):
                if lock_descriptor(file.fileno(), blocking=False):
                    return None
                time.sleep(LOOK_SECONDS)
            return file.read().strip() or "another process"
    except FileNotFoundError:
        return None


def ask(folder: Path, trial: int | None = None) -> StopRequest:
    """Ask the search in `folder` to stop, or to stop one trial; asking again changes nothing.

    Raises:
        SearchError: if the search does not run, or the trial is not there or has ended.
    """
    if holder(folder) is None:
        raise SearchError(f"search {folder.name!r}: is not running, there is nothing to stop")
    if trial is not None:
        _require_unfinished(read_history(folder / "ledger.jsonl"), folder.name, trial)
    request = StopRequest(trial, f"process {os.getpid()} on {socket.gethostname()}")
    write_json(folder / "requests" / request.file, {"by": request.by, "time": time.time()})
    return request


def _require_unfinished(history: SearchHistory, name: str, trial: int) -> None:
    record = history.trials.get(trial)
    if record is None:
        there = f"0 to {max(history.trials)}" if history.trials else "none yet"
        raise SearchError(f"search {name!r}: got trial {trial}, must be one of its trials ({there})")
    if record.state is not None:
        raise SearchError(f"search {name!r}: trial {trial} has ended already: {record.state}")


def pending(folder: Path) -> list[StopRequest]:
    """What is asked of the search in `folder`: the end of the whole search first, then trials by number."""
    place = folder / "requests"
    found = [_read(file) for file in place.iterdir() if STOP.fullmatch(file.name)] if place.is_dir() else []
    return sorted((one for one in found if one), key=lambda one: -1 if one.trial is None else one.trial)


def _read(file: Path) -> StopRequest | None:
    """The request in `file`; none if it was done meanwhile. A file that someone made by hand counts by its name."""
    number = file.name.partition("-")[2]
    trial = int(number) if number else None
    try:
        by = str(json.loads(file.read_text(encoding="utf-8"))["by"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        by = f"the file {file.name}"
    request = StopRequest(trial, by)
    return request if request.file == file.name else None  # stop-0000012 is no name of ours


def done(folder: Path, request: StopRequest) -> None:
    """Take back a request that was carried out; doing it twice changes nothing."""
    (folder / "requests" / request.file).unlink(missing_ok=True)


def clear(folder: Path) -> None:
    """At the start of a session: what was asked of an earlier one does not concern this one."""
    for request in pending(folder):
        done(folder, request)
