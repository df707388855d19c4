"""Experiments of trials: a base configuration with a trial's parameters, the space's epochs, and a seed of its own."""

from vaeforge.config import loader
from vaeforge.config.experiment import Experiment
from vaeforge.errors import ConfigError
from vaeforge.search.space.dimensions import Params
from vaeforge.search.space.space import Space
from vaeforge.seeds import derive

SEARCHABLE = ("model", "beta", "optimizer", "training")


def experiment_for(space: Space, base: Experiment, params: Params, seed: int) -> Experiment:
    """The experiment of one trial: `base` with `params` and what is frozen, the space's epochs, and its own seed.

    Raises:
        ConfigError: if a path does not exist or a value is not allowed.
    """
    tree = base.model_dump(mode="json") | {"search": {}}
    sources: dict[str, str] = {}
    for path, value in sorted(
        space.with_fixed_params(params).items(), key=lambda item: not item[0].endswith(".schedule")
    ):
        section = path.partition(".")[0]
        if section not in SEARCHABLE:
            raise ConfigError(f"{space.source}: space: {path}: must begin with one of {', '.join(SEARCHABLE)}")
        loader.assign(tree, path, value, space.source, sources)
    tree["training"] |= {"epochs": space.fidelity.max, "seed": seed}
    return loader.build(tree, sources).experiment


def trial_seed(search_seed: int, trial: int) -> int:
    """A trial's seed: the same in any worker group, after any number of other trials."""
    return derive(search_seed, "trial", trial)
