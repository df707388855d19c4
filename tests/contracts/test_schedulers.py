"""What holds for every scheduler: one answer a question, nobody left waiting, and a cut search decides as an uncut one.

Searches are played with random values in a random order, without training: `play` is host, dispatcher and Tune at once.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from ledger_events import event
from vaeforge.errors import SearchError
from vaeforge.ledger.events import TrialDecided
from vaeforge.ledger.history import SearchHistory
from vaeforge.search.schedulers.base import RungReport, Scheduler, TrialDecision
from vaeforge.search.space.space import Space, parse_space
from vaeforge.search.strategy_registry import schedulers

BETA = {"float": [0.01, 1], "log": True}
TRIALS, EPOCHS = 11, 12
Make = Callable[[], Scheduler]


def space(scheduler: str, **changes: Any) -> Space:
    schedules = {"constant": {"beta.value": BETA}, "cyclical": {"beta.max": BETA, "beta.cycles": {"int": [2, 5]}}}
    dimensions = {"model.latent_dim": {"int": [2, 8]}, "beta.schedule": {"choice": schedules}}
    content = {"family": "endoscopy", "fidelity": {"max": EPOCHS, "min": 2, "reduction": 2}, "space": dimensions}
    return parse_space(content | {"scheduler": scheduler} | changes, "space.yaml")


@pytest.fixture(params=schedulers())
def make(request: pytest.FixtureRequest) -> Make:
    return lambda: space(request.param).build_scheduler(seed=5, trials=TRIALS)


def arrival(number: int) -> RungReport:
    schedule = ("constant", "cyclical")[number % 2]
    own = {"beta.value": 0.1} if number % 2 == 0 else {"beta.max": 0.1, "beta.cycles": 3}
    return RungReport(number, schedule, {"model.latent_dim": 2 + number % 5, "beta.schedule": schedule, **own})


class Play:
    """One search: its ledger as a history, who waits, and every decision."""

    def __init__(self, make: Make, seed: int):
        self.make, self.scheduler, self.history = make, make(), SearchHistory()
        self.generator = np.random.default_rng(seed)
        self.values = np.random.default_rng([seed, 1]).normal(size=(TRIALS, EPOCHS + 1)) + np.arange(TRIALS)[:, None]
        self.waiting: dict[int, int] = {}
        self.decisions: dict[tuple[int, int], TrialDecision] = {}
        for number in range(TRIALS):
            trial = arrival(number)
            self.event("submitted", trial=number, params=trial.params, group=trial.group, repeat_of=None)

    def event(self, name: str, **fields: Any) -> None:
        self.history.apply(event(name, **fields))

    def steps(self) -> Iterator[list[TrialDecision]]:
        """One epoch of one trial at a time, until all have ended; yields the decisions that follow, not yet written."""
        while self.history.unfinished():
            ready = [trial.number for trial in self.history.unfinished() if trial.number not in self.waiting]
            assert ready, f"{self.waiting} wait for ever"
            yield self.step(int(self.generator.choice(ready)))

    def step(self, number: int) -> list[TrialDecision]:
        if self.generator.random() < 0.02 and self.waiting:  # a person stops one that waits
            return self.end(min(self.waiting), "stopped")
        epoch = self.history.trials[number].epoch + 1
        self.event("reported", trial=number, epoch=epoch, metrics={}, value=self.values[number, epoch])
        if epoch == EPOCHS or self.generator.random() < 0.02:
            return self.end(number, "completed" if epoch == EPOCHS else "failed")
        if epoch not in self.scheduler.epochs:
            return []
        self.waiting[number] = epoch
        return self.on_report(number)

    def on_report(self, number: int) -> list[TrialDecision]:
        epoch = self.waiting[number]
        return self.scheduler.on_report(arrival(number), epoch, float(self.values[number, epoch]))

    def end(self, number: int, state: str) -> list[TrialDecision]:
        self.waiting.pop(number, None)
        self.event("finished", trial=number, state=state, epoch=0, seconds=0.0)
        return self.scheduler.on_trial_end(number)

    def write(self, decisions: list[TrialDecision]) -> None:
        for decision in decisions:
            key = (decision.trial, decision.epoch)
            if key in self.decisions:
                assert self.decisions[key] == decision
                continue
            self.decisions[key] = decision
            self.history.apply(TrialDecided(**asdict(decision)))
            assert self.waiting.pop(decision.trial) == decision.epoch
            if decision.action == "stop":
                self.write(self.end(decision.trial, "stopped"))

    def cut(self) -> None:
        """The process dies; the next one has the ledger, and those who wait arrive again."""
        self.scheduler = self.make()
        self.scheduler.replay(self.history)
        for number in sorted(self.waiting):
            if number in self.waiting:
                self.write(self.on_report(number))


def play(make: Make, seed: int, cut: int | None = None, torn: bool = False) -> Play:
    """A search from start to end, its process killed at step `cut`, perhaps with half of the decisions unwritten."""
    search = Play(make, seed)
    for step, decisions in enumerate(search.steps()):
        search.write(decisions[: len(decisions) // 2] if torn and step == cut else decisions)
        if step == cut:
            search.cut()
    return search


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_search_cut_anywhere_decides_as_an_uncut_one(make: Make, seed: int) -> None:
    whole = play(make, seed).decisions
    for cut in range(seed, TRIALS * EPOCHS, 7):
        assert play(make, seed, cut).decisions == whole
    for cut in range(seed, TRIALS * EPOCHS, 3):
        assert play(make, seed, cut, torn=True).decisions == whole


@pytest.mark.parametrize("seed", range(3))
def test_decisions_say_what_was_compared(make: Make, seed: int) -> None:
    search = play(make, seed)
    assert bool(search.decisions) == bool(search.scheduler.epochs)
    for (number, epoch), decision in search.decisions.items():
        assert (decision.trial, decision.epoch) == (number, epoch)
        assert decision.value == search.values[number, epoch]
        assert 10 < len(decision.why) < 140 and "\n" not in decision.why
        assert (decision.donor is None) == (decision.params is None) == (decision.action != "inherit")
        assert decision.action == "go" or decision.needed is not None


def test_stopping_and_inheriting_happen(make: Make) -> None:
    actions = {decision.action for seed in range(3) for decision in play(make, seed).decisions.values()}
    scheduler = make()
    expected = {"go", "inherit"} if scheduler.releases_worker else {"go", "stop"} if scheduler.epochs else set()
    assert actions == expected


def test_asking_again_changes_nothing(make: Make) -> None:
    search = Play(make, seed=1)
    for decisions in search.steps():
        search.write(decisions)
        epoch_of = {decision.trial: decision.epoch for decision in decisions}
        for number, epoch in epoch_of.items():
            again = search.scheduler.on_report(arrival(number), epoch, 1e9)  # decided already, whatever it reports now
            assert set(map(repr, again)) <= set(map(repr, decisions)) and number in {v.trial for v in again}
        for trial in search.history.ended_trials:
            assert search.scheduler.on_trial_end(trial.number) == []
    assert search.decisions == play(make, seed=1).decisions


def test_the_last_arrivals_list_is_repeated(make: Make) -> None:
    scheduler = make()
    for epoch in sorted(scheduler.epochs)[:1]:
        for number in range(TRIALS):
            first = scheduler.on_report(arrival(number), epoch, float(number))
            assert scheduler.on_report(arrival(number), epoch, float(number)) == first
            assert all(decision.epoch == epoch for decision in first)


def test_nobody_waits_elsewhere_or_at_the_end(make: Make) -> None:
    scheduler = make()
    assert EPOCHS not in scheduler.epochs
    for epoch in set(range(1, EPOCHS + 1)) - scheduler.epochs:
        assert scheduler.on_report(arrival(0), epoch, 1.0) == []


def test_a_value_that_is_not_finite_is_refused(make: Make) -> None:
    scheduler = make()
    for epoch in sorted(scheduler.epochs)[:1]:
        for value in (math.nan, math.inf):
            with pytest.raises(SearchError, match=f"trial 0, epoch {epoch}: value: got {value}, must be finite"):
                scheduler.on_report(arrival(0), epoch, value)


@pytest.mark.parametrize("name", schedulers())
def test_it_decides_after_the_epochs_that_its_settings_say(name: str) -> None:
    parsed = space(name)
    assert parsed.build_scheduler(seed=0, trials=4).epochs == frozenset(parsed.scheduler.epochs(parsed.fidelity))
    assert parsed.scheduler.unmet(parsed.dimensions) == []
