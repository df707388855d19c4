"""Spans of time that worker groups spent on trials, read off a ledger's events.

A span begins with a lease and ends when its trial ends, its attempt fails, the group takes another one, or the session
is over. What of it was spent inside training is what the trial's reports say; the rest is building, loading, saving and
waiting for a scheduler's answer.
"""

from collections.abc import Iterable, Iterator
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
    """

    group: int
    trial: int
    attempt: int
    start: float
    end: float
    training: float = 0.0
    epochs: int = 0


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
                span = self._open[event.trial]
                self._open[event.trial] = replace(
                    span, end=event.time, training=span.training + event.seconds, epochs=span.epochs + 1
                )
            case TrialFinished() | AttemptCrashed():
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
        paused = list(self._of_group(event.host))  # nothing more is heard of them: they end with their last epoch
        self._end([*paused, event.trial], 0.0)
        self._open[event.trial] = Span(event.host, event.trial, event.attempt, event.time, event.time)

    def _of_group(self, group: int) -> Iterator[int]:
        return (trial for trial, span in self._open.items() if span.group == group)

    def _end(self, trials: Iterable[int], time: float) -> None:
        for trial in trials:
            span = self._open.pop(trial, None)
            if span is not None:
                self.spans.append(replace(span, end=max(span.end, time)))
