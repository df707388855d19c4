"""What every sampler keeps, by its registered name: points of the space, and the same ones for the same knowledge.

Those of other packages are picked up by their entry points, and two of Optuna's own stand for any that is named.
"""

import logging
import random
from collections.abc import Iterator
from typing import Any

import pytest

from sampling import COUNT, GP, TPE, drive, space_of
from vaeforge.search.strategy_registry import samplers

SINGLE = [*sorted(samplers()), TPE, GP]
SEVERAL = [*sorted(name for name, kind in samplers().items() if kind.several_goals), TPE, GP]


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


def cases() -> list[Any]:
    one = [pytest.param(name, False, id=name, marks=slowest(name)) for name in SINGLE]
    return one + [pytest.param(name, True, id=f"{name}-several", marks=slowest(name)) for name in SEVERAL]


def slowest(strategy: str) -> list[pytest.MarkDecorator]:
    """Optuna's Gaussian process takes long; the sampler `gp`, which is tried always, draws from the same one."""
    return [pytest.mark.long] if strategy == GP else []


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "several"), cases())
def test_it_has_what_it_needs_of_the_space(strategy: str, several: bool) -> None:
    space = space_of(strategy, several)
    assert space.search.unmet(space) == []


@pytest.mark.parametrize(("strategy", "several"), cases())
@pytest.mark.slow
def test_proposals_are_points_of_the_space(strategy: str, several: bool) -> None:
    space = space_of(strategy, several, freeze={"beta.warmup": 0.2})
    sampler = space.build_sampler(0)
    ended, running = drive(sampler, COUNT.get(strategy, 18), several)
    for params in [trial.params for trial in (*ended, *running)]:
        assert space.violations(params) == []
        assert params.get("beta.warmup", 0.2) == 0.2
        assert ("beta.warmup" in params) == (params["beta.schedule"] == "linear")
    assert {trial.params["beta.schedule"] for trial in ended} == {"constant", "linear", "free_bits"}


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "several"), cases())
def test_the_same_knowledge_gives_the_same_proposal(strategy: str, several: bool) -> None:
    """A resumed search: other order of telling, start points and unfinished trials adopted, everything told twice."""
    space = space_of(strategy, several)
    first = space.build_sampler(5)
    count = COUNT.get(strategy, 14)
    ended, running = drive(first, count, several)
    shuffled = random.Random(0).sample(ended, len(ended))
    again = space.build_sampler(5)
    for trial in [*shuffled, *shuffled[:3]]:
        again.tell(trial)
    for unfinished in running:
        again.adopt(unfinished.number, unfinished.params)
    expected = [first.ask(count), first.ask(count + 1)]
    assert [again.ask(count), again.ask(count + 1)] == expected
    assert expected[0] != expected[1]


@pytest.mark.parametrize("strategy", SINGLE)
def test_the_seed_decides(strategy: str) -> None:
    found = []
    for seed in (0, 0, 1):
        sampler = space_of(strategy).build_sampler(seed)
        found.append([sampler.ask(number) for number in range(6)])
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("strategy", SINGLE)
def test_what_is_given_is_taken_and_the_rest_proposed(strategy: str) -> None:
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


@pytest.mark.parametrize("strategy", SINGLE)
def test_what_it_proposes_next_depends_on_the_number(strategy: str) -> None:
    """Two trials that are asked for at the same time are not the same trial."""
    sampler = space_of(strategy).build_sampler(0)
    found = [sampler.ask(number) for number in range(4)]
    assert len({repr(params) for params in found}) > 1


@pytest.mark.parametrize("strategy", SINGLE)
def test_stagnation_counts_trained_trials_alone(strategy: str) -> None:
    sampler = space_of(strategy).build_sampler(0)
    drive(sampler, 8, several=False)  # ended: 0 to 5, of which 3 failed
    assert not sampler.stagnates(6)
