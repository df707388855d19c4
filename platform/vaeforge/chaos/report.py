"""Report of a chaos run: a table for people, or one JSON object."""

from collections import Counter
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vaeforge.chaos.run import ChaosReport
from vaeforge.remarks import say

SHOWN = 20  # problems of one invariant


def to_json(report: ChaosReport) -> dict[str, Any]:
    """Everything, as `--json` prints it."""
    return {"holds": report.holds, **asdict(report)}


def show(report: ChaosReport, console: Console) -> None:
    """Print what was injected and what held."""
    counts = Counter(injection.fault for injection in report.injections)
    table = Table(title=f"{len(report.injections)} faults in {report.seconds / 60:.0f} minutes", title_justify="left")
    table.add_column("fault")
    table.add_column("injections", justify="right")
    for name, count in sorted(counts.items()):
        table.add_row(name, str(count))
    console.print(table)
    held = Table(title="Invariants", title_justify="left")
    for column in ("what must hold", "", "what breaks it"):
        held.add_column(column, overflow="fold")
    for one in report.invariants:
        broken = "\n".join(one.problems[:SHOWN])
        held.add_row(one.name, "[red]broken[/]" if one.problems else "holds", escape(broken))
    console.print(held)
    say(console, ", ".join(f"{count} {state}" for state, count in sorted(report.trials.items())) + " trials")
    attempts = f"{report.attempts} attempts, {report.crashes} of which failed; {report.epochs} epochs, "
    say(console, f"{attempts}{report.repeated} of them reported again; {report.sessions} sessions")
    if report.unavailable:
        say(console, f"met no victim: {', '.join(report.unavailable)}")
    say(console, f"ledger, outputs of the sessions and MLflow's database: {report.folder}")
