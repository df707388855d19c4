"""What a ledger says: its complete lines from a byte offset on, and the state of the search that they add up to.

Nothing here knows MLflow. `mirror.py` makes a store agree with the `Fold`; `replay.py` feeds it.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeGuard

Event = dict[str, Any]
Phase = Literal["running", "interrupted", "ended"]

TERMINAL = ("completed", "early_stopped", "stopped", "failed")
_REQUIRED: dict[str, tuple[str, ...]] = {
    "search": ("name", "family", "space", "settings", "data_identity", "data_source"),
    "resumed": (),
    "submitted": ("trial", "params"),
    "leased": ("trial", "attempt"),
    "reported": ("trial", "epoch", "metrics"),
    "decided": ("trial",),
    "crashed": ("trial", "cause"),
    "finished": ("trial", "state", "epoch", "seconds"),
    "interrupted": (),
    "ended": ("reason",),
}


@dataclass(frozen=True)
class Lines:
    """Complete lines of a ledger: their events, the byte after the last one, and how many were not events."""

    events: list[Event]
    offset: int
    damaged: int


@dataclass(frozen=True)
class Point:
    """One value of one metric; `time` in unix seconds, so that a second replay writes the same row."""

    key: str
    value: float
    time: float
    step: int


@dataclass
class Trial:
    """A trial as the ledger tells it so far."""

    number: int
    started: float
    params: dict[str, Any] = field(default_factory=dict)
    group: str | None = None
    state: str = "submitted"
    cause: str | None = None
    crash: str | None = None
    traceback: str | None = None
    repeat_of: int | None = None
    inherited: list[str] = field(default_factory=list)
    value: float | None = None
    attempts: set[int] = field(default_factory=set)
    finished: float | None = None
    epochs: set[int] = field(default_factory=set)
    points: list[Point] = field(default_factory=list)

    @property
    def terminal(self) -> bool:
        return self.state in TERMINAL


def read_lines(ledger: Path, offset: int, until: int | None = None) -> Lines:
    """The events of `ledger` from byte `offset` on (up to byte `until`); a line without its newline is left unread.

    A complete line that is not an event (the remains of a torn write) is counted and skipped.

    Raises:
        OSError: if the ledger cannot be read.
    """
    with ledger.open("rb") as file:
        file.seek(offset)
        text = file.read() if until is None else file.read(until - offset)
    complete = text[: text.rfind(b"\n") + 1]
    parsed = [_event(line) for line in complete.splitlines() if line.strip()]
    events = [event for event in parsed if event is not None]
    return Lines(events, offset + len(complete), len(parsed) - len(events))


def _event(line: bytes) -> Event | None:
    """The event in `line`; none if it is not JSON, or lacks what an event of its kind has."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if not isinstance(event, dict) or not isinstance(event.get("time"), int | float):
        return None
    required = _REQUIRED.get(str(event.get("event")), ())
    return event if all(key in event for key in required) else None


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`; an empty dict stays a value."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        flat.update(flatten(value, f"{name}.") if isinstance(value, dict) and value else {name: value})
    return flat


class Fold:
    """The state of one search after the events that it took, and the metrics that no store has been told yet.

    `points` here (of the search) and in each trial are the only things a writer removes.
    """

    def __init__(self) -> None:
        self.search: Event | None = None
        self.trials: dict[int, Trial] = {}
        self.points: list[Point] = []
        self.phase: Phase = "running"
        self.phase_time = 0.0
        self.last_time = 0.0
        self.project_run: str | None = None
        self.resumed_by: list[str] = []
        self.end: Event | None = None
        self.abandoned = False
        self._handlers: dict[str, Callable[[Event], None]] = {
            "search": self._on_search,
            "resumed": self._on_resumed,
            "submitted": self._on_submitted,
            "leased": self._on_leased,
            "reported": self._on_reported,
            "decided": self._on_decided,
            "crashed": self._on_crashed,
            "finished": self._on_finished,
            "interrupted": self._on_interrupted,
            "ended": self._on_ended,
        }

    @property
    def over(self) -> bool:
        """Whether the newest session of the search has said that it is over."""
        return self.phase != "running"

    @property
    def objective(self) -> str:
        """The key of the metric that the search compares trials by."""
        space = self.search["space"] if self.search else {}
        return str((space.get("objective") or {}).get("metric", "val/nelbo"))

    def take(self, event: Event) -> None:
        """Fold one event in; kinds of events that say nothing to a tracking store are passed over."""
        self.last_time = event["time"]
        handler = self._handlers.get(event["event"])
        if handler:
            handler(event)

    def abandon(self) -> None:
        """Note that the session's process is gone; where it went without a word, it was interrupted."""
        self.abandoned = True
        if not self.over:
            self._close("interrupted", self.last_time)

    def forget_points(self, told: Collection[int]) -> None:
        """Count the metrics so far of the search and of the trials `told` as told."""
        self.points.clear()
        for number in told:
            if number in self.trials:
                self.trials[number].points.clear()

    def shown_state(self, trial: Trial) -> str:
        """The trial's state, or `interrupted` where the session ended around it."""
        return "interrupted" if self.over and not trial.terminal else trial.state

    def _trial(self, event: Event) -> Trial:
        number = int(event["trial"])
        return self.trials.setdefault(number, Trial(number, event["time"]))

    def _on_search(self, event: Event) -> None:
        if self.search is None:  # the first line rules: runs are found again by it
            self.search = event
            self.project_run = event.get("project_run_id")

    def _on_resumed(self, event: Event) -> None:
        self.phase, self.phase_time, self.abandoned = "running", event["time"], False
        self.project_run = event.get("project_run_id")
        if self.project_run:
            self.resumed_by.append(self.project_run)

    def _on_submitted(self, event: Event) -> None:
        trial = self._trial(event)
        trial.params, trial.group = event["params"], event.get("group")
        trial.repeat_of = event.get("repeat_of")

    def _on_leased(self, event: Event) -> None:
        trial = self._trial(event)
        trial.attempts.add(int(event["attempt"]))
        trial.state = "running"

    def _on_reported(self, event: Event) -> None:
        trial, epoch = self._trial(event), int(event["epoch"])
        if epoch in trial.epochs:  # trained again after a crash: the first report was decided upon
            return
        trial.epochs.add(epoch)
        values = {**event["metrics"], "epoch_seconds": event.get("seconds")}
        for key, value in values.items():
            if _finite(value):
                trial.points.append(Point(key, float(value), event["time"], epoch))
            elif key == self.objective:
                trial.points.append(Point(key, math.nan, event["time"], epoch))

    def _on_decided(self, event: Event) -> None:
        if event.get("action") == "inherit":
            changed = " ".join(f"{path}={value}" for path, value in event["params"].items())
            self._trial(event).inherited.append(f"epoch {event['epoch']}: trial {event['donor']}, {changed}")

    def _on_crashed(self, event: Event) -> None:
        trial = self._trial(event)
        trial.crash, trial.traceback = event["cause"], event.get("traceback")

    def _on_finished(self, event: Event) -> None:
        trial = self._trial(event)
        trial.state, trial.cause = event["state"], event.get("cause")
        trial.finished, trial.value = event["time"], event.get("value")
        final = {"value": trial.value, "epochs": event["epoch"], "seconds": event["seconds"]}
        step = int(event["epoch"] or 0)
        trial.points += [Point(key, float(v), event["time"], step) for key, v in final.items() if _finite(v)]

    def _on_interrupted(self, event: Event) -> None:
        self._close("interrupted", event["time"])

    def _on_ended(self, event: Event) -> None:
        self.end = event
        self._close("ended", event["time"])
        final = {"best/value": event.get("value"), "seconds": event.get("seconds")}
        self.points += [Point(key, float(v), event["time"], 0) for key, v in final.items() if _finite(v)]

    def _close(self, phase: Phase, time: float) -> None:
        self.phase, self.phase_time = phase, time
        states = Counter(self.shown_state(trial) for trial in self.trials.values())
        counts = {f"trials/{state}": states[state] for state in (*TERMINAL, "interrupted")}
        counts["trials/total"] = len(self.trials)
        self.points += [Point(key, float(count), time, 0) for key, count in counts.items()]


def _finite(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and math.isfinite(value)
