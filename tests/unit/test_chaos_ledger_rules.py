"""Rules of a ledger: each finds what breaks it, and nothing in a search that was killed and went on."""

from typing import Any

import pytest

from ledger_events import event
from vaeforge.chaos.ledger_rules import RULES, Expected
from vaeforge.ledger.events import LedgerEvent


def reported(trial: int, epoch: int, attempt: int = 1) -> LedgerEvent:
    return event("reported", trial=trial, epoch=epoch, attempt=attempt, metrics={}, value=1.0, seconds=1.0)


def leased(trial: int, attempt: int = 1) -> LedgerEvent:
    return event("leased", trial=trial, attempt=attempt, host=0, generation=attempt)


def finished(trial: int, epoch: int, state: str = "completed", cause: str | None = None) -> LedgerEvent:
    return event("finished", trial=trial, state=state, cause=cause, value=1.0, epoch=epoch, seconds=1.0)


HEADER = event("search", name="s", family="endoscopy", space={})
ENDED = event("ended", reason="trials")
CRASH = event("crashed", trial=0, attempt=1, cause="lost")


def submitted(trial: int) -> LedgerEvent:
    return event("submitted", trial=trial, params={})


def stopped(epoch: int) -> LedgerEvent:
    return event("decided", trial=0, epoch=epoch, action="stop", value=1.0)


KILLED_AND_RESUMED = [
    HEADER,
    submitted(0),
    leased(0),
    submitted(1),
    reported(0, 1),
    CRASH,
    leased(0, 2),
    reported(0, 2, 2),
    leased(1),
    event("resumed"),
    leased(0, 3),
    reported(0, 3, 3),
    finished(0, 3),
    leased(1, 2),
    reported(1, 1, 2),
    finished(1, 1),
    ENDED,
]
ONE = [HEADER, submitted(0), leased(0), reported(0, 1)]
BROKEN: dict[str, list[tuple[list[LedgerEvent], str]]] = {
    "each trial was submitted once": [
        ([HEADER, submitted(0), submitted(0)], "trial 0 was submitted 2 times"),
        ([HEADER, submitted(1)], "there are 1 trials, 1 to 1, and not 0 to 0"),
        ([HEADER, leased(0), submitted(0)], "trial 0 begins with 'leased'"),
    ],
    "each trial ended once": [
        ([*ONE, finished(0, 1), finished(0, 1)], "trial 0 ended 2 times"),
        ([*ONE, finished(0, 1), leased(0, 2)], "trial 0 goes on after its end: leased"),
        ([*ONE, ENDED], "trial 0 has no end"),
    ],
    "no epoch was lost or trained twice": [
        ([*ONE, reported(0, 1)], "trial 0, attempt 1: epoch 1 follows epoch 1"),
        ([*ONE, reported(0, 3)], "trial 0, attempt 1: epoch 3 follows epoch 1"),
        ([*ONE, reported(0, 1, 2)], "trial 0: attempt 2 goes on with epoch 1 after 1"),
        ([*ONE, reported(0, 3, 2)], "trial 0: attempt 2 goes on with epoch 3 after 1"),
        ([*ONE, reported(0, 2), stopped(1)], "trial 0 was stopped after epoch 1 and trained to 2"),
        ([*ONE, reported(0, 2), finished(0, 1)], "trial 0 ended with epoch 1, and epoch 2 was its last"),
    ],
    "each attempt has its reason": [([*ONE, leased(0, 2)], "attempt 2 of trial 0 began while attempt 1 ran")],
    "no trial failed without a reason from outside": [
        ([*ONE, finished(0, 1, "failed", "crash")], "trial 0 failed: crash"),
    ],
    "the search is told from its beginning to its end": [
        ([HEADER, HEADER, ENDED], "lines [0, 1] are headers, and not the first alone"),
        (ONE, "the last line is 'reported' and no end"),
    ],
}


def problems(rule: str, events: list[LedgerEvent], **more: Any) -> list[str]:
    return RULES[rule](events, Expected(**more))


def test_a_search_that_was_killed_and_resumed_breaks_no_rule() -> None:
    assert {name: problems(name, KILLED_AND_RESUMED, trials=2) for name in RULES} == {name: [] for name in RULES}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_finds_what_breaks_it(rule: str) -> None:
    for events, problem in BROKEN[rule]:
        assert problem in problems(rule, events)


def test_what_the_caller_explains_breaks_no_rule() -> None:
    damaged = [*ONE, CRASH, leased(0, 2), reported(0, 1, 2), finished(0, 1, "failed", "disk")]
    assert problems("no epoch was lost or trained twice", damaged, repeated=1) == []
    assert problems("no trial failed without a reason from outside", damaged, failed=frozenset({"disk"})) == []
    assert problems("each trial was submitted once", ONE, trials=2) == ["there are 1 trials, 0 to 0, and not 0 to 1"]
    assert problems("the search is told from its beginning to its end", ONE, ended=False) == []
