"""Spans of time that worker groups spent on trials, read off a ledger's events.

A span begins with a lease and ends when its trial ends, its attempt fails, or the session is over. That a trial was
paused is not in the ledger: where its group has taken another one since, and nothing more is heard of it, it ended with
its last epoch. A group with lanes has several spans at once. What of a span was spent inside training is what its trial
reports, of several lanes its share; the rest is building, loading, saving and waiting for a scheduler's answer.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from vaeforge.ledger.events import (
    AttemptCrashed,
    EpochReported,
    LedgerEvent,
    SearchEnded,
    SearchInterrupted,
    SearchResumed,
    TrialDecided,
    TrialFinished,
    TrialLeased,
    WorkersRegistered,
)


@dataclass(frozen=True)
class Span:
    """An attempt at a trial by a worker group.

    Attributes:
        group: the worker group's number.
        start, end: unix seconds.
        training: seconds inside training.
        epochs: how many were reported.
        beside: trials that were trained with this one as one model, in any of its epochs.
    """

    group: int
    trial: int
    attempt: int
    start: float
    end: float
    training: float = 0.0
    epochs: int = 0
    beside: frozenset[int] = frozenset()


@dataclass(frozen=True)
class GroupSession:
    """From a worker group's first registration in a session to the session's end, or its newest line; unix seconds."""

    group: int
    start: float
    end: float


@dataclass(frozen=True)
class TimeSpent:
    """Where a search's time went.

    Attributes:
        sessions: start and end of each, unix seconds.
        groups: when each worker group was there.
        spans: what each did.
    """

    sessions: tuple[tuple[float, float], ...]
    groups: tuple[GroupSession, ...]
    spans: tuple[Span, ...]


def time_spent(events: Iterable[LedgerEvent]) -> TimeSpent:
    """What `events`, oldest first, say of it."""
    fold = _Fold()
    for event in events:
        fold.take(event)
    fold.close()
    return TimeSpent(tuple(fold.sessions), tuple(fold.groups), tuple(sorted(fold.spans, key=lambda span: span.start)))


class _Fold:
    """The state while events are taken in."""

    def __init__(self) -> None:
        self.sessions: list[tuple[float, float]] = []
        self.groups: list[GroupSession] = []
        self.spans: list[Span] = []
        self._open: dict[int, Span] = {}  # by trial
        self._doubted: set[int] = set()  # those of which nothing was heard since their group took another one
        self._present: dict[int, float] = {}
        self._begun: float | None = None
        self._newest = 0.0

    def take(self, event: LedgerEvent) -> None:
        """One event; those of no interest move the clock alone."""
        match event:
            case SearchResumed():
                self.close()
            case WorkersRegistered():
                self._present.setdefault(event.host, event.time)
            case TrialLeased():
                self._lease(event)
            case EpochReported() if event.trial in self._open:
                self._report(self._open[event.trial], event)
            case AttemptCrashed():  # of a lease, so that it was trained until then
                self._doubted.discard(event.trial)
                self._end([event.trial], event.time)
            case TrialFinished():
                self._end([event.trial], event.time)
            case TrialDecided() if event.action != "go":
                self._end([event.trial], event.time)
        if self._begun is None:
            self._begun = event.time
        self._newest = event.time
        if isinstance(event, SearchInterrupted | SearchEnded):
            self.close()

    def close(self) -> None:
        """The session is over at its newest line."""
        if self._begun is None:
            return
        self._end(list(self._open), self._newest)
        self.groups += [GroupSession(group, start, self._newest) for group, start in sorted(self._present.items())]
        self.sessions.append((self._begun, self._newest))
        self._present, self._begun = {}, None

    def _lease(self, event: TrialLeased) -> None:
        self._end([event.trial], 0.0)
        self._doubted |= {trial for trial, span in self._open.items() if span.group == event.host}
        self._open[event.trial] = Span(event.host, event.trial, event.attempt, event.time, event.time)

    def _report(self, span: Span, event: EpochReported) -> None:
        self._doubted.discard(span.trial)
        self._open[span.trial] = replace(
            span,
            end=event.time,
            training=span.training + event.seconds,
            epochs=span.epochs + 1,
            beside=span.beside | set(event.beside or ()),
        )

    def _end(self, trials: Iterable[int], time: float) -> None:
        for trial in trials:
            span = self._open.pop(trial, None)
            if span is not None:
                end = span.end if trial in self._doubted else max(span.end, time)
                self.spans.append(replace(span, end=end))
            self._doubted.discard(trial)
