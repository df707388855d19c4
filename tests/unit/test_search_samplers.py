"""What every strategy keeps: points of the space, the same ones for the same knowledge, and the truth to Optuna."""

import logging
import random
from collections.abc import Callable, Iterator
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from vaeforge.config.experiment import Experiment
from vaeforge.ledger.events import TransferredTrial
from vaeforge.search.plugins import samplers
from vaeforge.search.samplers.base import Sampler, StatelessSampler
from vaeforge.search.samplers.optuna_bridge import study as study_module
from vaeforge.search.samplers.optuna_bridge.study import WINDOW, WINDOW_BEST, build_study, window
from vaeforge.search.samplers.trials import FinishedTrial, TrialMemory, transferred
from vaeforge.search.space.space import Space, parse_space

SPACE = {
    "model.latent_dim": {"int": [2, 64], "log": True},
    "training.batch_size": {"choice": [16, 32]},
    "optimizer.weight_decay": {"float": [0.1, 0.1]},
    "beta.schedule": {
        "choice": {
            "constant": {"beta.value": {"float": [0.1, 1]}},
            "linear": {"beta.value": {"float": [0.1, 2]}, "beta.warmup": {"float": [0.1, 0.3]}},
            "free_bits": {},
        }
    },
}
OPTIONS: dict[str, dict[str, Any]] = {"tpe": {"startup": 4}, "gp": {"startup": 4}, "nsga2": {"population": 4}}
GOALS = {"metrics": {"val/distortion": "min", "val/active_units": "max"}}
COUNT = {"gp": 11}  # trials of a search; a Gaussian process takes its time
SINGLE = sorted(samplers())
SEVERAL = sorted(name for name, kind in samplers().items() if kind.several_goals)


@pytest.fixture(autouse=True)
def spoken() -> Iterator[list[str]]:
    """Whatever Optuna warns of; a test fails where it says that it draws independently what it cannot model."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = logging.getLogger("optuna")
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)
    assert messages == []


@pytest.fixture
def base(make_experiment: Callable[..., Experiment]) -> Experiment:
    return make_experiment()


def space_of(strategy: str, several: bool = False, **changes: Any) -> Space:
    content = {
        "family": "endoscopy",
        "fidelity": {"max": 9, "min": 3, "reduction": 3},
        "search": {"name": strategy, **OPTIONS.get(strategy, {})},
        "space": SPACE,
    }
    return parse_space(content | ({"objective": GOALS} if several else {}) | changes, "space.yaml")


def cases() -> list[Any]:
    one = [pytest.param(name, False, id=name) for name in SINGLE]
    return one + [pytest.param(name, True, id=f"{name}-several") for name in SEVERAL]


def outcome(number: int, params: dict[str, Any], several: bool) -> FinishedTrial:
    """What became of a trial: every fourth failed, every fourth was stopped."""
    distance = abs(params["model.latent_dim"] - 9) + params.get("beta.value", 0.5)
    values = (distance, float(params["model.latent_dim"])) if several else (distance,)
    if number % 4 == 3:
        return FinishedTrial(number, params, "failed", None, 2)
    return FinishedTrial(
        number, params, "stopped" if number % 4 == 1 else "completed", values, 3 if number % 4 == 1 else 9
    )


def drive(sampler: Sampler, count: int, several: bool, at_once: int = 3) -> list[FinishedTrial]:
    """Ask for `count` trials, `at_once` of them running; those that have ended."""
    running: list[tuple[int, dict[str, Any]]] = []
    ended = []
    for number in range(count):
        params = sampler.ask(number)
        assert params is not None
        running.append((number, params))
        if len(running) == at_once:
            ended.append(outcome(*running.pop(0), several))
            sampler.tell(ended[-1])
    return ended


def remembered(sampler: Sampler) -> TrialMemory:
    assert isinstance(sampler, StatelessSampler)
    return sampler.memory


@pytest.mark.parametrize(("strategy", "several"), cases())
def test_proposals_are_points_of_the_space(strategy: str, several: bool, base: Experiment) -> None:
    space = space_of(strategy, several, freeze={"beta.warmup": 0.2})
    sampler = space.build_sampler(0)
    ended = drive(sampler, COUNT.get(strategy, 18), several)
    for params in [*(t.params for t in ended), *(t.params for t in remembered(sampler).running())]:
        assert space.violations(params) == []
        assert params.get("beta.warmup", 0.2) == 0.2
        assert ("beta.warmup" in params) == (params["beta.schedule"] == "linear")
    assert {trial.params["beta.schedule"] for trial in ended} == {"constant", "linear", "free_bits"}


@pytest.mark.parametrize(("strategy", "several"), cases())
def test_the_same_knowledge_gives_the_same_proposal(strategy: str, several: bool, base: Experiment) -> None:
    """A resumed search: other order of telling, start points and unfinished trials adopted, everything told twice."""
    space = space_of(strategy, several)
    first = space.build_sampler(5)
    count = COUNT.get(strategy, 14)
    ended = drive(first, count, several)
    shuffled = random.Random(0).sample(ended, len(ended))
    again = space.build_sampler(5)
    for trial in [*shuffled, *shuffled[:3]]:
        again.tell(trial)
    for unfinished in remembered(first).running():
        again.adopt(unfinished.number, unfinished.params)
    expected = [first.ask(count), first.ask(count + 1)]
    assert [again.ask(count), again.ask(count + 1)] == expected
    assert expected[0] != expected[1]


@pytest.mark.parametrize("strategy", SINGLE)
def test_the_seed_decides(strategy: str, base: Experiment) -> None:
    found = []
    for seed in (0, 0, 1):
        sampler = space_of(strategy).build_sampler(seed)
        found.append([sampler.ask(number) for number in range(6)])
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("strategy", SINGLE)
def test_what_is_given_is_taken_and_the_rest_proposed(strategy: str, base: Experiment) -> None:
    space = space_of(strategy)
    sampler = space.build_sampler(0)
    whole_point = {
        "model.latent_dim": 5,
        "training.batch_size": 16,
        "optimizer.weight_decay": 0.1,
        "beta.schedule": "linear",
        "beta.value": 1.5,
        "beta.warmup": 0.2,
    }
    assert sampler.ask(0, whole_point) == whole_point
    partial = sampler.ask(1, {"beta.schedule": "linear", "beta.warmup": 0.25, "model.latent_dim": 999})
    assert partial is not None and space.fits(partial)  # 999 is outside the range, as a point of another search can be
    assert (partial["beta.schedule"], partial["beta.warmup"]) == ("linear", 0.25)
    assert {trial.number: trial.params for trial in remembered(sampler).running()} == {0: whole_point, 1: partial}


@pytest.mark.parametrize("strategy", ["tpe", "gp", "cmaes", "nsga2"])
def test_trials_of_another_search_inform_where_they_fit(strategy: str, base: Experiment) -> None:
    source = space_of(strategy).build_sampler(1)
    told = [FinishedTrial(None, t.params, t.state, t.values, t.epoch) for t in drive(source, 12, False)]
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
