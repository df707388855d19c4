"""Spaces: what is refused, what is warned of, and what a configuration becomes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from vaeforge.config import Experiment
from vaeforge.errors import ConfigError
from vaeforge.loading import load
from vaeforge.search.resources import largest_checkpoint
from vaeforge.search.space import Fidelity, check, experiment_for, parse, read_space, trial_seed
from vaeforge.train.loop import untrained
from vaeforge_models.families import families
from vaeforge_models.schedules import Cyclical
from vaeforge_models.vae import DataSpec, parameter_count

ROOT = Path(__file__).parents[2]
RANGE = {"model.latent_dim": {"int": [2, 8], "log": True}}


def content(**changes: Any) -> dict[str, Any]:
    return {"family": "endoscopy", "fidelity": {"max": 9, "min": 3, "reduction": 3}, "space": RANGE} | changes


@pytest.fixture
def base(make_experiment: Callable[..., Experiment]) -> Experiment:
    return make_experiment()


@pytest.mark.parametrize("path", sorted((ROOT / "tune_spaces").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_space_is_sound_and_silent(path: Path) -> None:
    from vaeforge.loading import load

    space = read_space(path)
    assert check(space, load(ROOT, space.family).experiment) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": {"model.latent": {"int": [1, 2]}}}, r"model\.latent: unknown key; did you mean 'latent_dim'"),
        ({"space": {"modl.latent_dim": {"int": [1, 2]}}}, "must begin with one of"),
        ({"space": {"prepare.size": {"int": [32, 64]}}}, "must begin with one of"),
        ({"space": {"model.latent_dim": {"int": [0, 8]}}}, "got 0, must be >= 1"),
        ({"space": {"model.latent_dim": {"int": [9, 2]}}}, "low is 9 and high is 2"),
        ({"space": {"optimizer.lr": {"float": [0, 1], "log": True}}}, "logarithmic scale, must be > 0"),
        ({"space": {"optimizer.lr": {"float": [0.1, "x"]}}}, "must be \\[low, high\\]"),
        ({"space": {"optimizer.lr": {"float": [0.1, 0.2], "lgo": True}}}, "unknown key 'lgo'"),
        ({"space": {"model.latent_dim": {"int": [1.5, 2]}}}, "two ints"),
        ({"space": {"beta.schedule": {"choice": []}}}, "must be a list of options"),
        ({"space": {"beta.schedule": {"choice": ["constnt"]}}}, "did you mean 'constant'"),
        ({"space": {"beta.schedule": {"choice": {"constant": {"beta.warmup": {"float": [0.1, 0.2]}}}}}}, "unknown key"),
        ({"start": [{"model.latent_dim": 99}]}, "start: model.latent_dim: got 99"),
        ({"start": [{"optimizer.lr": 0.1}]}, "not in the space under this point"),
        ({"objective": {"metric": "train/loss"}}, "objective: metric: got 'train/loss', must be 'val/nelbo'"),
        ({"objective": {"mode": "max"}}, "must be 'min'"),
        ({"objective": {"requires": {}}}, "did you mean 'require'"),
        ({"objective": {"require": {"test/auroc": 0.5}}}, "must be a number for val/active_units"),
        ({"objective": "val/nelbo"}, "must be a mapping"),
        ({"fidelity": {"max": 2, "min": 3, "reduction": 3}}, "min must be <= max"),
        ({"fidelity": {"max": 9, "min": 0, "reduction": 3}}, "must be an integer >= 1"),
        ({"fidelty": {}}, "did you mean 'fidelity'"),
        ({"rung": "all"}, "'schedule' or 'global'"),
        ({"family": "cilia"}, "this search is for 'endoscopy'"),
    ],
)
def test_bad_spaces_are_refused(base: Experiment, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(parse(content(**changes), "space.yaml"), base)


def test_all_problems_are_told_at_once() -> None:
    wrong = {"model.latent_dim": {"int": [9, 2]}, "optimizer.lr": {"float": [0, 1], "log": True}}
    with pytest.raises(ConfigError) as caught:
        parse(content(space=wrong, rung="x"), "space.yaml")
    assert len(caught.value.problems) == 3


def test_duplicate_keys_and_exponents_in_yaml(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("family: endoscopy\nspace:\n  optimizer.lr: {float: [1e-4, 1E-2], log: true}\n")
    assert read_space(path).dimensions[0].low == 1e-4  # type: ignore[union-attr]
    path.write_text("family: endoscopy\nspace: {}\nspace: {}\n")
    with pytest.raises(ConfigError, match="'space' is there twice"):
        read_space(path)
    path.write_text("!!python/object/apply:os.system ['false']\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_space(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_space(tmp_path / "missing.yaml")


def test_a_rung_before_the_first_full_beta_is_warned_of(base: Experiment) -> None:
    late = {"beta.schedule": {"choice": {"linear": {"beta.warmup": {"float": [0.1, 0.5]}}}}}
    warnings = check(parse(content(space=late), "space.yaml"), base)
    assert len(warnings) == 1
    assert "linear" in warnings[0] and "50%" in warnings[0] and "5 epochs" in warnings[0]


def test_another_schedule_starts_from_its_own_defaults(base: Experiment) -> None:
    choice = {"beta.schedule": {"choice": {"cyclical": {"beta.max": {"float": [0.1, 2]}}}}}
    space = parse(content(space=choice), "space.yaml")
    experiment = experiment_for(space, base, {"beta.schedule": "cyclical", "beta.max": 2.0}, seed=7)
    assert experiment.beta == Cyclical(max=2.0)
    assert (experiment.training.epochs, experiment.training.seed) == (9, 7)


def test_branches_share_a_name_only_where_their_ranges_agree() -> None:
    def names(second: list[float]) -> set[str]:
        options = {
            "constant": {"beta.value": {"float": [0.1, 1]}},
            "linear": {"beta.value": {"float": second}},
        }
        space = parse(content(space={"beta.schedule": {"choice": options}}), "s")
        return {
            name
            for option in options
            for name in space.optuna_names({"beta.schedule": option, "beta.value": 0.5})
            if name.startswith("beta.value")
        }

    assert names([0.1, 1]) == {"beta.value"}
    assert names([0.1, 2]) == {"beta.value@constant", "beta.value@linear"}


@pytest.mark.parametrize("path", sorted((ROOT / "tune_spaces").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_space_suggests_valid_configurations_of_all_its_schedules(path: Path) -> None:
    space = read_space(path)
    shipped = load(ROOT, space.family).experiment
    check(space, shipped)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    groups = set()
    for number in range(80):
        params = space.suggest(study.ask())
        experiment_for(space, shipped, params, trial_seed(0, number))
        groups.add(space.group(params, shipped))
    schedules = space.content["space"].get("beta.schedule", {"choice": [shipped.beta.schedule]})["choice"]
    assert groups == set(schedules)


def test_rungs_of_a_fidelity_and_of_a_shortened_one() -> None:
    assert Fidelity(18, 6, 3).rungs() == [6]
    assert Fidelity(27, 1, 3).rungs() == [1, 3, 9]
    assert Fidelity(5, 5, 3).rungs() == []
    assert parse(content(), "s").with_epochs(3).fidelity == Fidelity(3, 1, 3)


def test_trial_seeds_differ_and_repeat() -> None:
    seeds = [trial_seed(0, n) for n in range(1000)]
    assert len(set(seeds)) == 1000
    assert seeds[5] == trial_seed(0, 5) != trial_seed(1, 5)


@pytest.mark.parametrize("name", sorted(families()))
def test_every_familys_size_is_known_before_anything_is_built(name: str) -> None:
    """Also where constants of the data are part of the model."""
    space, spec = read_space(ROOT / f"tune_spaces/{name}.yaml"), families()[name].example
    base = load(ROOT, name).experiment
    assert largest_checkpoint(space, base, spec) >= 12 * parameter_count(untrained(base, spec))


def test_the_disk_estimate_sees_the_largest_model(base: Experiment) -> None:
    small = largest_checkpoint(parse(content(), "s"), base, DataSpec((3, 32, 32)))
    large = largest_checkpoint(
        parse(content(space={"model.latent_dim": {"int": [2, 800]}}), "s"), base, DataSpec((3, 32, 32))
    )
    assert large > small > 0
