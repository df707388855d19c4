"""History of a search: its ledger's events folded into one record for each trial.

The dispatcher, a session that resumes, the sampler, the tracking, the listings and the winner all read a search
through this. One rule holds for all of them: of an epoch that was trained twice, because its attempt crashed, the
newest report counts.
"""

import math
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from functools import singledispatchmethod
from pathlib import Path
from typing import Literal

from vaeforge.ledger.checkpoint_places import at_home, checkpoint_root
from vaeforge.ledger.events import (
    UNSOUND_OUTCOMES,
    AttemptCrashed,
    EpochReported,
    InheritedState,
    LedgerEvent,
    Params,
    SearchEnded,
    SearchHeader,
    SearchInterrupted,
    SearchResumed,
    TrialDecided,
    TrialEvent,
    TrialFinished,
    TrialLeased,
    TrialRetried,
    TrialSubmitted,
    WarmStarted,
    WorkersRegistered,
)
from vaeforge.ledger.file import LedgerReader
from vaeforge.training.checkpoint_files import Checkpoint

Phase = Literal["running", "interrupted", "ended"]
REPEATED = "repeat"  # the group of trials that repeat another one: no scheduler compares them


@dataclass(frozen=True)
class Inheritance:
    """That a trial went on with the weights of `donor` after `epoch`, and from what."""

    epoch: int
    donor: int
    state: InheritedState


@dataclass
class TrialRecord:
    """One trial as far as the ledger knows it.

    Attributes:
        params: flat parameters; those inherited last where weights were inherited.
        first_params: those that it was submitted with.
        started, finished: unix seconds of its first line and of its end.
        reports: the newest report of each epoch, by epoch, ascending.
        decisions: by the epoch after which the trial was compared with others.
        leases: how often a worker group took it.
        crashes: its attempts that failed.
        setbacks: how many of them have failed since it last came further than ever before; not counted are those that
            are held against nobody (`AttemptCrashed.most`).
        furthest: the highest epoch that was ever reported.
        retries: how often it was tried again after it had failed for good.
        lanes: most trials that were trained as one model in an epoch of this one, itself counted.
        beside: all trials that it was ever trained with as one model.
        core_seconds, gpu_seconds: what all its epochs cost, those included that were trained again after a crash.
        host, generation: of the worker group that took it last; no generation once that attempt has failed.
        state: none while it has not ended, else completed, early_stopped, stopped or failed.
        repeat_of: the trial that this one repeats under another seed.
        inheritance: the last one.
    """

    number: int
    params: Params
    group: str = ""
    repeat_of: int | None = None
    first_params: Params = field(default_factory=dict)
    started: float = 0.0
    finished: float | None = None
    reports: dict[int, EpochReported] = field(default_factory=dict)
    decisions: dict[int, TrialDecided] = field(default_factory=dict)
    leases: int = 0
    crashes: list[AttemptCrashed] = field(default_factory=list)
    setbacks: int = 0
    furthest: int = 0
    retries: int = 0
    lanes: int = 1
    beside: set[int] = field(default_factory=set)
    core_seconds: float = 0.0
    gpu_seconds: float = 0.0
    state: str | None = None
    cause: str | None = None
    host: int | None = None
    generation: int | None = None
    inheritance: Inheritance | None = None
    final_value: float | None = None
    final_seconds: float | None = None

    @property
    def attempts(self) -> int:
        """Starts that a crash made necessary, and the first one."""
        return len(self.crashes) + bool(self.leases)

    @property
    def hangs(self) -> int:
        """How many of its setbacks were that it hung."""
        counted = [crash for crash in self.crashes if crash.most is None]
        return sum(crash.cause == "hang" for crash in counted[len(counted) - self.setbacks :])

    @property
    def last(self) -> EpochReported | None:
        return next(reversed(self.reports.values()), None)

    @property
    def epoch(self) -> int:
        return next(reversed(self.reports), 0)

    @property
    def value(self) -> float | None:
        """The newest finite value."""
        if self.state is not None:
            return self.final_value
        return next((r.value for r in reversed(self.reports.values()) if r.value is not None), None)

    @property
    def seconds(self) -> float:
        """Time inside training, over all epochs."""
        spent = self.final_seconds
        return float(sum(report.seconds for report in self.reports.values())) if spent is None else spent

    def checkpoints(self) -> list[Checkpoint]:
        """Checkpoints to resume from, newest first, never from a report that was not finite.

        Those from before an inheritance hold weights that the trial has given up.
        """
        floor = self.inheritance.epoch if self.inheritance else 0
        own = [r for epoch, r in sorted(self.reports.items(), reverse=True) if epoch > floor]
        found = [r.checkpoint for r in own if r.checkpoint][:2]
        if self.inheritance:
            return [*found, self.inheritance.state.checkpoint]
        best = own[0].best if own else None
        return found if best is None or best in found else [*found, best]

    @property
    def starts_inherited(self) -> bool:
        """Whether its next start continues from another trial's weights."""
        return self.inheritance is not None and self.epoch <= self.inheritance.epoch

    @property
    def best(self) -> Checkpoint | None:
        """The checkpoint after the best epoch."""
        return next((r.best for r in reversed(self.reports.values()) if r.best), None)

    @property
    def best_metrics(self) -> dict[str, float | None]:
        """The metrics of the best epoch, empty where there is none."""
        best = self.best
        if best and self.inheritance and best == self.inheritance.state.best:
            return dict(self.inheritance.state.metrics)
        return dict(self.reports[best.epoch].metrics) if best and best.epoch in self.reports else {}

    @property
    def diverged(self) -> bool:
        """Whether its training went astray after epochs that count: its best epoch is the result."""
        return self.state == "early_stopped" and self.last is not None and self.last.outcome in UNSOUND_OUTCOMES

    @property
    def collapsed(self) -> bool:
        """Whether the posterior of its best epoch does not depend on the sample in any dimension."""
        return self.best_metrics.get("val/active_units") == 0


class SearchHistory:
    """All trials of a search, and what the search itself recorded.

    Attributes:
        groups: worker groups of the newest session, by number, as they registered last.
        repeated: numbers of the trials that others repeat.
        most_lanes: trials at once, of those of them whose memory ran out under more.
        warm_starts: what other searches contributed.
        ended: how the newest session ended, if it ended by itself.
        ended_trials: in the order in which they ended; `settled`: how many had when the search last ended by itself.
        core_seconds, gpu_seconds: spent in training, epochs that a crash made necessary again included.
        wall_seconds: how long sessions ran that are over, by a monotonic clock; by the ledger's own in older ones.
        phase: of the newest session, since `phase_time` (0 before it has said how it ended); `signal` interrupted it.
        newest: unix seconds of the newest line.
        damaged: lines of the ledger that were no events, where it was read from a file.
        slim: keep of an ended trial no more than its selected and its last epoch: for processes that stay.
        folder: of the search, by which its checkpoints are found; none: they stay where the ledger says.
    """

    def __init__(self, slim: bool = False, folder: Path | None = None) -> None:
        self.header: SearchHeader | None = None
        self.trials: dict[int, TrialRecord] = {}
        self.groups: dict[int, WorkersRegistered] = {}
        self.repeated: set[int] = set()
        self.most_lanes: dict[int, int] = {}
        self.ended: SearchEnded | None = None
        self.warm_starts: list[WarmStarted] = []
        self.ended_trials: list[TrialRecord] = []
        self.settled = 0
        self.core_seconds = self.gpu_seconds = self.wall_seconds = 0.0
        self.phase: Phase = "running"
        self.phase_time = self.newest = 0.0
        self.signal: str | None = None
        self.damaged = 0
        self.slim, self.folder = slim, folder
        self._root: str | None = None
        self._open: dict[int, TrialRecord] = {}
        self._states: Counter[str] = Counter()
        self._best_ended: tuple[float, int] | None = None
        self._opened = 0.0
        self._known_wall: float | None = None

    def apply(self, event: LedgerEvent) -> None:
        """Take one event in; unknown kinds, which a later version may write, are ignored."""
        self._take(event if self._root is None else at_home(event, self._root))
        self.newest = event.time

    @singledispatchmethod
    def _take(self, event: LedgerEvent) -> None:
        pass

    @_take.register
    def _(self, event: SearchHeader) -> None:
        if self.header is None:  # the first line rules
            self.header = event
            self._opened = event.time
            self._root = checkpoint_root(event, self.folder) if self.folder else None

    @_take.register
    def _(self, event: SearchResumed) -> None:
        self._close(self.newest)  # the earlier session, where it went without a word
        self.ended = self.signal = None
        self.phase, self.phase_time = "running", event.time
        self._opened = event.time
        self.groups.clear()  # the workers of the interrupted session are gone, and so are their leases
        self.most_lanes.clear()  # and the next one may have other devices
        for trial in self.trials.values():
            trial.host = trial.generation = None

    @_take.register
    def _(self, event: SearchInterrupted) -> None:
        self.phase, self.phase_time, self.signal = "interrupted", event.time, event.signal
        self._close(event.time, event.seconds)

    @_take.register
    def _(self, event: SearchEnded) -> None:
        self.ended, self.settled = event, len(self.ended_trials)
        self.phase, self.phase_time = "ended", event.time
        self._close(event.time, event.seconds)

    @property
    def clock_seconds(self) -> float:
        """How long all sessions ran, one that went without a word included."""
        return self.wall_seconds + self._lasted(self.newest)

    def _close(self, until: float, seconds: float | None = None) -> None:
        """The newest session is over."""
        self.wall_seconds += self._lasted(until, seconds)
        self._opened, self._known_wall = 0.0, None

    def _lasted(self, until: float, seconds: float | None = None) -> float:
        """Seconds of the newest session: as it says, by its last report, or by the clock, which may have jumped."""
        if seconds is None and self._known_wall is not None:
            seconds = max(0.0, self._known_wall - self.wall_seconds)
        if seconds is None:
            seconds = max(0.0, until - self._opened)
        return seconds if self._opened else 0.0

    @_take.register
    def _(self, event: WarmStarted) -> None:
        self.warm_starts.append(event)

    @_take.register
    def _(self, event: WorkersRegistered) -> None:
        self.groups[event.host] = event

    def _trial(self, event: TrialEvent) -> TrialRecord:
        """The trial that an event speaks of; one without parameters where the line that submitted it is damaged."""
        if event.trial not in self.trials:
            self.trials[event.trial] = self._open[event.trial] = TrialRecord(event.trial, {}, started=event.time)
        return self.trials[event.trial]

    @_take.register
    def _(self, event: TrialSubmitted) -> None:
        trial = self._trial(event)
        trial.params = trial.first_params = event.params
        trial.group, trial.repeat_of = event.group, event.repeat_of
        if event.repeat_of is not None:
            self.repeated.add(event.repeat_of)

    @_take.register
    def _(self, event: TrialLeased) -> None:
        trial = self._trial(event)
        trial.leases, trial.host, trial.generation = event.attempt, event.host, event.generation

    @_take.register
    def _(self, event: EpochReported) -> None:
        trial, epoch = self._trial(event), event.epoch
        if epoch <= trial.epoch:  # an attempt that restarted from an earlier checkpoint replaces what came after it
            trial.reports = {e: report for e, report in trial.reports.items() if e < epoch}
        trial.reports[epoch] = event
        if epoch > trial.furthest:
            trial.furthest, trial.setbacks = epoch, 0
        trial.lanes = max(trial.lanes, event.lanes)
        trial.beside.update(event.beside or ())
        self._known_wall = event.wall_seconds
        for spender in (trial, self):
            spender.core_seconds += event.core_seconds
            spender.gpu_seconds += event.gpu_seconds

    @_take.register
    def _(self, event: TrialDecided) -> None:
        trial = self._trial(event)
        trial.decisions[event.epoch] = event
        if event.action == "inherit":
            trial.params = dict(event.params or {})
        if event.donor is not None and event.inherited is not None:
            trial.inheritance = Inheritance(event.epoch, event.donor, event.inherited)

    @_take.register
    def _(self, event: AttemptCrashed) -> None:
        trial = self._trial(event)
        trial.crashes.append(event)
        trial.setbacks += event.most is None
        if event.most is not None and trial.host is not None:
            self.most_lanes[trial.host] = event.most
        trial.generation = None  # nobody holds it

    @_take.register
    def _(self, event: TrialFinished) -> None:
        trial = self._trial(event)
        self._states.subtract([trial.state] if trial.state else [])
        self._states[event.state] += 1
        trial.state, trial.cause, trial.finished = event.state, event.cause, event.time
        trial.final_value, trial.final_seconds = event.value, event.seconds
        if event.value is not None:
            self._best_ended = min(self._best_ended or (math.inf, 0), (event.value, event.trial))
        if self._open.pop(trial.number, None) is not None:
            self.ended_trials.append(trial)
        if self.slim and trial.reports:
            kept = {trial.epoch} | ({trial.best.epoch} if trial.best else set())
            trial.reports = {epoch: report for epoch, report in trial.reports.items() if epoch in kept}

    @_take.register
    def _(self, event: TrialRetried) -> None:
        trial = self._trial(event)
        if trial.state is None:
            return
        self._states[trial.state] -= 1
        trial.state = trial.cause = trial.finished = trial.final_value = trial.final_seconds = None
        trial.reports, trial.decisions, trial.inheritance = {}, {}, None
        trial.params, trial.setbacks, trial.furthest = trial.first_params, 0, 0
        trial.retries += 1
        self.ended_trials.pop(place := self.ended_trials.index(trial))
        self.settled -= place < self.settled
        self._open[trial.number] = trial
        valued = [(one.final_value, one.number) for one in self.ended_trials if one.final_value is not None]
        self._best_ended = min(valued, default=None)

    def failed_trials(self, causes: Container[str | None] | None = None) -> list[TrialRecord]:
        """Trials that failed, of `causes` alone where some are given."""
        return [t for t in self.trials.values() if t.state == "failed" and (causes is None or t.cause in causes)]

    def unfinished(self) -> list[TrialRecord]:
        return list(self._open.values())

    def counts(self) -> dict[str, int]:
        """Trials by state; those that have not ended count as running."""
        counts = {**self._states, "running": len(self._open)}
        return {state: count for state, count in counts.items() if count}

    def best_value(self) -> tuple[float, int] | None:
        """The smallest value that any trial has now, and that trial's number."""
        known = [(value, trial.number) for trial in self._open.values() if (value := trial.value) is not None]
        return min(known + [one for one in [self._best_ended] if one], default=None)


def fold(events: Iterable[LedgerEvent], slim: bool = False, folder: Path | None = None) -> SearchHistory:
    """The history that `events` tell of the search in `folder`."""
    history = SearchHistory(slim, folder)
    for event in events:
        history.apply(event)
    return history


def read_history(path: Path, slim: bool = False) -> SearchHistory:
    """The history in the ledger at `path`; an empty one if there is none. Checkpoints are looked up beside it."""
    if not path.exists():
        return SearchHistory(slim, path.parent)
    reader = LedgerReader(path)
    history = fold(reader.read(), slim, path.parent)
    history.damaged = reader.damaged
    return history
