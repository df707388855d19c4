"""What samplers are told of trials, and what they tell Optuna; what all of them keep is in tests/contracts."""

from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from sampling import drive, space_of
from vaeforge.config.experiment import Experiment
from vaeforge.ledger.events import TransferredTrial
from vaeforge.search.samplers.base import Sampler, StatelessSampler
from vaeforge.search.samplers.optuna_bridge import study as study_module
from vaeforge.search.samplers.optuna_bridge.study import WINDOW, WINDOW_BEST, build_study, window
from vaeforge.search.samplers.trials import FinishedTrial, TrialMemory, transferred
from vaeforge.search.strategy_registry import samplers

SEVERAL = sorted(name for name, kind in samplers().items() if kind.several_goals)


@pytest.fixture
def base(make_experiment: Callable[..., Experiment]) -> Experiment:
    return make_experiment()


def remembered(sampler: Sampler) -> TrialMemory:
    assert isinstance(sampler, StatelessSampler)
    return sampler.memory


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["tpe", "gp", "cmaes", "nsga2"])
def test_trials_of_another_search_inform_where_they_fit(strategy: str, base: Experiment) -> None:
    source = space_of(strategy).build_sampler(1)
    told = [FinishedTrial(None, t.params, t.state, t.values, t.epoch) for t in drive(source, 12, False)[0]]
    with_news, without = (space_of(strategy).build_sampler(0) for _ in range(2))
    outside = FinishedTrial(None, {**told[0].params, "model.latent_dim": 999}, "completed", (0.0,), 9)
    for trial in [*told, *told, outside]:
        with_news.tell(trial)
    assert remembered(with_news).ended() == told
    assert not with_news.stagnates(1)
    assert [with_news.ask(n) for n in range(8)] != [without.ask(n) for n in range(8)]


def test_a_trial_of_another_search_needs_no_frozen_values_and_every_other(base: Experiment) -> None:
    sampler = space_of("tpe", freeze={"training.batch_size": 16}).build_sampler(0)
    params = {"model.latent_dim": 5, "optimizer.weight_decay": 0.1, "beta.schedule": "free_bits"}
    partial = {"model.latent_dim": 5, "beta.schedule": "free_bits"}
    other = {**params, "training.batch_size": 32}
    for told in (params, partial, other):
        sampler.tell(FinishedTrial(None, told, "completed", (1.0,), 9))
    assert [trial.params for trial in remembered(sampler).ended()] == [{**params, "training.batch_size": 16}]


@pytest.mark.parametrize("strategy", SEVERAL)
def test_goals_to_maximise_become_costs(strategy: str, base: Experiment) -> None:
    sampler = space_of(strategy, several=True).build_sampler(0)
    params = sampler.ask(0)
    assert params is not None
    assert [goal.metric for goal in sampler.goals] == ["val/distortion", "val/active_units"]
    sampler.tell(FinishedTrial(0, params, "completed", (3.0, 7.0), 9))
    assert [trial.values for trial in remembered(sampler).ended()] == [(3.0, -7.0)]


def test_optuna_is_told_the_truth() -> None:
    space = space_of("tpe")
    params = {"model.latent_dim": 5, "training.batch_size": 16, "beta.schedule": "free_bits"}
    ended = [
        FinishedTrial(None, params, "completed", (4.0,), 9),
        FinishedTrial(0, params, "completed", (1.0,), 9),
        FinishedTrial(1, params, "early_stopped", (2.0,), 6),
        FinishedTrial(2, params, "stopped", (7.0,), 3),
        FinishedTrial(3, params, "failed", (7.0,), 3),
        FinishedTrial(4, params, "completed", (float("nan"),), 9),
        FinishedTrial(5, params, "stopped", None, 1),
    ]
    memory = TrialMemory()
    memory.begin(1, params)  # ends below
    memory.begin(6, params)
    for trial in reversed(ended):
        memory.end(trial)
    study = build_study(memory.ended(), memory.running(), space.dimensions, 1, optuna.samplers.RandomSampler())
    assert [(t.state, t.values, t.intermediate_values) for t in study.trials] == [
        (TrialState.COMPLETE, [4.0], {}),
        (TrialState.COMPLETE, [1.0], {}),
        (TrialState.COMPLETE, [2.0], {}),
        (TrialState.PRUNED, None, {3: 7.0}),
        (TrialState.FAIL, None, {}),
        (TrialState.FAIL, None, {}),
        (TrialState.FAIL, None, {}),
        (TrialState.RUNNING, None, {}),
    ]
    assert {tuple(t.params) for t in study.trials} == {tuple(params)}


def test_with_several_goals_stopped_trials_are_left_out() -> None:
    space = space_of("tpe", several=True)
    ended = [
        FinishedTrial(n, {"model.latent_dim": 4}, s, (1.0, 2.0), 3) for n, s in enumerate(["stopped", "completed"])
    ]
    study = build_study(ended, [], space.dimensions, 2, optuna.samplers.RandomSampler())
    assert [(t.state, t.values) for t in study.trials] == [(TrialState.COMPLETE, [1.0, 2.0])]
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MINIMIZE"]


def test_a_study_stays_small(base: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = space_of("tpe").build_sampler(0)
    params = sampler.ask(0)
    assert params is not None
    for number in range(1, 1001):
        sampler.tell(FinishedTrial(number, params, "completed", (float(number % 500),), 9))
    studies = []

    def spy(*arguments: Any) -> optuna.Study:
        studies.append(build_study(*arguments))
        return studies[-1]

    monkeypatch.setattr(study_module, "build_study", spy)
    sampler.ask(1001)
    trials = studies[0].get_trials(states=[TrialState.COMPLETE])
    assert len(trials) == WINDOW
    # the running trials are trial 0 and the one just asked for
    assert len(studies[0].get_trials(states=[TrialState.RUNNING])) == 2
    assert sorted(t.value for t in trials)[: 2 * 15] == [float(value) for value in range(15) for _ in range(2)]


def test_the_window_holds_the_best_and_the_newest() -> None:
    ended = [FinishedTrial(n, {}, "completed", (float(n),), 9) for n in range(1000)]
    kept = [trial.number for trial in window(ended)]
    assert kept == [*range(WINDOW_BEST), *range(1000 - WINDOW + WINDOW_BEST, 1000)]
    assert window(ended[:WINDOW]) == ended[:WINDOW]


def test_a_trial_of_another_search_has_no_number_here() -> None:
    told = transferred(TransferredTrial({"a": 1}, "stopped", (1.0, 2.0), 3))
    assert told == FinishedTrial(None, {"a": 1}, "stopped", (1.0, 2.0), 3)
    assert transferred(TransferredTrial({"a": 1}, "failed", None, 3)).values is None
