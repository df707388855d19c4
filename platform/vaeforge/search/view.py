"""What a person sees of a search: a live table in a terminal, plain lines elsewhere, a ranking at the end."""

import time
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from vaeforge.search.history import History

SHOWN = 12
LINE_SECONDS = 10.0


class View:
    """Shows snapshots of the broker; `total` trials of `epochs` epochs each."""

    def __init__(self, console: Console, name: str, total: int, epochs: int):
        self.console, self.name, self.total, self.epochs = console, name, total, epochs
        self._started, self._last_line = time.monotonic(), 0.0
        self._live = Live(console=console, refresh_per_second=2) if console.is_terminal else None

    def __enter__(self) -> "View":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def update(self, snapshot: dict[str, Any]) -> None:
        """Show how things stand."""
        if self._live:
            self._live.update(self._table(snapshot))
        elif time.monotonic() - self._last_line >= LINE_SECONDS:
            self._last_line = time.monotonic()
            self.console.print(self._summary(snapshot), highlight=False)

    def _summary(self, snapshot: dict[str, Any]) -> str:
        trials = snapshot["trials"]
        ended = sum(trial["state"] not in ("running", "waiting") for trial in trials)
        values = [trial["value"] for trial in trials if trial["value"] is not None]
        elapsed = time.monotonic() - self._started
        counts = ", ".join(f"{count} {state}" for state, count in sorted(snapshot["counts"].items()))
        left = f", about {elapsed / ended * (self.total - ended):.0f} s left" if ended else ""
        best = f", best {min(values):.2f}" if values else ""
        hosts = f"{len(snapshot['hosts'])} host(s)" if snapshot["hosts"] else "hosts are starting"
        progress = f"{self.name}: {ended}/{self.total} trials ended ({counts or 'none yet'})"
        return f"{progress}, {hosts}, {elapsed:.0f} s{left}{best}"

    def _table(self, snapshot: dict[str, Any]) -> Table:
        table = Table(title=self._summary(snapshot), title_justify="left")
        for column in ("trial", "state", "epoch", "val/nelbo", "host", "parameters"):
            table.add_column(column, overflow="fold")
        newest = sorted(snapshot["trials"], key=lambda t: (t["state"] not in ("running", "waiting"), -t["trial"]))
        for trial in newest[:SHOWN]:
            host = "" if trial["host"] is None else str(trial["host"])
            progress = f"{trial['epoch']}/{self.epochs}"
            row = (
                str(trial["trial"]),
                trial["state"],
                progress,
                number(trial["value"]),
                host,
                describe(trial["params"]),
            )
            table.add_row(*row)
        return table


def ranking(history: History, limit: int = 10) -> Table:
    """The best trials, best first."""
    space = (history.header or {}).get("space", {})
    floors = ", ".join(f"{name} >= {floor:g}" for name, floor in space.get("objective", {}).get("require", {}).items())
    first = f"; those with {floors} first" if floors else ""
    table = Table(title=f"Best trials by val/nelbo (nats per sample, lower is better{first})", title_justify="left")
    for column in ("rank", "trial", "val/nelbo", "rate", "active", "epochs", "state", "parameters"):
        table.add_column(column, overflow="fold")
    for rank, trial in enumerate(history.ranked()[:limit], start=1):
        best = trial.best_metrics
        table.add_row(
            str(rank),
            str(trial.number),
            number(trial.value),
            number(best.get("val/rate")),
            f"{best.get('val/active_units', 0):.0f}",
            str(trial.epoch),
            trial.state or "running",
            describe(trial.params),
        )
    return table


def causes(history: History) -> Table:
    """Why trials failed."""
    table = Table(title="Failed trials", title_justify="left")
    for column in ("trial", "cause", "attempts", "parameters"):
        table.add_column(column, overflow="fold")
    for trial in history.trials.values():
        if trial.state == "failed":
            table.add_row(str(trial.number), trial.cause, str(trial.leases), describe(trial.params))
    return table


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def describe(params: dict[str, Any]) -> str:
    """Flat parameters in one line."""
    shown = (
        f"{k.split('.', 1)[-1]}={v:.4g}" if isinstance(v, float) else f"{k.split('.', 1)[-1]}={v}"
        for k, v in params.items()
    )
    return " ".join(shown)
