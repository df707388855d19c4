"""What a ledger says happened: its events folded into one record per trial.

The broker, the resuming engine, the sampler, the live view and the winner all read a search through this.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaeforge.ledger.file import Event, read_events

FINAL_OUTCOMES = ("completed", "early_stopped")
DECISION_FIELDS = ("action", "value", "needed", "why", "donor", "params")
REPEATED = "repeat"  # the group of trials that repeat another one: no rule compares them


@dataclass(frozen=True)
class Decision:
    """What a rule decided about a trial after an epoch.

    Attributes:
        value: the trial's value then.
        needed: what it would have needed to go on; none where nothing was compared.
        donor: the trial whose weights it goes on with, with `params` from then on (`inherit` only).
    """

    action: str
    value: float
    needed: float | None = None
    why: str = ""
    donor: int | None = None
    params: dict[str, Any] | None = None


@dataclass
class TrialRecord:
    """One trial as far as the ledger knows it.

    Attributes:
        params: flat parameters; those inherited last where weights were inherited.
        reports: the newest report of each epoch, by epoch.
        decisions: by the epoch after which the trial was compared with others.
        leases: how often a host took it.
        crash_log: starts that ended in a crash: cause and traceback.
        state: none while it has not ended, else completed, early_stopped, stopped or failed.
        repeat_of: the trial that this one repeats under another seed.
        inherited: the decision by which it went on with another trial's weights last: `checkpoint`, `best`, `metrics`.
    """

    number: int
    params: dict[str, Any]
    group: str
    repeat_of: int | None = None
    reports: dict[int, Event] = field(default_factory=dict)
    decisions: dict[int, Decision] = field(default_factory=dict)
    leases: int = 0
    crash_log: list[Event] = field(default_factory=list)
    state: str | None = None
    cause: str | None = None
    host: int | None = None
    generation: int | None = None
    inherited: Event | None = None
    final_value: float | None = None
    final_seconds: float | None = None

    @property
    def crashes(self) -> list[str]:
        """Causes of the starts that ended in a crash."""
        return [crash["cause"] for crash in self.crash_log]

    @property
    def attempts(self) -> int:
        """Starts from a checkpoint that a crash made necessary, and the first one."""
        return len(self.crash_log) + bool(self.leases)

    @property
    def last(self) -> Event | None:
        return self.reports[max(self.reports)] if self.reports else None

    @property
    def epoch(self) -> int:
        return max(self.reports, default=0)

    @property
    def value(self) -> float | None:
        """The newest finite value."""
        if self.state is not None:
            return self.final_value
        return next((r["value"] for _, r in sorted(self.reports.items(), reverse=True) if r["value"] is not None), None)

    @property
    def seconds(self) -> float:
        """Time inside training, over all epochs."""
        if self.final_seconds is not None:
            return self.final_seconds
        return float(sum(report["seconds"] for report in self.reports.values()))

    def checkpoints(self) -> list[Event]:
        """Checkpoints to resume from, newest first, never from a report that was not finite.

        Those from before an inheritance hold weights that the trial has given up.
        """
        floor = self.inherited["epoch"] if self.inherited else 0
        own = [r for epoch, r in sorted(self.reports.items(), reverse=True) if epoch > floor]
        found = [r["checkpoint"] for r in own if r["checkpoint"]][:2]
        if self.inherited:
            return [*found, self.inherited["checkpoint"]]
        best = [own[0]["best"]] if own and own[0]["best"] else []
        return found + [b for b in best if b not in found]

    @property
    def starts_inherited(self) -> bool:
        """Whether its next start goes on from another trial's weights."""
        return self.inherited is not None and self.epoch <= int(self.inherited["epoch"])

    @property
    def best(self) -> Event | None:
        """The checkpoint after the best epoch."""
        bests = [r["best"] for _, r in sorted(self.reports.items(), reverse=True) if r["best"]]
        return bests[0] if bests else None

    @property
    def best_metrics(self) -> dict[str, Any]:
        """The metrics of the best epoch, empty where there is none."""
        best = self.best
        if best and self.inherited and best == self.inherited["best"]:
            return dict(self.inherited["metrics"])
        return dict(self.reports[best["epoch"]]["metrics"]) if best and best["epoch"] in self.reports else {}


class History:
    """All trials of a search, and what the search itself recorded.

    Attributes:
        informed: trials of other searches that inform this one.
        ended_trials: in the order in which they ended.
        core_seconds, gpu_seconds: spent in training, epochs that a crash made necessary again included.
        wall_seconds: how long earlier sessions ran, by the ledger's clock.
        slim: keep of an ended trial no more than its selected and its last epoch: for processes that stay.
    """

    def __init__(self, slim: bool = False) -> None:
        self.header: Event | None = None
        self.trials: dict[int, TrialRecord] = {}
        self.generations: dict[int, int] = {}
        self.ended: Event | None = None
        self.informed: list[Event] = []
        self.ended_trials: list[TrialRecord] = []
        self._open: dict[int, TrialRecord] = {}
        self.core_seconds = self.gpu_seconds = self.wall_seconds = 0.0
        self.slim = slim
        self._opened = self._newest = 0.0

    def apply(self, event: Event) -> None:
        """Take one event in."""
        getattr(self, f"_{event['event']}", self._other)(event)
        self._newest = event["time"]

    def _other(self, event: Event) -> None:
        pass

    def _search(self, event: Event) -> None:
        self.header = event
        self._opened = event["time"]

    def _resumed(self, event: Event) -> None:
        self._close(self._newest)  # the earlier session, where it went without a word
        self.ended = None
        self._opened = event["time"]
        self.generations.clear()  # the hosts of the interrupted session are gone, and so are their leases
        for trial in self.trials.values():
            trial.host = trial.generation = None

    def _interrupted(self, event: Event) -> None:
        self._close(event["time"])

    def _ended(self, event: Event) -> None:
        self.ended = event
        self._close(event["time"])

    def _close(self, until: float) -> None:
        self.wall_seconds += max(0.0, until - self._opened) if self._opened else 0.0
        self._opened = 0.0

    def _informed(self, event: Event) -> None:
        self.informed.append(event)

    def _registered(self, event: Event) -> None:
        self.generations[event["host"]] = event["generation"]

    def _submitted(self, event: Event) -> None:
        number = event["trial"]
        self.trials[number] = TrialRecord(number, event["params"], event["group"], event.get("repeat_of"))
        self._open[number] = self.trials[number]

    def _leased(self, event: Event) -> None:
        trial = self.trials[event["trial"]]
        trial.leases, trial.host, trial.generation = event["attempt"], event["host"], event["generation"]

    def _reported(self, event: Event) -> None:
        trial, epoch = self.trials[event["trial"]], event["epoch"]
        # an attempt that restarted from an earlier checkpoint replaces what came after it
        trial.reports = {e: report for e, report in trial.reports.items() if e < epoch} | {epoch: event}
        self.core_seconds += event.get("core_seconds", 0.0)
        self.gpu_seconds += event.get("gpu_seconds", 0.0)

    def _decided(self, event: Event) -> None:
        trial = self.trials[event["trial"]]
        decision = Decision(**{key: event[key] for key in DECISION_FIELDS if event.get(key) is not None})
        trial.decisions[event["epoch"]] = decision
        if decision.action == "inherit":
            trial.inherited, trial.params = event, dict(decision.params or {})

    def _crashed(self, event: Event) -> None:
        self.trials[event["trial"]].crash_log.append(event)

    def _finished(self, event: Event) -> None:
        trial = self.trials[event["trial"]]
        trial.state, trial.cause = event["state"], event["cause"]
        trial.final_value, trial.final_seconds = event["value"], event["seconds"]
        self.ended_trials.append(self._open.pop(trial.number))
        if self.slim and trial.reports:
            kept = {max(trial.reports)} | ({trial.best["epoch"]} if trial.best else set())
            trial.reports = {epoch: report for epoch, report in trial.reports.items() if epoch in kept}

    def unfinished(self) -> list[TrialRecord]:
        return list(self._open.values())

    def counts(self) -> dict[str, int]:
        """Trials by state; those that have not ended count as running."""
        counts: dict[str, int] = {}
        for trial in self.trials.values():
            counts[trial.state or "running"] = counts.get(trial.state or "running", 0) + 1
        return counts


def fold(events: Iterable[Event], slim: bool = False) -> History:
    """The history that `events` tell."""
    history = History(slim)
    for event in events:
        history.apply(event)
    return history


def read_history(path: Path, slim: bool = False) -> History:
    """The history in the ledger at `path`."""
    return fold(read_events(path), slim)
