"""What holds for every scheduler: one answer a question, nobody left waiting, and a cut search decides as an uncut one.

Searches are played with random values in a random order, without training: `play` is host, broker and Tune at once.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from vaeforge.errors import SearchError
from vaeforge.ledger.history import Decision, History
from vaeforge.search.schedulers import Arrival, Rule, Verdict, make_rule
from vaeforge.search.schedulers.base import compared, verdict_of
from vaeforge.search.space.space import Space, parse
from vaeforge.search.space.strategies import SCHEDULERS

BETA = {"float": [0.01, 1], "log": True}
TRIALS, EPOCHS = 11, 12
Make = Callable[[], Rule]


def space(scheduler: str, **changes: Any) -> Space:
    schedules = {"constant": {"beta.value": BETA}, "cyclical": {"beta.max": BETA, "beta.cycles": {"int": [2, 5]}}}
    dimensions = {"model.latent_dim": {"int": [2, 8]}, "beta.schedule": {"choice": schedules}}
    content = {"family": "endoscopy", "fidelity": {"max": EPOCHS, "min": 2, "reduction": 2}, "space": dimensions}
    return parse(content | {"scheduler": scheduler} | changes, "space.yaml")


@pytest.fixture(params=SCHEDULERS)
def make(request: pytest.FixtureRequest) -> Make:
    return lambda: make_rule(space(request.param), seed=5, trials=TRIALS)


def arrival(number: int) -> Arrival:
    schedule = ("constant", "cyclical")[number % 2]
    own = {"beta.value": 0.1} if number % 2 == 0 else {"beta.max": 0.1, "beta.cycles": 3}
    return Arrival(number, schedule, {"model.latent_dim": 2 + number % 5, "beta.schedule": schedule, **own})


class Play:
    """One search: its ledger as a history, who waits, and every verdict."""

    def __init__(self, make: Make, seed: int):
        self.make, self.rule, self.history = make, make(), History()
        self.generator = np.random.default_rng(seed)
        self.values = np.random.default_rng([seed, 1]).normal(size=(TRIALS, EPOCHS + 1)) + np.arange(TRIALS)[:, None]
        self.waiting: dict[int, int] = {}
        self.verdicts: dict[tuple[int, int], Verdict] = {}
        for number in range(TRIALS):
            trial = arrival(number)
            self.event("submitted", trial=number, params=trial.params, group=trial.group, repeat_of=None)

    def event(self, name: str, **fields: Any) -> None:
        self.history.apply({"event": name, "time": 0.0, **fields})

    def steps(self) -> Iterator[list[Verdict]]:
        """One epoch of one trial at a time, until all have ended; yields the verdicts that follow, not yet written."""
        while self.history.unfinished():
            ready = [trial.number for trial in self.history.unfinished() if trial.number not in self.waiting]
            assert ready, f"{self.waiting} wait for ever"
            yield self.step(int(self.generator.choice(ready)))

    def step(self, number: int) -> list[Verdict]:
        if self.generator.random() < 0.02 and self.waiting:  # a person stops one that waits
            return self.end(min(self.waiting), "stopped")
        epoch = self.history.trials[number].epoch + 1
        self.event("reported", trial=number, epoch=epoch, attempt=1, value=self.values[number, epoch])
        if epoch == EPOCHS or self.generator.random() < 0.02:
            return self.end(number, "completed" if epoch == EPOCHS else "failed")
        if epoch not in self.rule.epochs:
            return []
        self.waiting[number] = epoch
        return self.arrive(number)

    def arrive(self, number: int) -> list[Verdict]:
        epoch = self.waiting[number]
        return self.rule.arrive(arrival(number), epoch, float(self.values[number, epoch]))

    def end(self, number: int, state: str) -> list[Verdict]:
        self.waiting.pop(number, None)
        self.event("finished", trial=number, state=state, cause=None, value=None, seconds=0.0)
        return self.rule.leave(number)

    def write(self, verdicts: list[Verdict]) -> None:
        for verdict in verdicts:
            key = (verdict.trial, verdict.epoch)
            if key in self.verdicts:
                assert self.verdicts[key] == verdict
                continue
            self.verdicts[key] = verdict
            self.event("decided", **asdict(verdict))
            assert self.waiting.pop(verdict.trial) == verdict.epoch
            if verdict.action == "stop":
                self.write(self.end(verdict.trial, "stopped"))

    def cut(self) -> None:
        """The process dies; the next one has the ledger, and those who wait arrive again."""
        self.rule = self.make()
        self.rule.replay(self.history)
        for number in sorted(self.waiting):
            if number in self.waiting:
                self.write(self.arrive(number))


def play(make: Make, seed: int, cut: int | None = None, torn: bool = False) -> Play:
    """A search from start to end, its process killed at step `cut`, perhaps with half of the verdicts unwritten."""
    search = Play(make, seed)
    for step, verdicts in enumerate(search.steps()):
        search.write(verdicts[: len(verdicts) // 2] if torn and step == cut else verdicts)
        if step == cut:
            search.cut()
    return search


@pytest.mark.parametrize("seed", range(3))
def test_a_search_cut_anywhere_decides_as_an_uncut_one(make: Make, seed: int) -> None:
    whole = play(make, seed).verdicts
    for cut in range(seed, TRIALS * EPOCHS, 7):
        assert play(make, seed, cut).verdicts == whole
    for cut in range(seed, TRIALS * EPOCHS, 3):
        assert play(make, seed, cut, torn=True).verdicts == whole


@pytest.mark.parametrize("seed", range(3))
def test_verdicts_say_what_was_compared(make: Make, seed: int) -> None:
    search = play(make, seed)
    assert bool(search.verdicts) == bool(search.rule.epochs)
    for (number, epoch), verdict in search.verdicts.items():
        assert (verdict.trial, verdict.epoch) == (number, epoch)
        assert verdict.value == search.values[number, epoch]
        assert 10 < len(verdict.why) < 140 and "\n" not in verdict.why
        assert (verdict.donor is None) == (verdict.params is None) == (verdict.action != "inherit")
        assert verdict.action == "go" or verdict.needed is not None


def test_stopping_and_inheriting_happen(make: Make) -> None:
    actions = {verdict.action for seed in range(3) for verdict in play(make, seed).verdicts.values()}
    rule = make()
    expected = {"go", "inherit"} if rule.yields else {"go", "stop"} if rule.epochs else set()
    assert actions == expected


def test_asking_again_changes_nothing(make: Make) -> None:
    search = Play(make, seed=1)
    for verdicts in search.steps():
        search.write(verdicts)
        epoch_of = {verdict.trial: verdict.epoch for verdict in verdicts}
        for number, epoch in epoch_of.items():
            again = search.rule.arrive(arrival(number), epoch, 1e9)  # decided already, whatever it reports now
            assert set(map(repr, again)) <= set(map(repr, verdicts)) and number in {v.trial for v in again}
        for trial in search.history.ended_trials:
            assert search.rule.leave(trial.number) == []
    assert search.verdicts == play(make, seed=1).verdicts


def test_the_last_arrivals_list_is_repeated(make: Make) -> None:
    rule = make()
    for epoch in sorted(rule.epochs)[:1]:
        for number in range(TRIALS):
            first = rule.arrive(arrival(number), epoch, float(number))
            assert rule.arrive(arrival(number), epoch, float(number)) == first
            assert all(verdict.epoch == epoch for verdict in first)


def test_nobody_waits_elsewhere_or_at_the_end(make: Make) -> None:
    rule = make()
    assert EPOCHS not in rule.epochs
    for epoch in set(range(1, EPOCHS + 1)) - rule.epochs:
        assert rule.arrive(arrival(0), epoch, 1.0) == []


def test_a_value_that_is_not_finite_is_refused(make: Make) -> None:
    rule = make()
    for epoch in sorted(rule.epochs)[:1]:
        for value in (math.nan, math.inf):
            with pytest.raises(SearchError, match=f"trial 0, epoch {epoch}: value: got {value}, must be finite"):
                rule.arrive(arrival(0), epoch, value)


def test_each_scheduler_has_its_rule_and_its_epochs() -> None:
    kinds = {name: type(make_rule(space(name), seed=0, trials=4)).__name__ for name in SCHEDULERS}
    assert kinds == {"asha": "ASHA", "hyperband": "Hyperband", "median": "Median", "pbt": "PBT", "none": "Free"}
    for name in SCHEDULERS:
        parsed = space(name)
        assert make_rule(parsed, seed=0, trials=4).epochs == frozenset(parsed.scheduler.epochs(parsed.fidelity))


def test_a_ledger_of_another_version_is_refused() -> None:
    with pytest.raises(SearchError, match="trial 3, epoch 6: got action 'pause', must be one of go, stop, inherit"):
        verdict_of(3, 6, Decision("pause", 1.0))


def test_texts_show_which_number_is_larger() -> None:
    assert compared(-19720.1, -19801.3) == "-19720.1, needed <= -19801.3"
    assert compared(-19720.123, -19720.124) == "-19720.123, needed <= -19720.124"
    assert compared(1.0, 1.0) == "1, needed <= 1"
