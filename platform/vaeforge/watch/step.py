"""Command `watch`: the live table of a search that another process runs, or its end where it has one.

Only the ledger is read, and a lock is looked at, so that watching changes nothing. Whoever watches from another machine
needs the project's folder there; the lock tells of processes on this machine alone where the file system has no locks.
"""

import time
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from vaeforge.paths import Project
from vaeforge.remarks import say, warn
from vaeforge.search import json_output
from vaeforge.search.dispatch.snapshot import RECENT
from vaeforge.search.progress_view import Mode, ProgressView, mode_for, ranking_within
from vaeforge.search.requests import folder_of
from vaeforge.track.report_artifact import REPORT
from vaeforge.watch.followed import FollowedSearch, Standing

LOOK_SECONDS = 1.0
LINGER_SECONDS = 6.0  # that the page in the browser has to fetch how it ended


def watch(project: Project, name: str, console: Console, *, json: bool = False, browser: bool = False) -> None:
    """Show how the search called `name` stands, until it ends.

    Args:
        project: of the search.
        name: of the search.
        console: where to.
        json: events as `tune --json` prints them, one a line, and `waits`.
        browser: also as a page of this machine alone, which keeps itself up to date.

    Raises:
        SearchError: if there is no such search.
        OSError: if its ledger cannot be read, or the page has no port.
    """
    followed = FollowedSearch(folder_of(project, name))
    mode = mode_for(console, json=json)
    with ExitStack() as stack:
        if browser:
            from vaeforge.watch.page import serve_page  # an HTTP server

            address = stack.enter_context(serve_page(followed.folder))
            say(Console(stderr=True) if json else console, f"search {name} in the browser: {address}")
        _follow(followed, name, console, mode)
        if browser:
            time.sleep(LINGER_SECONDS)


def _follow(followed: FollowedSearch, name: str, console: Console, mode: Mode) -> None:
    recent = 10**9 if mode == "json" else RECENT  # a program is told of every trial, once
    standing, waits = followed.look(recent), ""
    view = ProgressView(console, name, followed.total, followed.epochs, mode, followed.objective)
    with view:
        while standing.over is None:
            view.total, view.epochs, view.objective = followed.total, followed.epochs, followed.objective
            view.update(standing.snapshot, standing.waits)
            waits = _tell_waits(view, standing, waits)
            time.sleep(LOOK_SECONDS)
            standing = followed.look(recent)
    _tell_end(followed, name, console, view, standing.over)


def _tell_waits(view: ProgressView, standing: Standing, told: str) -> str:
    """In JSON, what it waits for, where that is something else than before; seconds that pass are no news."""
    what = standing.waits.partition(" (")[0]
    if view.mode == "json" and what != told:
        print(json_output.waits(what), file=view.console.file, flush=True)
    return what


def _tell_end(followed: FollowedSearch, name: str, console: Console, view: ProgressView, over: str) -> None:
    if followed.damaged:
        warn(Console(stderr=True), f"{followed.damaged} line(s) of its ledger are damaged; what they said is missing")
    history = followed.history
    view.end(history, over, history.clock_seconds)
    if view.mode == "json":
        return
    if history.header is not None and history.trials:
        console.print(ranking_within(console.width, history, followed.objective))
    report: Path = followed.folder / REPORT
    say(console, f"report: {report}" if report.exists() else f"no report yet; `vaeforge report {name}` makes one")
