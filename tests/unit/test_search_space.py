"""Spaces: what is refused, what is warned of, and what a configuration becomes."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml

from vaeforge.config.experiment import Experiment
from vaeforge.config.loader import load
from vaeforge.errors import ConfigError
from vaeforge.search.dispatch.resources import largest_checkpoint
from vaeforge.search.samplers.grid import grid_size
from vaeforge.search.space.checks import check
from vaeforge.search.space.fidelity import Fidelity
from vaeforge.search.space.space import parse_space, read_space
from vaeforge.search.space.trial_experiment import experiment_for, trial_seed
from vaeforge.training.loop import untrained
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
    from vaeforge.config.loader import load

    space = read_space(path)
    assert check(space, load(ROOT, space.family).experiment) == []


def test_the_spaces_of_the_documentation_are_sound_and_silent() -> None:
    text = (ROOT / "tune_spaces/README.md").read_text(encoding="utf-8")
    examples = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)]
    spaces = [parse_space(example, "README.md") for example in examples]
    assert [len(space.objective.goals) for space in spaces] == [1, 2]
    assert [check(space, load(ROOT, space.family).experiment) for space in spaces] == [[], []]
    assert grid_size(spaces[0].dimensions, 3) == 90


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
        ({"start": [{"model.latent_dim": 99}]}, "start: point 1: model.latent_dim: got 99"),
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
        ({"rung": ["global"]}, "'schedule' or 'global'"),
        ({"family": "cilia"}, "this search is for 'endoscopy'"),
        ({"space": {3: {"int": [1, 2]}}}, "3: must be a path"),
        ({"space": {"beta.knots": {"choice": [[[0, 0], [1, 1]]]}}}, "got the option .*, must be text, a number"),
        ({"space": {"model.latent_dim": {"choice": [8, 8]}}}, "must name each option once"),
        ({"fidelity": 9}, "fidelity: got 9, must be a mapping"),
        ({"fidelity": {"max": True}}, "fidelity: max: got True, must be an integer"),
        ({"search": "tpee"}, "search: got 'tpee', .* did you mean 'tpe'"),
        ({"scheduler": {"name": "median", "grace": 9}}, "scheduler.grace must be < 9"),
        ({"scheduler": "pbt"}, "none of them is searched"),
        ({"freeze": {"model.latent": 4}}, "freeze: model.latent: not in the space; did you mean 'model.latent_dim'"),
        ({"freeze": {"model.latent_dim": 9}}, r"freeze: model.latent_dim: got 9, must be an integer in 2 \.\. 8"),
        ({"freeze": ["model.latent_dim"]}, "freeze: got .*, must be a mapping"),
        ({"start": [{"model.latent_dim": 4}], "freeze": {"model.latent_dim": 5}}, "point 1: .*got 4, .* frozen at 5"),
        ({"start": [{"model.latent_dm": 4}]}, "point 1: model.latent_dm: .*did you mean 'model.latent_dim'"),
    ],
)
def test_bad_spaces_are_refused(base: Experiment, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(parse_space(content(**changes), "space.yaml"), base)


def test_a_path_described_twice_for_one_trial_is_refused() -> None:
    below = {"constant": {"beta.value": {"float": [0.1, 1]}}, "linear": {"beta.value": {"float": [0.1, 2]}}}
    both = {"beta.value": {"float": [0, 1]}, "beta.schedule": {"choice": below}}
    with pytest.raises(ConfigError, match=r"beta\.value: is described twice"):
        parse_space(content(space=both), "s")
    nested = {"model.a": {"choice": {"x": {"model.a": {"choice": ["y"]}}}}}
    with pytest.raises(ConfigError, match=r"model\.a: is described twice"):
        parse_space(content(space=nested), "s")
    parse_space(content(space={"beta.schedule": {"choice": below}}), "s")


def test_all_problems_are_told_at_once() -> None:
    wrong = {"model.latent_dim": {"int": [9, 2]}, "optimizer.lr": {"float": [0, 1], "log": True}}
    with pytest.raises(ConfigError) as caught:
        parse_space(content(space=wrong, rung="x"), "space.yaml")
    assert len(caught.value.problems) == 3


def test_duplicate_keys_and_exponents_in_yaml(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("family: endoscopy\nspace:\n  optimizer.lr: {float: [1e-4, 1E-2], log: true}\n")
    assert read_space(path).dimensions[0].low == 1e-4
    path.write_text("family: endoscopy\nspace: {}\nspace: {}\n")
    with pytest.raises(ConfigError, match="'space' occurs twice"):
        read_space(path)
    path.write_text("!!python/object/apply:os.system ['false']\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_space(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_space(tmp_path / "missing.yaml")


def test_a_rung_before_the_first_full_beta_is_warned_of(base: Experiment) -> None:
    late = {"beta.schedule": {"choice": {"linear": {"beta.warmup": {"float": [0.1, 0.5]}}}}}
    warnings = check(parse_space(content(space=late), "space.yaml"), base)
    assert len(warnings) == 1
    assert "linear" in warnings[0] and "50%" in warnings[0] and "5 epochs" in warnings[0]


@pytest.mark.parametrize(
    ("scheduler", "said"),
    [
        ("asha", "raise fidelity.min to 5 epochs"),
        ("hyperband", "raise fidelity.min to 5 epochs"),
        ({"name": "median", "grace": 2}, "median first compares trials at 22%: raise scheduler.grace to 5 epochs"),
        ({"name": "median", "grace": 5}, None),
        ({"name": "pbt", "interval": 4}, "pbt first compares trials at 44%: raise scheduler.interval to 5 epochs"),
        ("none", None),
    ],
)
def test_the_warning_is_about_the_epoch_at_which_the_scheduler_decides(
    base: Experiment, scheduler: Any, said: str | None
) -> None:
    late = {"beta.schedule": {"choice": {"linear": {"beta.warmup": {"float": [0.1, 0.5]}}}}}
    warnings = [
        text for text in check(parse_space(content(space=late, scheduler=scheduler), "s"), base) if "beta" in text
    ]
    assert len(warnings) == (said is not None)
    assert said is None or said in warnings[0]


@pytest.mark.parametrize(
    ("fidelity", "brackets", "said"),
    [
        (
            {"max": 9, "min": 9, "reduction": 3},
            3,
            "room for one bracket, which stops no trial: rungs at no epoch below",
        ),
        ({"max": 9, "min": 3, "reduction": 3}, 3, "room for 2 of the 3 brackets: rungs at 3 below fidelity.max = 9"),
        ({"max": 9, "min": 3, "reduction": 3}, 2, None),
        ({"max": 9, "min": 1, "reduction": 3}, 3, None),
    ],
)
def test_brackets_for_which_there_is_no_room_are_said(
    base: Experiment, fidelity: dict[str, int], brackets: int, said: str | None
) -> None:
    asked = {"name": "hyperband", "brackets": brackets}
    warnings = check(parse_space(content(fidelity=fidelity, scheduler=asked), "s"), base)
    assert len(warnings) == (said is not None)
    assert said is None or said in warnings[0]


def test_samplers_with_a_model_for_each_branch_are_refused_where_there_are_too_many(base: Experiment) -> None:
    many = {"model.latent_dim": {"choice": list(range(2, 27))}}
    for search, refused in (("cmaes", True), ("gp", False), ("qmc", False), ("tpe", False), ("random", False)):
        space = parse_space(content(space=many, search=search), "s")
        if refused:
            with pytest.raises(ConfigError, match="got 25, must be <= 24"):
                check(space, base)
        else:
            assert check(space, base) == []
    assert check(parse_space(content(space=many, search="cmaes", freeze={"model.latent_dim": 2}), "s"), base) == []


def test_distortions_of_different_likelihoods_are_not_compared(base: Experiment) -> None:
    searched = RANGE | {"model.likelihood": {"choice": ["bernoulli", "squared_error"]}}
    two = {"metrics": {"val/rate": "min", "val/distortion": "min"}}
    with pytest.raises(ConfigError, match="take val/mse, or freeze"):
        check(parse_space(content(space=searched, objective=two), "s"), base)
    bound = {"metrics": {"val/rate": "min", "val/mse": "min"}}
    bound |= {"choose": {"constraint": {"val/distortion": 9}, "best": "val/rate"}}
    with pytest.raises(ConfigError, match="measured by each trial's own likelihood"):
        check(parse_space(content(space=searched, objective=bound), "s"), base)
    frozen = content(space=searched, objective=two, freeze={"model.likelihood": "bernoulli"})
    assert check(parse_space(frozen, "s"), base) == []


def test_another_schedule_starts_from_its_own_defaults(base: Experiment) -> None:
    choice = {"beta.schedule": {"choice": {"cyclical": {"beta.max": {"float": [0.1, 2]}}}}}
    space = parse_space(content(space=choice), "space.yaml")
    experiment = experiment_for(space, base, {"beta.schedule": "cyclical", "beta.max": 2.0}, seed=7)
    assert experiment.beta == Cyclical(max=2.0)
    assert (experiment.training.epochs, experiment.training.seed) == (9, 7)


def test_branches_share_a_name_only_where_their_ranges_agree() -> None:
    def names(second: list[float]) -> set[str]:
        options = {
            "constant": {"beta.value": {"float": [0.1, 1]}},
            "linear": {"beta.value": {"float": second}},
        }
        space = parse_space(content(space={"beta.schedule": {"choice": options}}), "s")
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


def test_branches_with_different_options_of_one_path_have_a_name_each() -> None:
    """Optuna refuses one categorical parameter with different options."""
    options = {
        "constant": {"beta.shape": {"choice": ["linear", "cosine"]}},
        "linear": {"beta.shape": {"choice": ["linear", "sigmoid"]}},
    }
    space = parse_space(content(space={"beta.schedule": {"choice": options}}), "s")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = {(p["beta.schedule"], p["beta.shape"]) for p in (space.suggest(study.ask()) for _ in range(40))}
    assert len(found) == 4
    assert set(space.optuna_names({"beta.schedule": "linear", "beta.shape": "sigmoid"})) == {
        "beta.schedule",
        "beta.shape@linear",
    }


def test_rungs_of_a_fidelity_and_of_a_shortened_one() -> None:
    assert Fidelity(18, 6, 3).rungs() == [6]
    assert Fidelity(27, 1, 3).rungs() == [1, 3, 9]
    assert Fidelity(5, 5, 3).rungs() == []
    assert [Fidelity(27, 1, 3).rungs(bracket) for bracket in range(4)] == [[1, 3, 9], [3, 9], [9], []]
    assert parse_space(content(), "s").with_epochs(3).fidelity == Fidelity(3, 1, 3)


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
    small = largest_checkpoint(parse_space(content(), "s"), base, DataSpec((3, 32, 32)))
    large = largest_checkpoint(
        parse_space(content(space={"model.latent_dim": {"int": [2, 800]}}), "s"), base, DataSpec((3, 32, 32))
    )
    assert large > small > 0
