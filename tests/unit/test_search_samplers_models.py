"""That each strategy is what it is called: against its reference, and better than chance where it claims to learn."""

import logging
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import numpy as np
import optuna
import pytest
from cmaes import CMA
from scipy.stats import qmc

from vaeforge.config.experiment import Experiment
from vaeforge.errors import ConfigError
from vaeforge.search.samplers.base import Sampler
from vaeforge.search.samplers.cmaes import CMAESModel
from vaeforge.search.samplers.gp import GPModel
from vaeforge.search.samplers.grid import grid_size
from vaeforge.search.samplers.nsga2 import Child
from vaeforge.search.samplers.optuna_bridge.own_samplers import optuna_gp
from vaeforge.search.samplers.optuna_bridge.study import build_study
from vaeforge.search.samplers.per_subspace import SubspaceContext
from vaeforge.search.samplers.qmc import QMCSequence
from vaeforge.search.samplers.trials import FinishedTrial, RunningTrial
from vaeforge.search.samplers.unit_scaling import from_unit
from vaeforge.search.space.dimensions import Params
from vaeforge.search.space.space import Space, parse_space
from vaeforge.seeds import derive

CUBE = {f"x.{i}": {"float": [0, 1]} for i in range(3)}
TARGET = np.array([0.3, 0.6, 0.45])
CHOICE = {
    "choice": {"good": {"x.0": {"float": [0, 1]}}, "bad": {"x.0": {"float": [0, 1]}, "x.1": {"int": [1, 9]}}},
}


@pytest.fixture(autouse=True)
def spoken() -> Iterator[None]:
    """A test fails where Optuna says that it draws independently what it cannot model, or anything else."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = logging.getLogger("optuna")
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)
    assert messages == []


@pytest.fixture
def base(make_experiment: Callable[..., Experiment]) -> Experiment:
    return make_experiment()


def space_of(strategy: Any, space: dict[str, Any], **changes: Any) -> Space:
    fidelity = {"max": 9, "min": 3, "reduction": 3}
    return parse_space(
        {"family": "endoscopy", "fidelity": fidelity, "search": strategy, "space": space} | changes, "s.yaml"
    )


def sphere(params: Params) -> float:
    return float(((np.array([params[path] for path in CUBE]) - TARGET) ** 2).sum())


def best(sampler: Sampler, cost: Callable[[Params], float], count: int, parallel: int = 1) -> float:
    """The smallest cost after `count` trials, `parallel` of them running."""
    running: list[Params] = []
    costs: list[float] = []
    for number in range(count):
        params = sampler.ask(number)
        assert params is not None
        running.append(params)
        if len(running) == parallel:
            costs.append(cost(running[0]))
            sampler.tell(FinishedTrial(len(costs) - 1, running.pop(0), "completed", (costs[-1],), 9))
    return min(costs)


def medians(
    names: tuple[str, ...], base: Experiment, cost: Callable[[Params], float], count: int, parallel: int
) -> Any:
    seeds = range(5)
    return {
        name: median(best(space_of(name, CUBE).build_sampler(s), cost, count, parallel) for s in seeds)
        for name in names
    }


@pytest.mark.slow
def test_those_that_learn_come_closer_than_chance(base: Experiment) -> None:
    found = medians(("random", "tpe", "cmaes", "nsga2"), base, sphere, 56, 4)
    assert found["tpe"] < found["random"] / 2
    assert found["cmaes"] < found["random"] / 2
    assert found["nsga2"] < found["random"] / 1.5


@pytest.mark.slow
def test_a_gaussian_process_comes_closer_than_chance(base: Experiment) -> None:
    found = [best(space_of("gp", CUBE).build_sampler(seed), sphere, 18) for seed in (0, 1)]
    chance = [best(space_of("random", CUBE).build_sampler(seed), sphere, 18) for seed in range(20)]
    assert max(found) < min(chance)


def test_a_gaussian_process_is_optunas_on_the_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same proposal as a study of the same trials, and nothing drawn independently once the startup is over."""
    dimensions = space_of("gp", {**CUBE, "x.3": {"choice": ["a", "b"]}}).dimensions
    model = GPModel(dimensions, SubspaceContext(1, 1, 0), startup=4)
    ended: list[FinishedTrial] = []
    for number in range(6):
        params = QMCSequence(dimensions, 3, "sobol")[number]
        ended.append(FinishedTrial(number, params, "completed", (sphere(params),), 9))
    running = [RunningTrial(6, QMCSequence(dimensions, 3, "sobol")[6])]

    def independent(*arguments: Any) -> None:
        raise AssertionError("drawn independently")

    monkeypatch.setattr(optuna.samplers.GPSampler, "sample_independent", independent)
    proposed = model.propose(ended, running, seed=11)
    trial = build_study(ended, running, dimensions, 1, optuna_gp(11)).ask()
    assert proposed == {d.path: value for d in dimensions for value in d.suggest(trial).values()}


def test_the_startup_of_a_gaussian_process_is_shared_by_the_branches() -> None:
    dimensions = space_of("gp", CUBE).dimensions
    points = QMCSequence(dimensions, 0, "sobol")
    ended = [FinishedTrial(n, points[n], "completed", (sphere(points[n]),), 9) for n in range(3)]
    alone, shared = (GPModel(dimensions, SubspaceContext(subspaces, 1, 0), startup=10) for subspaces in (1, 4))
    assert alone.propose(ended, [], 0) == points[3]  # 3 of 10
    assert shared.propose(ended, [], 0) != points[3]  # 3 of ceil(10 / 4)


def solutions(count: int, seed: int = 0) -> list[FinishedTrial]:
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        params = dict(zip(CUBE, rng.random(3).tolist(), strict=True))
        found.append(FinishedTrial(number, params, "completed", (sphere(params),), 9))
    return found


def evolution(startup: int = 1) -> CMAESModel:
    return CMAESModel(space_of("cmaes", CUBE).dimensions, SubspaceContext(1, 1, 0), startup)


def test_the_distribution_is_that_of_cma_es() -> None:
    """Against the library, told the same generations by their values: 7 trials each, 4 + floor(3 ln 3) = 7."""
    ended = solutions(17)  # the last three are not a generation yet
    reference = CMA(np.full(3, 0.5), 1 / 6, np.tile([0.0, 1.0], (3, 1)), seed=0)
    for start in (0, 7):
        told = ended[start : start + 7]
        reference.tell([(np.array(list(t.params.values())), t.finite[0]) for t in told])
    optimizer = evolution().optimizer(ended)
    assert optimizer.generation == reference.generation == 2
    np.testing.assert_allclose(optimizer.mean, reference.mean, rtol=1e-12)
    optimizer.reseed_rng(4)
    reference.reseed_rng(4)
    proposed = evolution().propose(ended, [], 4)
    np.testing.assert_allclose(list(proposed.values()), reference.ask(), rtol=1e-12)


def test_stopped_trials_have_a_place_in_a_generation_and_failed_ones_none() -> None:
    ended = solutions(7)
    optimizer = evolution().optimizer(ended)
    order = sorted(range(7), key=lambda n: ended[n].finite[0])
    cut = set(order[2:])  # all but the best two are stopped, with values of their epoch: the same order
    mixed = [FinishedTrial(n, t.params, "stopped", t.values, 3) if n in cut else t for n, t in enumerate(ended)]
    failed = FinishedTrial(3, dict.fromkeys(CUBE, 0.0), "failed", None, 1)
    again = evolution().optimizer([*mixed[:3], failed, *mixed[3:]])
    np.testing.assert_array_equal(again.mean, optimizer.mean)


def test_a_warm_start_begins_where_the_other_search_was_best() -> None:
    foreign = [FinishedTrial(None, t.params, t.state, t.values, t.epoch) for t in solutions(200)]
    mean = evolution().optimizer(foreign).mean
    assert np.linalg.norm(mean - TARGET) < np.linalg.norm(0.5 - TARGET)
    np.testing.assert_array_equal(evolution().optimizer(foreign[:9]).mean, [0.5, 0.5, 0.5])  # too few


def test_cma_es_refuses_several_goals() -> None:
    with pytest.raises(ConfigError, match="cmaes knows one goal"):
        space_of("cmaes", CUBE, objective={"metrics": {"val/rate": "min", "val/distortion": "min"}})


@pytest.mark.parametrize(("kind", "engine"), [("sobol", qmc.Sobol), ("halton", qmc.Halton)])
def test_point_k_is_that_of_the_sequence_in_any_session(kind: str, engine: Any, base: Experiment) -> None:
    strategy = {"name": "qmc", "kind": kind}
    space = space_of(strategy, {**CUBE, "x.3": {"int": [1, 100], "log": True}})
    seed = derive(7, "branch", "all")
    reference = engine(4, scramble=True, rng=np.random.default_rng(seed)).random(8)
    expected = [{d.path: from_unit(d, u) for d, u in zip(space.dimensions, row, strict=True)} for row in reference]
    first = space.build_sampler(7)
    assert [first.ask(number) for number in range(4)] == expected[:4]
    again = space.build_sampler(7)
    again.tell(FinishedTrial(0, expected[0], "failed", None, 0))
    again.tell(
        FinishedTrial(1, {**expected[1], "x.0": 0.5}, "completed", (1.0,), 9)
    )  # a start point: no point of the sequence
    again.adopt(2, expected[1])
    assert [again.ask(number) for number in range(3, 6)] == expected[2:5]


def test_few_integers_are_each_proposed_before_one_comes_again(base: Experiment) -> None:
    sampler = space_of("qmc", {"x.0": {"int": [1, 5]}}).build_sampler(0)
    values = [params["x.0"] for number in range(9) if (params := sampler.ask(number))]
    assert sorted(values[:5]) == [1, 2, 3, 4, 5]
    assert len(values) == 9


def test_a_grid_is_proposed_once_and_ends(base: Experiment) -> None:
    space = space_of(
        {"name": "grid", "points": 4}, {"x.9": CHOICE, "x.2": {"int": [1, 3]}, "x.3": {"choice": ["a", "b"]}}
    )
    sampler = space.build_sampler(0)
    asked: list[Params] = []
    while (params := sampler.ask(len(asked))) is not None:
        asked.append(params)
    points = {tuple(sorted(params.items())) for params in asked}
    assert len(points) == len(asked) == grid_size(space.dimensions, 4)
    assert sampler.ask(len(asked)) is None
    other = space.build_sampler(1)
    assert [other.ask(n) for n in range(len(asked))] != asked
    again = space.build_sampler(0)
    for number in (0, 1, 2, 5):  # 3 and 4 were never submitted
        again.tell(FinishedTrial(number, asked[number], "completed", (1.0,), 9))
    assert [again.ask(6), again.ask(7), again.ask(8)] == [asked[3], asked[4], asked[6]]


def test_too_large_a_grid_is_refused(base: Experiment) -> None:
    space = space_of({"name": "grid", "points": 100}, CUBE)
    with pytest.raises(ConfigError, match="grid: has 1000000 points with 100 a range, must be <= 100000"):
        space.build_sampler(0)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["gp", "cmaes", "qmc"])
def test_the_bandit_tries_every_branch_and_then_prefers_the_best(strategy: str, base: Experiment) -> None:
    sampler = space_of(strategy, {"x.9": CHOICE}).build_sampler(0)
    chosen = []
    for number in range(24):
        params = sampler.ask(number)
        assert params is not None
        assert set(params) == ({"x.9", "x.0"} if params["x.9"] == "good" else {"x.9", "x.0", "x.1"})
        chosen.append(params["x.9"])
        cost = params["x.0"] + (0 if params["x.9"] == "good" else 5)
        sampler.tell(FinishedTrial(number, params, "completed", (cost,), 9))
    assert chosen[:2] == ["good", "bad"]
    assert chosen.count("good") >= 16


def test_too_many_branches_are_refused(base: Experiment) -> None:
    choices = {f"x.{i}": {"choice": [0, 1, 2]} for i in range(3)}
    with pytest.raises(ConfigError, match="27"):
        space_of("cmaes", choices).build_sampler(0)


def test_a_child_has_what_its_parents_have() -> None:
    """Parents of two subspaces: each parameter comes from one that has it, near its value, or mutates."""
    dimensions = space_of("nsga2", {"x.9": CHOICE}).dimensions
    choice = dimensions[0]
    parents = ({"x.9": "good", "x.0": 0.5}, {"x.9": "bad", "x.0": 0.5, "x.1": 4})
    children = [Child(parents, np.random.default_rng(seed)) for seed in range(400)]
    options = [child(choice) for child in children]
    assert 100 < options.count("good") < 300
    integers = space_of("nsga2", {"x.1": {"int": [1, 9]}}).dimensions[0]
    values = [Child(parents, np.random.default_rng(seed))(integers) for seed in range(400)]
    assert values.count(4) > 200  # one mutation in three, of which many round to the same integer
    assert set(values) > {3, 4, 5}


def front_distance(sampler: Sampler, count: int) -> float:
    """How far the newest half of the trials are from the front of two costs, x0^2 + r and (x0 - 1)^2 + r, at r = 0."""
    distances = []
    for number in range(count):
        params = sampler.ask(number)
        assert params is not None
        rest = (params["x.1"] - 0.3) ** 2 + (params["x.2"] - 0.6) ** 2
        values = (params["x.0"] ** 2 + rest, (params["x.0"] - 1) ** 2 + rest)
        sampler.tell(FinishedTrial(number, params, "completed", values, 9))
        distances.append(rest)
    return float(np.mean(distances[count // 2 :]))


@pytest.mark.parametrize("strategy", ["tpe", "nsga2"])
@pytest.mark.slow
def test_several_goals_are_approached(strategy: str, base: Experiment) -> None:
    goals = {"metrics": {"val/rate": "min", "val/distortion": "min"}}
    found, chance = (
        median(front_distance(space_of(name, CUBE, objective=goals).build_sampler(seed), 60) for seed in range(3))
        for name in (strategy, "random")
    )
    assert found < chance / 2
