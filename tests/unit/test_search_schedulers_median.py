"""the median stopping rule: by hand, and beside Ray Tune's own."""

from typing import Any

import numpy as np
import pytest
from ray.tune.schedulers import MedianStoppingRule

from vaeforge.search.schedulers.base import RungReport, TrialDecision
from vaeforge.search.schedulers.median import MedianStopping


class Controller:
    """Ray's rule pauses trials while others wait for a place; here none does."""

    def get_live_trials(self) -> list[Any]:
        return []


class Stand:
    def __init__(self, number: int):
        self.trial_id = str(number)


def ask(scheduler: MedianStopping, number: int, epoch: int, value: float, group: str = "g") -> TrialDecision:
    (decision,) = scheduler.on_report(RungReport(number, group, {}), epoch, value)
    return decision


@pytest.mark.parametrize("seed", range(4))
def test_median_decides_as_rays_does(seed: int) -> None:
    """The same arrivals in the same random order; Ray's rule, too, counts those that have ended."""
    generator = np.random.default_rng(seed)
    grace, last, trials = 3, 12, 15
    reference: Any = MedianStoppingRule(
        time_attr="epoch", metric="value", mode="min", grace_period=grace, min_samples_required=3
    )
    scheduler, stands = MedianStopping(range(grace, last)), [Stand(number) for number in range(trials)]
    running, stopped = dict.fromkeys(range(trials), grace), 0
    while running:
        number = int(generator.choice(list(running)))
        epoch, value = running.pop(number), float(generator.normal() + number / 5)
        action = ask(scheduler, number, epoch, value).action
        expected = reference.on_trial_result(Controller(), stands[number], {"epoch": epoch, "value": value})
        assert (action == "stop") == (expected == "STOP")
        stopped += action == "stop"
        if action == "go" and epoch + 1 < last:
            running[number] = epoch + 1
    assert 3 <= stopped < trials


@pytest.fixture
def scheduler() -> MedianStopping:
    """Three trials with the running averages (4 + 2) / 2 = 3, (6 + 6) / 2 = 6 and (2 + 2) / 2 = 2 after epoch 3."""
    scheduler = MedianStopping(range(2, 10))
    for number, values in enumerate([(4.0, 2.0), (6.0, 6.0), (2.0, 2.0)]):
        for epoch, value in enumerate(values, start=2):
            assert ask(scheduler, number, epoch, value).action == "go"
    return scheduler


def test_the_median_of_running_averages_by_hand(scheduler: MedianStopping) -> None:
    assert ask(scheduler, 3, 2, 3.9).action == "go"  # the median after epoch 2 is 4
    decision = ask(scheduler, 3, 3, 3.5)
    assert (decision.action, decision.needed) == ("stop", 3.0)
    others = "median of the running averages of 3 other trials with schedule g"
    assert decision.why == f"epoch 3: best 3.5, cut-off 3 ({others})"


def test_the_best_value_counts_not_the_newest(scheduler: MedianStopping) -> None:
    assert ask(scheduler, 3, 2, 3.0).action == "go"
    assert ask(scheduler, 3, 3, 50.0).action == "go"  # best 3.0, and 3.0 is not worse than 3.0


def test_two_others_are_too_few(scheduler: MedianStopping) -> None:
    assert ask(scheduler, 0, 4, 99.0).action == "go"
    assert ask(scheduler, 1, 4, 99.0).action == "go"
    decision = ask(scheduler, 2, 4, 1e9)
    assert decision.why == "epoch 4: 1e+09, 2 other trials with schedule g, must be 3 to compare with"


def test_groups_do_not_mix(scheduler: MedianStopping) -> None:
    assert ask(scheduler, 7, 2, 1e9, group="cyclical").needed is None
    assert ask(scheduler, 8, 2, 1e9).action == "stop"
