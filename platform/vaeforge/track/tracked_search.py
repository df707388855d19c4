"""Search as a tracking store is told it: its history, and the metric points that no store has been told yet.

Nothing here knows MLflow. `mlflow_writer.py` makes a store agree with a `TrackedSearch`; `replay.py` feeds it.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from vaeforge.ledger.events import (
    ENDED_STATES,
    EpochReported,
    LedgerEvent,
    SearchEnded,
    SearchHeader,
    SearchInterrupted,
    SearchResumed,
    TrialFinished,
)
from vaeforge.ledger.history import Phase, SearchHistory
from vaeforge.ledger.trial_record import TrialRecord

OBJECTIVE = "val/nelbo"


@dataclass(frozen=True)
class MetricPoint:
    """One value of one metric; `time` in unix seconds, so that a second replay writes the same row."""

    key: str
    value: float
    time: float
    step: int


class TrackedSearch:
    """One search after the events that it took, and the metrics that no store has been told yet.

    Attributes:
        history: what the events tell.
        points: of the search itself; like those of its trials, they are removed by whoever has told them.
        trial_points: by the trial's number.
        project_run: the run that `mlflow run` made for the newest session, `resumed_by` those of all sessions that
            resumed.
        end: how a session ended last by itself.
        abandoned: whether the newest session's process is gone.
    """

    def __init__(self) -> None:
        self.history = SearchHistory(slim=True)
        self.points: list[MetricPoint] = []
        self.trial_points: dict[int, list[MetricPoint]] = {}
        self.project_run: str | None = None
        self.resumed_by: list[str] = []
        self.end: SearchEnded | None = None
        self._abandoned_at: float | None = None

    @property
    def header(self) -> SearchHeader | None:
        return self.history.header

    @property
    def trials(self) -> dict[int, TrialRecord]:
        return self.history.trials

    @property
    def abandoned(self) -> bool:
        return self._abandoned_at is not None

    @property
    def phase(self) -> Phase:
        """Of the newest session; one whose process went without a word was interrupted."""
        silent = self.abandoned and self.history.phase == "running"
        return "interrupted" if silent else self.history.phase

    @property
    def phase_time(self) -> float:
        """Since when, in unix seconds."""
        silent = self._abandoned_at is not None and self.history.phase == "running"
        return self._abandoned_at or 0.0 if silent else self.history.phase_time

    @property
    def over(self) -> bool:
        """Whether the newest session of the search is over."""
        return self.phase != "running"

    @property
    def objective(self) -> str:
        """The key of the metric that the search compares trials by."""
        objective = (self.header.space.get("objective") if self.header else None) or {}
        return str(objective.get("metric", OBJECTIVE))

    def take(self, event: LedgerEvent) -> None:
        """Take one event in, and note what it says to a tracking store."""
        match event:
            case SearchHeader() if self.header is None:
                self.project_run = event.project_run_id
            case SearchResumed():
                self._resume(event)
            case EpochReported():
                self._report(event)
        self.history.apply(event)
        match event:
            case TrialFinished():
                final = {"value": event.value, "epochs": event.epoch, "seconds": event.seconds}
                self._points_of(event.trial).extend(_finite_points(final, event.time, event.epoch))
            case SearchInterrupted():
                self._count()
            case SearchEnded():
                self.end = event
                self._count()
                self.points += _finite_points({"best/value": event.value, "seconds": event.seconds}, event.time, 0)

    def abandon(self) -> None:
        """Note that the session's process is gone; where it went without a word, it was interrupted."""
        silent = not self.over
        self._abandoned_at = self.history.newest
        if silent:
            self._count()

    def forget_points(self, told: Collection[int]) -> None:
        """Count the metrics so far of the search and of the trials `told` as told."""
        self.points.clear()
        for number in told:
            self.trial_points.pop(number, None)

    def shown_state(self, trial: TrialRecord) -> str:
        """The trial's state; of one that has not ended `interrupted` where the session ended around it."""
        if trial.state is not None:
            return trial.state
        return "interrupted" if self.over else "running" if trial.leases else "submitted"

    def _points_of(self, number: int) -> list[MetricPoint]:
        return self.trial_points.setdefault(number, [])

    def _resume(self, event: SearchResumed) -> None:
        self._abandoned_at = None
        self.project_run = event.project_run_id
        if event.project_run_id:
            self.resumed_by.append(event.project_run_id)

    def _report(self, event: EpochReported) -> None:
        """Points of an epoch.

        One that was trained again, because its attempt crashed, gets further points: what a store has been told cannot
        be taken back, and what it holds must not depend on when it was told. The newest one counts, by its time. Points
        of later epochs that the crashed attempt had reached stay until those epochs are reported again.
        """
        own, record = self._points_of(event.trial), self.trials.get(event.trial)
        values: dict[str, float | None] = {**event.metrics, "epoch_seconds": event.seconds}
        if event.beside or (record is not None and record.lanes > 1):  # alone again is a lane of 1
            values["lanes"] = event.lanes
        own += _finite_points(values, event.time, event.epoch)
        before = record.reports.get(event.epoch) if record else None
        counted = {
            self.objective,
            *(key for key, value in (before.metrics if before else {}).items() if _finite(value)),
        }
        own += [
            MetricPoint(key, math.nan, event.time, event.epoch)
            for key, value in values.items()
            if key in counted and not _finite(value)
        ]

    def _count(self) -> None:
        """How many trials are in which state, at the end of a session."""
        states = Counter(self.shown_state(trial) for trial in self.trials.values())
        counts = {f"trials/{state}": states[state] for state in (*ENDED_STATES, "interrupted")}
        counts["trials/total"] = len(self.trials)
        self.points += _finite_points(counts, self.phase_time, 0)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`; an empty dict stays a value."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        flat.update(flatten(value, f"{name}.") if isinstance(value, dict) and value else {name: value})
    return flat


def _finite_points(values: Mapping[str, float | None], time: float, step: int) -> Iterable[MetricPoint]:
    return [MetricPoint(key, float(value), time, step) for key, value in values.items() if _finite(value)]


def _finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)
