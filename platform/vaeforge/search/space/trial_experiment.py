"""Experiments of trials: a base configuration with a trial's parameters, the space's epochs, and a seed of its own."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vaeforge.config.tree import Tree, assign
from vaeforge.errors import ConfigError
from vaeforge.search.space.dimensions import Params
from vaeforge.search.space.space import Space
from vaeforge.seeds import derive

if TYPE_CHECKING:  # brings torch
    from vaeforge.config.experiment import Experiment

SEARCHABLE = ("model", "beta", "optimizer", "training")


def experiment_for(space: Space, base: "Experiment", params: Params, seed: int) -> "Experiment":
    """The experiment of one trial: `base` with `params` and what is frozen, the space's epochs, and its own seed.

    Raises:
        ConfigError: if a path does not exist or a value is not allowed.
    """
    from vaeforge.config import loader

    sources: dict[str, str] = {}
    tree = trial_settings(space, base.model_dump(mode="json"), params, seed, sources)
    return loader.build(tree | {"search": {}}, sources).experiment


def trial_settings(
    space: Space, base: Mapping[str, Any], params: Params, seed: int, sources: dict[str, str] | None = None
) -> Tree:
    """The settings of that experiment before they are typed: what is left to its default may be missing.

    Args:
        space: what is searched.
        base: the settings that are changed; not altered.
        params: of the trial.
        seed: of the trial.
        sources: takes where each path came from.

    Raises:
        ConfigError: if a path is in no section that is searched.
    """
    tree = {name: dict(value) if isinstance(value, Mapping) else value for name, value in base.items()}
    known: dict[str, str] = {} if sources is None else sources
    for path, value in sorted(
        space.with_fixed_params(params).items(), key=lambda item: not item[0].endswith(".schedule")
    ):
        section = path.partition(".")[0]
        if section not in SEARCHABLE:
            raise ConfigError(f"{space.source}: space: {path}: must begin with one of {', '.join(SEARCHABLE)}")
        assign(tree, path, value, space.source, known)
    tree["training"] |= {"epochs": space.fidelity.max, "seed": seed}
    return tree


def trial_seed(search_seed: int, trial: int) -> int:
    """A trial's seed: the same in any worker group, after any number of other trials."""
    return derive(search_seed, "trial", trial)
