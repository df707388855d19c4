"""Processes that work for a search: each kind by its name, and all that were started for it, wherever they hang now."""

import contextlib
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import psutil

from vaeforge.search.search_lock import NotedProcess, find_process, noted_processes

MARK = "VAEFORGE_CHAOS"  # an environment variable that everything inherits that a session starts
PATIENCE = 120.0  # seconds that Ray's agents may take to end
POLL_SECONDS = 0.2
# what the command lines of each kind begin with; Ray calls an idle process after its class, one inside a call after
# the class that Tune makes of it
CALLED = {
    "dispatcher": ("ray::DispatcherActor",),
    "trial": ("ray::TuneTrial", "ray::ResourceTrainable"),
    "agent": ("ray::DashboardAgent", "ray::RuntimeEnvAgent"),
}
PROGRAMS = {"raylet": "raylet", "gcs": "gcs_server"}
TRACKING = "vaeforge.track.tracking_process"


def command_of(process: psutil.Process) -> str:
    """The command line of a process; empty once it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def of_kind(root: psutil.Process, kind: str) -> list[psutil.Process]:
    """The processes of one kind among the descendants of a session's process; workers are known by the ledger."""
    try:
        found = root.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    if kind in CALLED:
        return [process for process in found if command_of(process).startswith(CALLED[kind])]
    if kind == "tracking":
        return [process for process in found if TRACKING in command_of(process)]
    return [process for process in found if Path(command_of(process).split(" ")[0]).name == PROGRAMS[kind]]


def noted(process: psutil.Process) -> NotedProcess | None:
    """What tells a process from a later one of the same id; none once it has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return NotedProcess(process.pid, float(process.create_time()))
    return None


def alive(seen: Collection[NotedProcess]) -> list[psutil.Process]:
    """Those of the processes seen that still run; a zombie has ended."""
    found = [find_process(one.pid, one.started) for one in seen]
    return [process for process in found if process is not None and _runs(process)]


def left_behind(search_folder: Path, mark: str, seen: Collection[NotedProcess] = ()) -> list[str]:
    """Command lines of what sessions of the search have left running, after as long as Ray's agents may take.

    Args:
        search_folder: whose `processes.json` notes the newest session's processes.
        mark: value of the environment variable `MARK` with which the sessions were started.
        seen: what else was seen to work for it.
    """
    deadline = time.monotonic() + PATIENCE
    while left := {process.pid: process for process in _left(search_folder, mark, seen)}:
        if time.monotonic() > deadline:
            return [f"process {pid}: {command_of(process)[:200]}" for pid, process in sorted(left.items())]
        time.sleep(POLL_SECONDS)
    return []


def _left(search_folder: Path, mark: str, seen: Collection[NotedProcess]) -> Iterator[psutil.Process]:
    yield from alive([*seen, *noted_processes(search_folder)])
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # others' processes cannot be looked into, and are none of ours
            if process.pid != psutil.Process().pid and process.environ().get(MARK) == mark and _runs(process):
                yield process


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
