"""History of a search: its ledger's events folded into one record for each trial.

The dispatcher, a session that resumes, the sampler, the tracking, the listings and the winner all read a search
through this. One rule holds for all of them: of an epoch that was trained twice, because its attempt crashed, the
newest report counts.
"""

import math
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from functools import singledispatchmethod
from pathlib import Path
from typing import Literal

from vaeforge.ledger.checkpoint_places import at_home, checkpoint_root
from vaeforge.ledger.events import (
    AttemptCrashed,
    EpochReported,
    LedgerEvent,
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
from vaeforge.ledger.trial_record import Inheritance, TrialRecord

Phase = Literal["running", "interrupted", "ended"]
REPEATED = "repeat"  # the group of trials that repeat another one: no scheduler compares them


@dataclass(frozen=True, kw_only=True)
class Totals:
    """What a history knows that is of no single trial and of no single line; see its attributes of these names."""

    core_seconds: float
    gpu_seconds: float
    wall_seconds: float
    known_wall: float | None
    newest: float
    settled: int
    damaged: int
    most_lanes: dict[int, int]
    repeated: list[int]
    states: dict[str, int]
    best_ended: tuple[float, int] | None


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
        _taker(type(event))(self, event if self._root is None else at_home(event, self._root))
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

    @property
    def root(self) -> str | None:
        """Where its checkpoints lie; none where that is as the ledger says."""
        return self._root

    def totals(self) -> Totals:
        """What events of all trials have added up to."""
        return Totals(
            core_seconds=self.core_seconds,
            gpu_seconds=self.gpu_seconds,
            wall_seconds=self.wall_seconds,
            known_wall=self._known_wall,
            newest=self.newest,
            settled=self.settled,
            damaged=self.damaged,
            most_lanes=dict(self.most_lanes),
            repeated=sorted(self.repeated),
            states=dict(self._states),
            best_ended=self._best_ended,
        )

    def restore(self, ended: Sequence[TrialRecord], order: Sequence[int], totals: Totals) -> None:
        """Stand where another history stood: this one was told of everything but what some ended trials did.

        Args:
            ended: these trials, in the order in which they ended.
            order: all trials, in the order in which the ledger names them.
            totals: of the other history.
        """
        known = self.trials | {trial.number: trial for trial in ended}
        self.trials = {number: known[number] for number in order}
        self._open = {number: trial for number, trial in self._open.items() if trial is known[number]}
        self.ended_trials = list(ended)
        self.core_seconds, self.gpu_seconds = totals.core_seconds, totals.gpu_seconds
        self.wall_seconds, self._known_wall = totals.wall_seconds, totals.known_wall
        self.newest, self.settled, self.damaged = totals.newest, totals.settled, totals.damaged
        self.most_lanes, self.repeated = dict(totals.most_lanes), set(totals.repeated)
        self._states, self._best_ended = Counter(totals.states), totals.best_ended

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


_taker = vars(SearchHistory)["_take"].dispatcher.dispatch  # calling the method itself costs more than an epoch takes


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
