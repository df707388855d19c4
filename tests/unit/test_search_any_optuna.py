"""Samplers of Optuna by their import path: what is refused before a search starts, and what is done for the others."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sampling import GOALS, SPACE, drive
from vaeforge.errors import ConfigError
from vaeforge.search.space.space import Space, parse_space

ROOT = Path(__file__).parents[2]
OWN = "optuna:optuna.samplers."


def space_of(name: str, several: bool = False, space: Any = None, **options: Any) -> Space:
    content = {"family": "endoscopy", "search": {"name": name, "options": options}, "space": space or SPACE}
    return parse_space(content | ({"objective": GOALS} if several else {}), "s.yaml")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (f"{OWN}TPESmpler", {}, "optuna.samplers has no class 'TPESmpler' .*; did you mean 'TPESampler'"),
        ("optuna:no_such_module.Sampler", {}, "the module 'no_such_module' cannot be imported"),
        ("optuna:Sampler", {}, "got 'Sampler', must be module.Class"),
        ("optuna:optuna.Study", {}, "optuna has no class 'Study' of optuna.samplers.BaseSampler"),
        (f"{OWN}BaseSampler", {}, "takes no seed"),
        (f"{OWN}PartialFixedSampler", {}, "takes no seed, so that its proposals could not be had again"),
        (f"{OWN}TPESampler", {"startup": 3}, "options: unknown key 'startup'; did you mean 'n_startup_trials'"),
        (f"{OWN}TPESampler", {"seed": 3}, "options: unknown key 'seed'"),
    ],
)
def test_what_is_no_sampler_is_refused_where_the_space_is_read(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        space_of(name, **options)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(f"s.yaml: search: {name}: ")


@pytest.mark.parametrize(
    ("name", "several", "options", "message"),
    [
        ("CmaEsSampler", False, {}, "keeps what it has learned in the study"),
        ("NSGAIISampler", True, {}, "keeps what it has learned in the study"),
        ("QMCSampler", False, {}, "keeps what it has learned in the study"),
        ("CmaEsSampler", True, {}, "cannot propose in this space with 2 goals"),
        ("GridSampler", False, {"search_space": {}}, "model.latent_dim, is not found in the given grid"),
        ("TPESampler", False, {"n_startup_trials": "many"}, "cannot propose in this space: .*int"),
        ("NSGAIISampler", False, {"population_size": 1}, "must be greater than or equal to 2"),
    ],
)
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_what_cannot_serve_a_search_is_refused_before_it_starts(
    name: str, several: bool, options: dict[str, Any], message: str
) -> None:
    space = space_of(OWN + name, several, **options)
    problems = space.search.unmet(space)
    assert problems and all(problem.startswith(f"s.yaml: search: {OWN}{name}: ") for problem in problems)
    with pytest.raises(AssertionError, match=message):
        raise AssertionError("\n".join(problems))


def test_a_model_for_each_option_where_the_sampler_holds_no_choices() -> None:
    """CMA-ES does not: each of batch sizes 16 and 32 has a part of its own, beside each schedule."""
    space = space_of(f"{OWN}CmaEsSampler")
    assert len(space.search.subspaces(space)) == 3 * 2
    held = space_of(f"{OWN}TPESampler", multivariate=True)
    assert len(held.search.subspaces(held)) == 3


def test_it_is_built_anew_for_each_proposal_under_a_seed_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from vaeforge.search.samplers.optuna_bridge.foreign import ForeignSampler

    seeds: list[int] = []
    build = ForeignSampler.build
    space = space_of(f"{OWN}TPESampler")
    sampler = space.build_sampler(0)
    monkeypatch.setattr(ForeignSampler, "build", lambda self, seed: seeds.append(seed) or build(self, seed))
    drive(sampler, 6, several=False)
    first = list(seeds)
    again = space.build_sampler(0)
    seeds.clear()
    drive(again, 6, several=False)
    assert len(set(first)) == 6 and seeds == first


def test_a_choice_of_more_options_than_there_may_be_parts_is_refused() -> None:
    many = {"beta.schedule": {"choice": {str(n): {"beta.value": {"float": [0, 1]}} for n in range(30)}}}
    space = space_of(f"{OWN}TPESampler", space=many)
    assert "got 30, must be <= 24" in space.search.unmet(space)[0]


@pytest.mark.slow
def test_a_worker_unpickles_a_space_without_optuna() -> None:
    """An import of Optuna costs each of them a second."""
    for search in ({"name": f"{OWN}TPESampler"}, "gp", "cmaes", "qmc"):
        content = {"family": "endoscopy", "search": search, "space": SPACE, "scheduler": "pbt"}
        space = pickle.dumps(parse_space(content, "s"))
        code = (
            "import pickle, sys; space = pickle.load(sys.stdin.buffer); "
            "print(space.search.name, [name for name in ('optuna', 'scipy', 'cmaes') if name in sys.modules])"
        )
        environment = {"PYTHONPATH": f"{ROOT / 'platform'}:{ROOT / 'models'}"}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, input=space, capture_output=True, check=True, env=environment)
        assert done.stdout.decode().endswith("[]\n"), done.stdout
