"""What a ledger says happened: its events folded into one record per trial.

The broker, the resuming engine, the sampler, the live view and the winner all read a search through this.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaeforge.search.ledger import Event, read_events

FINAL_OUTCOMES = ("completed", "early_stopped")


@dataclass
class TrialRecord:
    """One trial as far as the ledger knows it.

    Attributes:
        reports: the newest report of each epoch, by epoch.
        decisions: rung epoch to `go` or `stop`.
        leases: how often it was started.
        crashes: causes of starts that ended in a crash.
        state: none while it has not ended, else completed, early_stopped, stopped or failed.
    """

    number: int
    params: dict[str, Any]
    group: str
    reports: dict[int, Event] = field(default_factory=dict)
    decisions: dict[int, str] = field(default_factory=dict)
    leases: int = 0
    crashes: list[str] = field(default_factory=list)
    state: str | None = None
    cause: str | None = None
    host: int | None = None
    generation: int | None = None

    @property
    def last(self) -> Event | None:
        return self.reports[max(self.reports)] if self.reports else None

    @property
    def epoch(self) -> int:
        return max(self.reports, default=0)

    @property
    def value(self) -> float | None:
        """The newest finite value."""
        return next((r["value"] for _, r in sorted(self.reports.items(), reverse=True) if r["value"] is not None), None)

    @property
    def seconds(self) -> float:
        """Time inside training, over all epochs."""
        return float(sum(report["seconds"] for report in self.reports.values()))

    def checkpoints(self) -> list[Event]:
        """Checkpoints to resume from, newest first, never from a report that was not finite."""
        found = [r["checkpoint"] for _, r in sorted(self.reports.items(), reverse=True) if r["checkpoint"]]
        best = [self.last["best"]] if self.last and self.last["best"] else []
        return found[:2] + [b for b in best if b not in found[:2]]

    @property
    def best(self) -> Event | None:
        """The checkpoint after the best epoch."""
        bests = [r["best"] for _, r in sorted(self.reports.items(), reverse=True) if r["best"]]
        return bests[0] if bests else None

    @property
    def best_metrics(self) -> dict[str, Any]:
        """The metrics of the best epoch, empty where there is none."""
        best = self.best
        return dict(self.reports[best["epoch"]]["metrics"]) if best and best["epoch"] in self.reports else {}


class History:
    """All trials of a search, and what the search itself recorded."""

    def __init__(self) -> None:
        self.header: Event | None = None
        self.trials: dict[int, TrialRecord] = {}
        self.generations: dict[int, int] = {}
        self.ended: Event | None = None
        self.order: list[Event] = []

    def apply(self, event: Event) -> None:
        """Take one event in."""
        getattr(self, f"_{event['event']}", self._other)(event)

    def _other(self, event: Event) -> None:
        pass

    def _search(self, event: Event) -> None:
        self.header = event

    def _resumed(self, event: Event) -> None:
        self.ended = None
        self.generations.clear()  # the hosts of the interrupted session are gone, and so are their leases
        for trial in self.trials.values():
            trial.host = trial.generation = None

    def _ended(self, event: Event) -> None:
        self.ended = event

    def _registered(self, event: Event) -> None:
        self.generations[event["host"]] = event["generation"]

    def _submitted(self, event: Event) -> None:
        self.trials[event["trial"]] = TrialRecord(event["trial"], event["params"], event["group"])

    def _leased(self, event: Event) -> None:
        trial = self.trials[event["trial"]]
        trial.leases, trial.host, trial.generation = event["attempt"], event["host"], event["generation"]

    def _reported(self, event: Event) -> None:
        trial = self.trials[event["trial"]]
        trial.reports[event["epoch"]] = event
        # an attempt that restarted from an earlier checkpoint replaces what came after it
        trial.reports = {epoch: report for epoch, report in trial.reports.items() if epoch <= event["epoch"]}
        self.order.append(event)

    def _decided(self, event: Event) -> None:
        self.trials[event["trial"]].decisions[event["epoch"]] = event["action"]

    def _crashed(self, event: Event) -> None:
        self.trials[event["trial"]].crashes.append(event["cause"])

    def _finished(self, event: Event) -> None:
        trial = self.trials[event["trial"]]
        trial.state, trial.cause = event["state"], event["cause"]

    def unfinished(self) -> list[TrialRecord]:
        return [trial for trial in self.trials.values() if trial.state is None]

    def ranked(self) -> list[TrialRecord]:
        """Trials that were trained to their end, best first; if there is none, those stopped on the way.

        Those that keep the floors of the space's `objective.require` come before those that do not.
        """
        done = [t for t in self.trials.values() if t.state in FINAL_OUTCOMES and t.value is not None]
        stopped = [t for t in self.trials.values() if t.state == "stopped" and t.value is not None]
        return sorted(done or stopped, key=lambda trial: (not self.keeps_floors(trial), trial.value, trial.number))

    def keeps_floors(self, trial: TrialRecord) -> bool:
        """Whether the metrics of the trial's best epoch reach every floor that the space names."""
        space = (self.header or {}).get("space", {})
        floors: dict[str, float] = space.get("objective", {}).get("require", {})
        metrics = trial.best_metrics
        return all((metrics.get(name) or 0.0) >= floor for name, floor in floors.items())

    def counts(self) -> dict[str, int]:
        """Trials by state; those that have not ended count as running."""
        counts: dict[str, int] = {}
        for trial in self.trials.values():
            counts[trial.state or "running"] = counts.get(trial.state or "running", 0) + 1
        return counts


def fold(events: Iterable[Event]) -> History:
    """The history that `events` tell."""
    history = History()
    for event in events:
        history.apply(event)
    return history


def read_history(path: Path) -> History:
    """The history in the ledger at `path`."""
    return fold(read_events(path))
