"""Listing, reporting, stopping and removing searches, as the command line calls it."""

import contextlib
import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console

from vaeforge.cli.option_types import WORDS
from vaeforge.cli.options import console as wide_console
from vaeforge.errors import ConfigError, SearchError
from vaeforge.ledger.history import read_history
from vaeforge.ledger.kept_fold import slim_history
from vaeforge.paths import Project
from vaeforge.records import to_json
from vaeforge.remarks import say, warn
from vaeforge.search import requests
from vaeforge.search.results import reports
from vaeforge.search.results.report_rows import SearchRow, TrialDetail, TrialRow

STOP_SECONDS = 60.0


def searches(as_json: bool, console: Console) -> None:
    """List the project's searches.

    Raises:
        ConfigError: if this is no project.
    """
    project = Project()
    rows = reports.searches(project)
    if not rows and not (project.root / "params.yaml").exists():
        raise ConfigError(
            f"{project.root}: is no vaeforge project, as it has no params.yaml; go into one, or make one with "
            "`vaeforge init DIR`"
        )
    if as_json:
        _lines(rows)
    else:
        console.print(reports.searches_table(rows))


def trials(name: str, state: str | None, trial: int | None, as_json: bool, console: Console) -> None:
    """Say of each trial of a search, or of one in detail, how and why it ended.

    Raises:
        SearchError: if there is no such search or trial, or the state is none.
    """
    target = requests.parse_target(name)
    ledger = requests.folder_of(Project(), target.name) / "ledger.jsonl"
    number = trial if target.trial is None else target.trial
    history = slim_history(ledger) if number is None else read_history(ledger)
    if history.damaged:
        text = f"{history.damaged} line(s) of its ledger are damaged; what they said is missing here"
        warn(Console(stderr=True), text)
    if number is not None:
        detail = reports.trial(history, number)
        _lines([detail]) if as_json else console.print(reports.trial_view(detail))
        return
    rows = reports.trials(history, state)
    _lines(rows) if as_json else console.print(reports.trials_table(rows, target.name, history))


def report(names: Sequence[str], figures: Path | None, console: Console) -> None:
    """Write the page of a search, or of several; `mlflow run` passes several in one text, separated by commas.

    Raises:
        VaeforgeError: if there is no such search, or something that it left cannot be read.
    """
    from vaeforge.report.step import make_report

    done = make_report(Project(), [name for text in names for name in WORDS.read(text)], figures)
    if done.printed:
        say(console, f"{len(done.printed)} files of figures: {figures}")
    say(console, f"report: {done.page}")


def watch(name: str, browser: bool, as_json: bool) -> None:
    """Follow a search until it ends; Ctrl-C ends the watching, not the search.

    Raises:
        SearchError: if there is no such search.
    """
    from vaeforge.watch.step import watch as follow

    shown = Console(file=sys.stdout) if as_json else wide_console()
    with contextlib.suppress(KeyboardInterrupt):
        follow(Project(), requests.parse_target(name).name, shown, json=as_json, browser=browser)


def stop(name: str, console: Console) -> None:
    """Ask a running search, or one trial of it, to stop, and wait until it has.

    Raises:
        SearchError: if it does not run, the trial has ended, or nothing happens for a minute.
    """
    target = requests.parse_target(name)
    folder = requests.folder_of(Project(), target.name)
    request = requests.ask(folder, target.trial)
    deadline = time.monotonic() + STOP_SECONDS
    while request in requests.pending(folder) or (target.trial is None and requests.holder(folder) is not None):
        if time.monotonic() > deadline:
            raise SearchError(f"{name}: was asked to stop and has not within {STOP_SECONDS:.0f} s; look at its output")
        time.sleep(0.2)
    say(console, f"stopped {name}")


def remove(name: str, console: Console) -> None:
    """Remove a search and say what stays elsewhere."""
    for line in reports.remove(Project(), name):
        say(console, line)
    say(console, f"removed {name}")


def _lines(rows: Iterable[SearchRow | TrialRow | TrialDetail]) -> None:
    for row in rows:
        print(json.dumps(to_json(row), ensure_ascii=False), file=sys.stdout)
