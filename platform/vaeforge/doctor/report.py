"""All checks in order, as a table or as JSON; and the cheap ones, which searches make before they start."""

import json
import os
from collections.abc import Callable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vaeforge.doctor import environment, machine, project_files, services
from vaeforge.doctor.finding import Finding
from vaeforge.errors import ResourceError, TrackingError
from vaeforge.paths import Project
from vaeforge.records import to_json
from vaeforge.remarks import warn
from vaeforge.track.store import default_uri

COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def examine(project: Project) -> list[Finding]:
    """The outcome of every check."""
    checks: list[Callable[[], Finding]] = [
        environment.python,
        lambda: environment.packages(project.root),
        machine.cores,
        *_cheap(project, os.environ.get("RAY_ADDRESS") or None),
        environment.gpus,
        machine.home,
        lambda: project_files.data(project),
        lambda: _tracking(project),
    ]
    return [check() for check in checks]


def require_ready(project: Project, address: str | None, console: Console) -> None:
    """Make the cheap checks, before anything else is done for a search.

    Raises:
        ResourceError: with all that would break it.
    """
    found = [check() for check in _cheap(project, address)]
    for one in found:
        if one.level == "warn" and one.check != "Ray":  # said where it is mended, see `close_token_file`
            warn(console, f"{one.check}: {one.found}; {one.advice}")
    failed = [f"{one.check}: {one.found}: {one.advice}" for one in found if one.level == "fail"]
    if failed:
        raise ResourceError("\n".join(failed))


def exit_code(findings: list[Finding]) -> int:
    """2 where something fails, else 0."""
    return 2 if any(one.level == "fail" for one in findings) else 0


def show(findings: list[Finding], console: Console) -> None:
    """Print one line a check, with what to do below what is not ok."""
    table = Table(box=None, pad_edge=False)
    for heading in ("", "check", "found", "what to do"):
        table.add_column(heading, overflow="fold")
    for one in findings:
        level = f"[{COLOURS[one.level]}]{one.level}[/]"
        table.add_row(level, one.check, escape(one.found), escape(one.advice))
    console.print(table, highlight=False)


def as_json(findings: list[Finding]) -> list[str]:
    """One JSON object a check."""
    return [json.dumps(to_json(one)) for one in findings]


def _cheap(project: Project, address: str | None) -> list[Callable[[], Finding]]:
    """Those that take milliseconds and import nothing."""
    return [
        machine.memory,
        lambda: machine.disk("disk", project.artifacts),
        machine.temporary_folder,
        lambda: machine.clock(project),
        lambda: project_files.permissions(project),
        lambda: project_files.locks(project),
        lambda: services.ray(address),
    ]


def _tracking(project: Project) -> Finding:
    try:
        return services.tracking(default_uri(project.root))
    except TrackingError as error:
        return Finding("tracking", "fail", "MLFLOW_TRACKING_URI", str(error))
