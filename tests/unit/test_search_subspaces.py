"""Branches: a conditional space as flat ones, against what the space itself suggests; and the size of grids."""

from itertools import product
from pathlib import Path
from typing import Any

import optuna
import pytest

from vaeforge.errors import ConfigError
from vaeforge.search.samplers.grid import grid_size
from vaeforge.search.space.dimensions import Choice, Dimension, Range
from vaeforge.search.space.space import Space, parse_space, read_space
from vaeforge.search.space.subspaces import Subspace, split_into_subspaces

ROOT = Path(__file__).parents[2]
UNIT = {"float": [0.0, 1.0]}
SPACE: dict[str, Any] = {
    "model.latent_dim": {"int": [2, 8]},
    "model.upsample": {"choice": ["resize", "transpose"]},
    "beta.schedule": {
        "choice": {
            "constant": {"beta.value": UNIT},
            "linear": {"beta.value": UNIT, "beta.warmup": {"float": [0.1, 0.3]}},
            "cyclical": {
                "beta.max": UNIT,
                "beta.shape": {"choice": {"linear": {}, "cosine": {"beta.cycles": {"int": [2, 4]}}}},
            },
        }
    },
}


def space(content: dict[str, Any] | None = None, **changes: Any) -> Space:
    return parse_space({"family": "endoscopy", "space": SPACE if content is None else content, **changes}, "space.yaml")


def paths(part: Subspace) -> set[str]:
    return {dimension.path for dimension in part.dimensions}


def test_options_that_open_dimensions_are_branches_and_other_choices_stay() -> None:
    found = {part.name: part for part in split_into_subspaces(space(), "cmaes", categorical=False)}
    assert list(found) == ["constant", "linear", "cyclical, linear", "cyclical, cosine"]
    assert [choice.path for choice in found["linear"].choices] == ["model.upsample"]
    assert paths(found["linear"]) == {"model.latent_dim", "model.upsample", "beta.value", "beta.warmup"}
    assert found["cyclical, cosine"].fixed == {"beta.schedule": "cyclical", "beta.shape": "cosine"}
    assert "beta.cycles" in paths(found["cyclical, cosine"]) - paths(found["cyclical, linear"])


def test_with_categorical_every_option_is_a_branch_of_ranges_alone() -> None:
    found = split_into_subspaces(space(), "cmaes", categorical=True)
    assert len(found) == 2 * 4
    assert not any(part.choices for part in found)
    assert found[0].name == "resize, constant"


def test_a_flat_space_is_one_branch() -> None:
    (only,) = split_into_subspaces(space({"model.latent_dim": {"int": [2, 8]}}), "cmaes", categorical=True)
    assert (only.name, only.fixed, paths(only)) == ("all", {}, {"model.latent_dim"})
    (empty,) = split_into_subspaces(space({}), "cmaes", categorical=False)
    assert empty.dimensions == ()


@pytest.mark.parametrize("categorical", [False, True])
@pytest.mark.parametrize("freeze", [{}, {"model.latent_dim": 4, "beta.warmup": 0.2}, {"beta.schedule": "cyclical"}])
def test_each_suggestion_lies_in_exactly_one_branch_and_fills_it(categorical: bool, freeze: dict[str, Any]) -> None:
    searched = space(freeze=freeze)
    found = split_into_subspaces(searched, "cmaes", categorical)
    study, seen = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)), set()
    for _ in range(60):
        params = searched.suggest(study.ask())
        (mine,) = [part for part in found if part.contains(params)]
        assert set(params) == paths(mine) | set(mine.fixed)
        assert searched.fits(params)
        seen.add(mine.name)
    assert seen == {part.name for part in found}


def test_a_frozen_value_that_one_branch_has_is_fixed_in_that_one_alone() -> None:
    found = {
        part.name: part for part in split_into_subspaces(space(freeze={"beta.warmup": 0.2}), "cmaes", categorical=False)
    }
    assert found["linear"].fixed == {"beta.schedule": "linear", "beta.warmup": 0.2}
    assert "beta.warmup" not in found["constant"].fixed
    assert not found["linear"].contains({"beta.schedule": "linear", "beta.warmup": 0.1})


@pytest.mark.parametrize("path", sorted((ROOT / "tune_spaces").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_space_has_a_branch_for_each_schedule(path: Path) -> None:
    shipped = read_space(path)
    schedules = shipped.content["space"]["beta.schedule"]["choice"]
    assert [part.fixed["beta.schedule"] for part in split_into_subspaces(shipped, "cmaes", categorical=False)] == list(
        schedules
    )


def test_too_many_branches_are_refused_without_being_made() -> None:
    many = {f"model.c{n}": {"choice": list(range(10))} for n in range(20)}
    assert len(split_into_subspaces(space(many), "cmaes", categorical=False)) == 1
    with pytest.raises(ConfigError, match=r"got 100000000000000000000, must be <= 24; freeze a choice"):
        split_into_subspaces(space(many, search="cmaes"), "cmaes", categorical=True)
    assert len(split_into_subspaces(space({"model.a": {"choice": list(range(24))}}), "cmaes", categorical=True)) == 24


def listed(dimensions: tuple[Dimension, ...], points: int) -> list[tuple[Any, ...]]:
    """Every configuration of a grid, the slow and obvious way."""
    axes = []
    for d in dimensions:
        if isinstance(d, Range):
            axes.append([((d.path, value),) for value in d.grid(points)])
        else:
            axes.append([((d.path, o), *rest) for o, below in d.options.items() for rest in listed(below, points)])
    return [tuple(pair for part in parts for pair in part) for parts in product(*axes)]


@pytest.mark.parametrize("points", [1, 3, 5])
def test_the_size_of_a_grid_is_the_number_of_its_configurations(points: int) -> None:
    searched = space(search={"name": "grid", "points": points})
    every = listed(searched.dimensions, points)
    assert grid_size(searched.dimensions, points) == len(every) == len(set(every))


def test_the_size_of_a_grid_by_hand() -> None:
    assert grid_size(space().dimensions, 3) == 3 * 2 * (3 + 3 * 3 + 3 * (1 + 3))  # 3 points a range; cycles: 2, 3, 4
    assert grid_size(space(freeze={"beta.schedule": "linear", "model.latent_dim": 8}).dimensions, 3) == 2 * 3 * 3
    assert grid_size(space({}).dimensions, 3) == 1


@pytest.mark.parametrize(
    ("dimension", "points", "values"),
    [
        (Range("p", "p", 0.0, 1.0, False, False), 5, [0.0, 0.25, 0.5, 0.75, 1.0]),
        (Range("p", "p", 0.01, 100.0, False, True), 3, [0.01, 1.0, 100.0]),
        (Range("p", "p", 1, 3, True, False), 9, [1, 2, 3]),
        (Range("p", "p", 4, 256, True, True), 4, [4, 16, 64, 256]),
        (Range("p", "p", 0.0, 1.0, False, False), 1, [0.5]),
        (Range("p", "p", 0.3, 0.3, False, True), 3, [0.3]),
    ],
)
def test_the_points_of_a_range(dimension: Range, points: int, values: list[float]) -> None:
    found = dimension.grid(points)
    assert found == pytest.approx(values, rel=1e-12)
    assert all(dimension.contains(value) for value in found)
    assert all(isinstance(value, int) for value in found) is dimension.integer


def test_options_are_what_they_are_and_not_what_python_holds_equal() -> None:
    choice = Choice("p", {1: (), "a": ()})
    assert choice.contains(1) and choice.contains("a")
    assert not choice.contains(True) and not choice.contains([1]) and not choice.contains({})
