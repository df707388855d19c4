"""ASHA and Hyperband: by hand, and beside Ray Tune's own scheduler."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from ray.tune.schedulers import AsyncHyperBandScheduler

from vaeforge.ledger.events import EpochReported, TrialDecided, TrialSubmitted
from vaeforge.ledger.history import SearchHistory
from vaeforge.search.schedulers.asha import ASHA
from vaeforge.search.schedulers.base import RungReport, TrialDecision
from vaeforge.search.schedulers.hyperband import Hyperband, bracket_sizes


class Stand:
    """A trial as far as Ray's scheduler looks at it."""

    def __init__(self, number: int):
        self.trial_id = str(number)


def ray_asha(first: int, last: int, reduction: int) -> Any:
    return AsyncHyperBandScheduler(
        time_attr="epoch", metric="value", mode="min", max_t=last, grace_period=first, reduction_factor=reduction
    )


def rungs(first: int, last: int, reduction: int) -> list[int]:
    return [first * reduction**k for k in range(20) if first * reduction**k < last]


def ask(scheduler: ASHA | Hyperband, group: str, number: int, epoch: int, value: float) -> TrialDecision:
    (decision,) = scheduler.on_report(RungReport(number, group, {}), epoch, value)
    return decision


@pytest.mark.parametrize("reduction", [2, 3, 4])
def test_asha_decides_as_rays_does(reduction: int) -> None:
    generator = np.random.default_rng(reduction)
    reference, scheduler = ray_asha(2, 27, reduction), ASHA(rungs(2, 27, reduction), reduction)
    stopped = 0
    for number in range(60):
        reference.on_trial_add(None, Stand(number))
        for epoch in sorted(scheduler.epochs):
            value = float(generator.normal())
            action = ask(scheduler, "g", number, epoch, value).action
            expected = reference.on_trial_result(None, Stand(number), {"epoch": epoch, "value": value})
            assert (action == "stop") == (expected == "STOP")
            if action == "stop":
                stopped += 1
                break
    assert 20 < stopped < 60


def test_each_bracket_decides_as_rays_asha_from_its_first_rung_on() -> None:
    scheduler = Hyperband(rungs(1, 27, 3), 3, brackets=4)
    assert scheduler.brackets == [(1, 3, 9), (3, 9), (9,), ()]
    references = [ray_asha(bracket[0], 27, 3) for bracket in scheduler.brackets[:3]]
    generator, stopped = np.random.default_rng(0), Counter[int]()
    for number in range(200):
        bracket = scheduler.bracket(number)
        if bracket < 3:
            references[bracket].on_trial_add(None, Stand(number))
        for epoch in (1, 3, 9):
            value = float(generator.normal())
            action, expected = ask(scheduler, "g", number, epoch, value).action, "CONTINUE"
            if epoch in scheduler.brackets[bracket]:
                result = {"epoch": epoch, "value": value}
                expected = references[bracket].on_trial_result(None, Stand(number), result)
            assert (action == "stop") == (expected == "STOP")
            if action == "stop":
                stopped[bracket] += 1
                break
    assert set(stopped) == {0, 1, 2}  # the last bracket trains everything to its end


def test_asha_by_hand() -> None:
    scheduler = ASHA([2, 6], 3)
    first = ask(scheduler, "linear", 0, 2, 4.0)
    assert first == TrialDecision(0, 2, "go", 4.0, None, "rung 2: 4, the first trial")
    assert ask(scheduler, "linear", 1, 2, 1.0).action == "go"  # needed <= 4
    # of 1 and 4, the percentile 100/3 is 1 + (4 - 1) / 3 = 2
    worse = ask(scheduler, "linear", 2, 2, 2.5)
    assert (worse.action, worse.needed) == ("stop", pytest.approx(2.0))
    assert worse.why == "rung 2: 2.5, cut-off 2 (best third of 2 trials with schedule linear)"
    # of 1, 2.5 and 4, it is 1 + (2.5 - 1) * 2/3 = 2
    assert ask(scheduler, "linear", 3, 2, 1.99).action == "go"
    assert ask(scheduler, "linear", 3, 6, 99.0).needed is None  # another rung


def test_what_is_needed_is_enough() -> None:
    scheduler = ASHA([2], 2)
    ask(scheduler, "linear", 0, 2, 4.0)
    assert ask(scheduler, "linear", 1, 2, 4.0).action == "go"


def test_asha_compares_within_groups() -> None:
    scheduler = ASHA([2], 2)
    for number, value in enumerate((1.0, 2.0)):
        ask(scheduler, "linear", number, 2, value)
    early = ask(scheduler, "cyclical", 2, 2, 9.0)  # two of its own are needed first; until then all count
    assert (early.action, early.why) == ("stop", "rung 2: 9, cut-off 1.5 (best half of 2 trials)")
    ask(scheduler, "cyclical", 3, 2, 11.0)
    own = ask(scheduler, "cyclical", 4, 2, 9.5)  # of 9 and 11 the median is 10; the linear ones no longer matter
    assert (own.action, own.why) == ("go", "rung 2: 9.5, cut-off 10 (best half of 2 trials with schedule cyclical)")
    assert ask(scheduler, "linear", 5, 2, 9.5).action == "stop"
    assert ask(ASHA([2], 2), "all", 0, 2, 1.0).why == "rung 2: 1, the first trial"  # rung: global


def test_asha_replays_what_was_decided_and_nothing_else() -> None:
    history = SearchHistory()
    for number, value in enumerate((1.0, 5.0)):
        history.apply(TrialSubmitted(trial=number, params={}, group="constant"))
        history.apply(EpochReported(trial=number, epoch=2, metrics={}, value=value))
    history.apply(TrialDecided(trial=0, epoch=2, action="go", value=1.0, why="w"))
    scheduler = ASHA([2], 3)
    scheduler.replay(history)
    assert ask(scheduler, "constant", 0, 2, 99.0) == TrialDecision(
        0, 2, "go", 1.0, None, "w"
    )  # as decided, whatever it says now
    assert ask(scheduler, "constant", 7, 2, 1.5).needed == 1.0  # trial 1 reported, and was not compared yet
    assert ask(scheduler, "constant", 1, 2, 5.0).needed == pytest.approx(1.0 + 0.5 / 3)


def test_bracket_sizes_are_hyperbands() -> None:
    # R = 81, reduction 3: Li et al. 2018, Algorithm 1: ceil(5/5 * 81), ceil(5/4 * 27), ceil(5/3 * 9), ceil(5/2 * 3), 5
    assert bracket_sizes(rungs=4, reduction=3, brackets=5) == [81, 34, 15, 8, 5]
    assert bracket_sizes(rungs=1, reduction=3, brackets=2) == [3, 2]


@pytest.mark.parametrize("begin", [0, 1000])
def test_every_run_of_trials_has_each_brackets_share(begin: int) -> None:
    scheduler = Hyperband(rungs(1, 81, 3), 3, brackets=5)
    for length in (10, 50, 143, 500):
        counts = Counter(scheduler.bracket(number) for number in range(begin, begin + length))
        for bracket, size in enumerate([81, 34, 15, 8, 5]):
            assert abs(counts[bracket] - length * size / 143) < 2


def test_brackets_end_where_there_is_no_rung_left() -> None:
    assert Hyperband([5], 3, brackets=3).brackets == [(5,), ()]
    assert Hyperband([], 3, brackets=3).brackets == [()]
    assert Hyperband([2, 6, 18], 3, brackets=1).brackets == [(2, 6, 18)]


def test_one_bracket_is_asha() -> None:
    generator = np.random.default_rng(3)
    one, asha = Hyperband([2, 6], 3, brackets=1), ASHA([2, 6], 3)
    for number in range(40):
        for epoch in (2, 6):
            value = float(generator.normal())
            first, second = ask(one, "g", number, epoch, value), ask(asha, "g", number, epoch, value)
            assert (first.action, first.needed) == (second.action, second.needed)


def test_brackets_do_not_mix() -> None:
    scheduler = Hyperband([2, 6], 3, brackets=2)
    by_bracket = {scheduler.bracket(number): number for number in range(20)}
    assert ask(scheduler, "g", by_bracket[0], 6, 1.0).needed is None
    assert ask(scheduler, "g", by_bracket[1], 2, 9.0).why == "rung 2: 9, bracket 1 compares from epoch 6 on"
    assert ask(scheduler, "g", by_bracket[1], 6, 9.0).why == "rung 6 of bracket 1: 9, the first trial"
