"""Rules that a ledger keeps, whatever happened to the search: each trial once, no epoch lost, repeated or in vain.

Pure: each rule takes the events and answers with what breaks it, in words, one line each.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from vaeforge.ledger.events import (
    AttemptCrashed,
    EpochReported,
    LedgerEvent,
    SearchEnded,
    SearchHeader,
    SearchResumed,
    TrialDecided,
    TrialEvent,
    TrialFinished,
    TrialLeased,
    TrialRetried,
    TrialSubmitted,
)


@dataclass(frozen=True)
class Expected:
    """What a caller knows of a search.

    Attributes:
        trials: how many there are; none: any number.
        failed: causes of failure that what was done to the search explains; all others break a rule.
        repeated: reported epochs that a new attempt may train again, for instance after its checkpoint was damaged.
        ended: whether the newest session has ended by itself.
        taken: trials whose checkpoints the caller has taken away, or never had.
    """

    trials: int | None = None
    failed: frozenset[str] = frozenset()
    repeated: int = 0
    ended: bool = True
    taken: frozenset[int] = frozenset()


def trials_submitted_once(events: Sequence[LedgerEvent], expected: Expected) -> list[str]:
    """Numbers are 0, 1, 2, …; each was submitted once, before anything else was said of it."""
    submitted = [event.trial for event in events if isinstance(event, TrialSubmitted)]
    found = [f"trial {number} was submitted {submitted.count(number)} times" for number in _repeated(submitted)]
    count = len(submitted) if expected.trials is None else expected.trials
    if sorted(set(submitted)) != list(range(count)):
        found.append(f"there are {len(set(submitted))} trials, {_listed(submitted)}, and not 0 to {count - 1}")
    firsts = {number: own[0] for number, own in _by_trial(events).items()}
    return found + [f"trial {n} begins with {first.kind!r}" for n, first in firsts.items() if first.kind != "submitted"]


def trials_ended_once(events: Sequence[LedgerEvent], expected: Expected) -> list[str]:
    """Each trial has one end, and nothing is said of it afterwards; one that had failed may be tried again."""
    found = []
    for number, whole in _by_trial(events).items():
        own, *again = _tries(whole)
        found += [
            f"trial {number} was tried again although it had not failed"
            for before in [own, *again][: len(again)]
            if not (isinstance(before[-1], TrialFinished) and before[-1].state == "failed")
        ]
        own = again[-1] if again else own
        ends = [place for place, event in enumerate(own) if isinstance(event, TrialFinished)]
        if len(ends) > 1:
            found.append(f"trial {number} ended {len(ends)} times")
        if not ends and expected.ended:
            found.append(f"trial {number} has no end")
        if ends and ends[0] != len(own) - 1:
            found.append(f"trial {number} goes on after its end: {own[ends[0] + 1].kind}")
    return found


def epochs_trained_once(events: Sequence[LedgerEvent], expected: Expected) -> list[str]:
    """Epochs follow one another; an attempt goes on after the last one reported, and nothing goes beyond a stop."""
    return [line for number, own in _by_trial(events).items() for line in _epochs(number, own, expected.repeated)]


def _epochs(number: int, own: list[TrialEvent], repeated: int) -> Iterator[str]:
    attempt, last = 0, 0
    for event in own:
        if isinstance(event, EpochReported):
            again = last + 1 - event.epoch
            if event.attempt == attempt and again:
                yield f"trial {number}, attempt {attempt}: epoch {event.epoch} follows epoch {last}"
            elif not 0 <= again <= repeated:
                yield f"trial {number}: attempt {event.attempt} goes on with epoch {event.epoch} after {last}"
            attempt, last = event.attempt, event.epoch
        elif isinstance(event, TrialDecided) and event.action == "stop" and event.epoch != last:
            yield f"trial {number} was stopped after epoch {event.epoch} and trained to {last}"
        elif isinstance(event, TrialRetried):
            last = 0
        elif isinstance(event, TrialFinished) and event.epoch != last:
            yield f"trial {number} ended with epoch {event.epoch}, and epoch {last} was its last"


def attempts_explained(events: Sequence[LedgerEvent], expected: Expected) -> list[str]:
    """A trial is leased once more only after a crash of its own, a pause, or the end of a session."""
    found, held = [], dict[int, TrialLeased]()
    for event in events:
        match event:
            case TrialLeased():
                if (before := held.get(event.trial)) is not None:
                    again = f"attempt {event.attempt} of trial {event.trial} began while attempt {before.attempt} ran"
                    found.append(again)
                held[event.trial] = event
            case AttemptCrashed() | TrialFinished():
                held.pop(event.trial, None)
            case TrialDecided() if event.action != "stop":  # of a population: its worker group was released meanwhile
                held.pop(event.trial, None)
            case SearchResumed():
                held.clear()
    return found


def failures_named(events: Sequence[LedgerEvent], expected: Expected) -> list[str]:
    """No trial failed for a reason that was not expected."""
    lasts = [_tries(own)[-1][-1] for own in _by_trial(events).values()]
    return [
        f"trial {event.trial} failed: {event.cause}"
        for event in lasts
        if isinstance(event, TrialFinished) and event.state == "failed" and event.cause not in expected.failed
    ]


def search_told_whole(events: Sequence[LedgerEvent], expected: Expected) -> list[str]:
    """There is one header, the first line; the last one says that the search ended."""
    found = []
    headers = [place for place, event in enumerate(events) if isinstance(event, SearchHeader)]
    if headers != [0]:
        found.append(f"lines {headers} are headers, and not the first alone")
    if expected.ended and not (events and isinstance(events[-1], SearchEnded)):
        found.append(f"the last line is {events[-1].kind if events else 'missing'!r} and no end")
    return found


RULES = {
    "each trial was submitted once": trials_submitted_once,
    "each trial ended once": trials_ended_once,
    "no epoch was lost or trained twice": epochs_trained_once,
    "each attempt has its reason": attempts_explained,
    "no trial failed without a reason from outside": failures_named,
    "the search is told from its beginning to its end": search_told_whole,
}


def _by_trial(events: Sequence[LedgerEvent]) -> dict[int, list[TrialEvent]]:
    found: dict[int, list[TrialEvent]] = {}
    for event in events:
        if isinstance(event, TrialEvent):
            found.setdefault(event.trial, []).append(event)
    return found


def _tries(own: list[TrialEvent]) -> list[list[TrialEvent]]:
    """A trial's events, cut where it was tried again after it had failed."""
    tries: list[list[TrialEvent]] = [[]]
    for event in own:
        if isinstance(event, TrialRetried):
            tries.append([])
        tries[-1].append(event)
    return tries


def _repeated(numbers: Collection[int]) -> list[int]:
    seen, again = set[int](), set[int]()
    for number in numbers:
        (again if number in seen else seen).add(number)
    return sorted(again)


def _listed(numbers: Collection[int]) -> str:
    return f"{min(numbers)} to {max(numbers)}" if numbers else "none"
