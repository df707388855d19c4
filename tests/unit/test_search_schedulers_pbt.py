"""Population based training: who inherits, from whom, and what becomes of the parameters."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from vaeforge.config.loader import load
from vaeforge.ledger.events import EpochReported, TrialDecided, TrialFinished, TrialRetried, TrialSubmitted
from vaeforge.ledger.history import SearchHistory
from vaeforge.search.schedulers.base import RungReport, TrialDecision
from vaeforge.search.schedulers.mutation import Mutation, drawn, neighbour, perturbed
from vaeforge.search.schedulers.pbt import PBT
from vaeforge.search.space.dimensions import Choice, Params, Range
from vaeforge.search.space.space import read_space
from vaeforge.search.space.trial_experiment import experiment_for

ROOT = Path(__file__).parents[2]
LATENT = Range("model.latent_dim", "model.latent_dim", 2, 64, True, True)
RATE = Range("optimizer.lr", "optimizer.lr", 1e-4, 1e-2, False, True)
VALUE = Range("beta.value", "beta.value", 0.01, 1.0, False, True)
CYCLES = Range("beta.cycles", "beta.cycles", 2, 8, True, False)
SCHEDULES = Choice("beta.schedule", {"constant": (VALUE,), "cyclical": (CYCLES,), "linear": (VALUE,)})
DIMENSIONS = (LATENT, SCHEDULES, RATE)


def params(number: int) -> Params:
    return {"model.latent_dim": 2 + number, "beta.schedule": "constant", "beta.value": 0.1, "optimizer.lr": 1e-3}


def pbt(population: int, resample: float = 0.0, quantile: float = 0.25, seed: int = 0) -> PBT:
    return PBT([2, 4], population, quantile, Mutation(DIMENSIONS, resample), seed)


def ask(scheduler: PBT, number: int, epoch: int = 2, value: float | None = None) -> list[TrialDecision]:
    return scheduler.on_report(
        RungReport(number, "constant", params(number)), epoch, float(number) if value is None else value
    )


def generation(
    scheduler: PBT, size: int, epoch: int = 2, values: dict[int, float] | None = None
) -> dict[int, TrialDecision]:
    answers = [ask(scheduler, number, epoch, (values or {}).get(number)) for number in range(size)]
    assert all(answer == [] for answer in answers[:-1])
    return {decision.trial: decision for decision in answers[-1]}


def test_the_worst_quarter_inherits_from_the_best_once_all_have_arrived() -> None:
    decisions = generation(pbt(8), 8)
    assert [decisions[number].action for number in range(8)] == ["go"] * 6 + ["inherit"] * 2
    for number in (6, 7):
        decision = decisions[number]
        assert decision.donor in (0, 1) and decision.needed == 5.0 and decision.params is not None
        assert decision.params["model.latent_dim"] == 2 + decision.donor  # other weights would not fit
        assert decision.params["optimizer.lr"] in (pytest.approx(1.2e-3), pytest.approx(0.8e-3))
        assert decision.why == f"generation 1: worst 2 of 8 ({number}, cut-off 5); weights of trial {decision.donor}"
    assert decisions[0].why == "generation 1: best 6 of 8"


@pytest.mark.parametrize(
    ("population", "quantile", "inheritors"),
    [(1, 0.25, 0), (2, 0.25, 1), (3, 0.5, 1), (4, 0.25, 1), (5, 0.5, 2), (10, 0.3, 3), (20, 0.05, 1), (100, 0.29, 29)],
)
def test_how_many_inherit(population: int, quantile: float, inheritors: int) -> None:
    decisions = generation(pbt(population, quantile=quantile), population)
    worst = {number for number, decision in decisions.items() if decision.action == "inherit"}
    assert worst == set(range(population - inheritors, population))
    assert all(decision.donor in range(inheritors) for decision in decisions.values() if decision.action == "inherit")


def test_every_good_member_gives_sooner_or_later() -> None:
    donors = Counter(generation(pbt(8, seed=seed), 8)[7].donor for seed in range(100))
    assert set(donors) == {0, 1} and 30 < donors[0] < 70


def test_verdicts_depend_on_the_seed_and_not_on_the_order_of_arrival() -> None:
    forwards, backwards = pbt(6, resample=0.5), pbt(6, resample=0.5)
    first = generation(forwards, 6)
    for number in reversed(range(1, 6)):
        assert ask(backwards, number) == []
    assert {decision.trial: decision for decision in ask(backwards, 0)} == first
    assert generation(pbt(6, resample=0.5, seed=1), 6) != first


def test_inheritors_are_decided_before_donors_move_on() -> None:
    scheduler = pbt(8)
    for number in range(7):
        ask(scheduler, number)
    assert [decision.action for decision in ask(scheduler, 7)] == ["inherit"] * 2 + ["go"] * 6


def test_a_donor_gives_what_it_trains_with_now() -> None:
    scheduler = pbt(4)
    first = generation(scheduler, 4)[3]
    assert first.action == "inherit" and first.params is not None
    # trial 3, as an inheritor, leads the next generation; Tune still names the parameters that it was born with
    second = generation(scheduler, 4, epoch=4, values={3: -1.0})[2]
    assert second.donor == 3 and second.params is not None
    ratio = second.params["optimizer.lr"] / first.params["optimizer.lr"]
    assert ratio in (pytest.approx(1.2), pytest.approx(0.8))
    assert second.params["model.latent_dim"] == first.params["model.latent_dim"] == 2


def test_one_that_leaves_is_waited_for_no_longer() -> None:
    scheduler = pbt(4)
    for number in (0, 1, 2):
        assert ask(scheduler, number) == []
    decisions = scheduler.on_trial_end(3)
    assert [(decision.trial, decision.action) for decision in decisions] == [(2, "inherit"), (0, "go"), (1, "go")]
    assert scheduler.on_trial_end(3) == []
    assert ask(scheduler, 2) == [decisions[0]]  # its host asks again


def test_one_that_leaves_while_it_waits_is_not_counted() -> None:
    scheduler = pbt(4)
    for number in (0, 2, 3):
        ask(scheduler, number)
    assert scheduler.on_trial_end(3) == []
    assert {v.trial: v.action for v in ask(scheduler, 1)} == {0: "go", 1: "go", 2: "inherit"}
    assert ask(scheduler, 3) == []


def submitted(history: SearchHistory, number: int, epoch: int, repeat_of: int | None = None) -> None:
    history.apply(TrialSubmitted(trial=number, params=params(number), group="constant", repeat_of=repeat_of))
    for done in range(1, epoch + 1):
        history.apply(EpochReported(trial=number, epoch=done, metrics={}, value=1.0))


def decided(history: SearchHistory, number: int, action: str, **fields: Any) -> None:
    history.apply(TrialDecided(trial=number, action=action, **{"epoch": 2, "value": float(number), **fields}))


def test_trials_added_on_resuming_are_a_generation_of_their_own() -> None:
    history = SearchHistory()
    for number in range(4):
        submitted(history, number, epoch=4)
        decided(history, number, "go")
        history.apply(TrialFinished(trial=number, state="completed", value=1.0, epoch=4, seconds=0.0))
    submitted(history, 4, epoch=2)  # it waits already
    scheduler = pbt(8)
    scheduler.replay(history)
    for number in (4, 5, 6):
        assert ask(scheduler, number) == []
    assert {v.trial: (v.action, v.donor) for v in ask(scheduler, 7)} == {
        4: ("go", None),
        5: ("go", None),
        6: ("go", None),
        7: ("inherit", 4),
    }


def test_a_generation_that_was_half_written_is_finished_among_all_of_it() -> None:
    history = SearchHistory()
    for number in range(4):
        submitted(history, number, epoch=2)
    decided(history, 0, "go")
    decided(history, 1, "go")
    scheduler = pbt(4)
    scheduler.replay(history)
    assert ask(scheduler, 2) == []
    whole = generation(pbt(4), 4)
    assert {v.trial: v for v in ask(scheduler, 3)} == {number: whole[number] for number in (2, 3)}


def test_one_that_is_tried_again_catches_up_and_the_others_wait_for_it() -> None:
    history = SearchHistory()
    for number in range(4):
        submitted(history, number, epoch=2)
    history.apply(TrialFinished(trial=3, state="failed", cause="lost", value=None, epoch=2, seconds=0.0))
    for number in range(3):
        decided(history, number, "go")
    history.apply(TrialRetried(trial=3, cause="lost"))
    scheduler = pbt(4)
    scheduler.replay(history)
    for number in range(3):
        assert ask(scheduler, number, epoch=4) == []
    (alone,) = ask(scheduler, 3, epoch=2)
    assert (alone.action, alone.why) == ("go", "generation 1: the others are further")
    together = {decision.trial: decision.action for decision in ask(scheduler, 3, epoch=4)}
    assert together == {0: "go", 1: "go", 2: "go", 3: "inherit"}


def test_the_others_are_further_in_their_last_generation_too() -> None:
    history = SearchHistory()
    submitted(history, 0, epoch=0)
    history.apply(TrialFinished(trial=0, state="failed", cause="hang", value=None, epoch=0, seconds=0.0))
    for number in (1, 2):
        submitted(history, number, epoch=4)
        decided(history, number, "go")
        decided(history, number, "go", epoch=4)
        history.apply(TrialFinished(trial=number, state="completed", value=1.0, epoch=4, seconds=0.0))
    history.apply(TrialRetried(trial=0, cause="hang"))
    scheduler = pbt(3)
    scheduler.replay(history)
    said = [decision.why for epoch in (2, 4) for decision in ask(scheduler, 0, epoch)]
    assert said == ["generation 1: the others are further", "generation 2: the others are further"]


def test_trials_that_repeat_others_are_no_members() -> None:
    history = SearchHistory()
    submitted(history, 0, epoch=2)
    submitted(history, 1, epoch=0, repeat_of=0)
    scheduler = pbt(2)
    scheduler.replay(history)
    (decision,) = ask(scheduler, 0)
    assert (decision.action, decision.why) == ("go", "generation 1: nobody to compare with")


# mutation


def test_perturbing_multiplies_clips_and_moves() -> None:
    generator = np.random.default_rng(0)

    def outcomes(dimension: Range, value: float) -> set[float]:
        return {round(perturbed(dimension, value, generator), 12) for _ in range(50)}

    assert outcomes(RATE, 1e-3) == {1.2e-3, 0.8e-3}
    assert outcomes(RATE, 0.9e-2) == {1e-2, 0.72e-2}  # 1.08e-2, clipped
    assert outcomes(RATE, 1e-2) == {0.8e-2}  # at its bound: inwards
    assert outcomes(CYCLES, 2) == {3}  # 2.4 rounds to 2, so it moves by one; 1 is out of the range
    assert outcomes(CYCLES, 6) == {5, 7}  # 4.8 and 7.2
    assert perturbed(Range("beta.value", "b", 0.3, 0.3, False, False), 0.3, generator) == 0.3
    from_zero = perturbed(Range("beta.value", "b", 0.0, 4.0, False, False), 0.0, generator)
    assert 0 < from_zero <= 4  # no factor moves 0
    assert all(isinstance(perturbed(CYCLES, 5, generator), int) for _ in range(4))


def test_drawing_anew_is_uniform_in_the_range_or_its_logarithm() -> None:
    generator = np.random.default_rng(0)
    logarithmic = [drawn(RATE, generator) for _ in range(2000)]
    assert scipy.stats.kstest(logarithmic, scipy.stats.loguniform(1e-4, 1e-2).cdf).pvalue > 0.01
    linear = [drawn(Range("beta.ramp", "r", 0.2, 0.6, False, False), generator) for _ in range(2000)]
    assert scipy.stats.kstest(linear, scipy.stats.uniform(0.2, 0.4).cdf).pvalue > 0.01
    counts = Counter(drawn(CYCLES, generator) for _ in range(7000))
    assert set(counts) == set(range(2, 9)) and scipy.stats.chisquare(list(counts.values())).pvalue > 0.01
    # log integers: 2 has the share log(2.5 / 1.5) / log(64.5 / 1.5) = 0.1358 of all
    twos = sum(drawn(LATENT, generator) == 2 for _ in range(5000)) / 5000
    assert twos == pytest.approx(math.log(2.5 / 1.5) / math.log(64.5 / 1.5), abs=0.02)


def test_without_resampling_the_schedule_stays() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        changed = Mutation(DIMENSIONS, 0.0).of(params(5), generator)
        assert (changed["beta.schedule"], changed["model.latent_dim"]) == ("constant", 7)
        assert changed["beta.value"] in (pytest.approx(0.12), pytest.approx(0.08))


def test_a_schedule_drawn_anew_brings_its_own_parameters() -> None:
    generator, seen, values = np.random.default_rng(0), set(), set()
    for _ in range(200):
        changed = Mutation(DIMENSIONS, 0.5).of(params(5), generator)
        schedule = changed["beta.schedule"]
        own = {"constant": "beta.value", "linear": "beta.value", "cyclical": "beta.cycles"}[schedule]
        assert set(changed) == {"model.latent_dim", "beta.schedule", own, "optimizer.lr"}
        assert changed["model.latent_dim"] == 7
        seen.add(schedule)
        if schedule == "linear":
            values.add(changed["beta.value"])
    assert seen == {"constant", "cyclical", "linear"}
    assert len(values) > 10 and not values & {0.12, 0.08}  # not the donor's, perturbed


def test_how_often_is_drawn_anew() -> None:
    generator = np.random.default_rng(0)
    only_rate = Mutation((RATE,), 0.25)
    changed = [only_rate.of({"optimizer.lr": 1e-3}, generator)["optimizer.lr"] for _ in range(2000)]
    anew = sum(value not in (1e-3 * 1.2, 1e-3 * 0.8) for value in changed) / 2000
    assert anew == pytest.approx(0.25, abs=0.03)


def test_choices_of_numbers_move_to_a_neighbour() -> None:
    generator = np.random.default_rng(0)
    levels = Choice("beta.value", {0.1: (), 1.0: (), 10.0: ()})
    moves = {value: set() for value in levels.options}
    for value, found in moves.items():
        found |= {Mutation((levels,), 0.0).of({"beta.value": value}, generator)["beta.value"] for _ in range(30)}
    assert moves == {0.1: {1.0}, 1.0: {0.1, 10.0}, 10.0: {1.0}}
    assert neighbour(["only"], "only", generator) == "only"


def test_what_is_not_searched_or_not_mutable_stays() -> None:
    model = Choice("model.likelihood", {"a": (LATENT,), "b": ()})
    given = {"model.likelihood": "a", "model.latent_dim": 9, "training.batch_size": 7, "optimizer.lr": 1e-3}
    changed = Mutation((model, RATE), 0.0).of(given, np.random.default_rng(0))
    assert {**changed, "optimizer.lr": 1e-3} == given and changed["optimizer.lr"] != 1e-3
    left_open = {key: value for key, value in given.items() if key != "optimizer.lr"}  # by a start point
    assert Mutation((model, RATE), 0.0).of(left_open, np.random.default_rng(0)) == left_open


@pytest.mark.parametrize("path", sorted((ROOT / "tune_spaces").glob("*.yaml")), ids=lambda path: path.stem)
def test_mutants_of_every_shipped_space_are_configurations(path: Path) -> None:
    space = read_space(path)
    base = load(ROOT, space.family).experiment
    generator = np.random.default_rng(0)
    mutant = dict(space.start[0])
    for _ in range(15):
        mutant = Mutation(space.dimensions, 0.3).of(mutant, generator)
        for dimension, value in space.optuna_names(mutant).values():
            assert dimension.contains(value)
        assert len(space.optuna_names(mutant)) == len(mutant)
        assert experiment_for(space, base, mutant, seed=0).beta.schedule == mutant["beta.schedule"]
