"""What a search's strategies and goals need of its space: what is missing is refused, what is unwise is warned of."""

from typing import TYPE_CHECKING

from vaeforge.config.experiment import Experiment
from vaeforge.errors import ConfigError
from vaeforge.search.space.dimensions import walk
from vaeforge.search.space.objective import Constraint, Objective
from vaeforge.search.space.strategies import PBT, Hyperband, mutable
from vaeforge.search.space.subspaces import split_into_subspaces

if TYPE_CHECKING:  # a space asks for its own needs when it is checked
    from vaeforge.search.space.space import Space


def unmet(space: "Space") -> list[str]:
    """What the sampler, the scheduler and the goals need and this space does not have."""
    problems: list[str] = []
    try:
        if space.search.separate != "none":
            split_into_subspaces(space, categorical=space.search.separate == "every")
    except ConfigError as error:
        problems += error.problems
    paths = [dimension.path for dimension in walk(space.dimensions)]
    if isinstance(space.scheduler, PBT) and not any(map(mutable, paths)):
        problems.append(
            f"{space.source}: scheduler: pbt changes beta.*, optimizer.lr and optimizer.weight_decay on the way, and "
            "none of them is searched; add one to the space, or take another scheduler"
        )
    if "model.likelihood" in paths and "val/distortion" in _compared(space.objective):
        problems.append(
            f"{space.source}: objective: val/distortion is measured by each trial's own likelihood, and "
            "model.likelihood is searched, so that trials cannot be compared by it; take val/mse, or freeze "
            "model.likelihood"
        )
    return problems


def _compared(objective: Objective) -> set[str]:
    """The metrics that decide between trials."""
    bounds = objective.choose.bounds if isinstance(objective.choose, Constraint) else ()
    return {goal.metric for goal in objective.goals} | set(bounds)


def early_comparison(space: "Space", experiment: Experiment) -> list[str]:
    """A warning where trials are compared before the schedule of `experiment` can have reached its full beta."""
    epochs, last = space.scheduler.epochs(space.fidelity), space.fidelity.max
    full = experiment.beta.full_beta_at()
    if not epochs or full <= epochs[0] / last + 1e-9:
        return []
    return [
        f"{space.source}: schedule {experiment.beta.schedule} can reach its full beta only after {full:.0%} of the "
        f"training, but {space.scheduler.name} first compares trials at {epochs[0] / last:.0%}: raise "
        f"{space.scheduler.first(space.fidelity)[0]} to {-(-full * last // 1):.0f} epochs or narrow the schedule"
    ]


def few_brackets(space: "Space") -> list[str]:
    """A warning where the rungs leave room for fewer brackets than Hyperband was asked for."""
    scheduler, rungs = space.scheduler, space.fidelity.rungs()
    if not isinstance(scheduler, Hyperband) or scheduler.brackets <= len(rungs) + 1:
        return []
    left = f"{len(rungs) + 1} of the {scheduler.brackets} brackets" if rungs else "one bracket, which stops no trial"
    return [
        f"{space.source}: scheduler: hyperband: there is room for {left}: rungs at "
        f"{', '.join(map(str, rungs)) or 'no epoch'} below fidelity.max = {space.fidelity.max}; lower fidelity.min or "
        "fidelity.reduction for more, or brackets"
    ]
