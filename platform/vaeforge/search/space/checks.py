"""Checks of a space before anything is trained in it: what cannot work is refused, what is unwise is warned of."""

import math

from vaeforge.config.experiment import Experiment
from vaeforge.data.pca_spectrum import collapse_beta, likelihood_of
from vaeforge.data.prepared import Prepared
from vaeforge.errors import ConfigError
from vaeforge.search.space.dimensions import Choice, Params, walk
from vaeforge.search.space.objective import Constraint, Objective
from vaeforge.search.space.space import Space
from vaeforge.search.space.trial_experiment import experiment_for
from vaeforge_models.objective import effective_beta

GRID = 64  # points of a training at which a schedule is looked at
TRIALS_A_SCHEDULE = 3  # fewer say nothing of a schedule; the report asks for as many that are fully trained


def check(space: Space, base: Experiment) -> list[str]:
    """Check `space` against the configuration; returns warnings.

    Raises:
        ConfigError: with every path that does not exist, every end of a range or start point that is not allowed, and
            what the strategies cannot do in this space.
    """
    if space.family != base.family:
        raise ConfigError(f"{space.source}: family: got {space.family!r}, but this search is for {base.family!r}")
    problems = dict.fromkeys([*_start_problems(space), *unmet(space)])  # ordered, without repetition
    warnings: dict[str, None] = {}
    for params in [*space.start, *space.corner_points()]:
        try:
            experiment = experiment_for(space, base, params, seed=0)
        except ConfigError as error:
            problems |= dict.fromkeys(error.problems)
        else:
            warnings |= dict.fromkeys(early_comparison(space, experiment))
    if problems:
        raise ConfigError(list(problems))
    return [*warnings, *(f"{space.source}: scheduler: {text}" for text in space.scheduler.warnings(space.fidelity))]


def _start_problems(space: Space) -> list[str]:
    points = enumerate(space.start, start=1)
    return [
        f"{space.source}: start: point {number}: {wrong}" for number, p in points for wrong in space.violations(p, True)
    ]


def unmet(space: Space) -> list[str]:
    """What the sampler, the scheduler and the goals need and this space does not have."""
    problems = space.search.unmet(space)
    problems += [f"{space.source}: scheduler: {text}" for text in space.scheduler.unmet(space.dimensions)]
    searched = {dimension.path for dimension in walk(space.dimensions)}
    if "model.likelihood" in searched and "val/distortion" in _compared(space.objective):
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


def early_comparison(space: Space, experiment: Experiment) -> list[str]:
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


def too_few_for_schedules(space: Space, trials: int) -> str:
    """That so many trials cannot say which of the space's schedules is better; empty where they can."""
    options = {
        option
        for dimension in walk(space.dimensions)
        if isinstance(dimension, Choice) and dimension.path == "beta.schedule"
        for option in dimension.options
    }
    least = TRIALS_A_SCHEDULE * len(options)
    if len(options) < 2 or trials >= least:
        return ""
    return (
        f"{trials} trials are too few to compare the {len(options)} schedules of {space.source}, which takes at least "
        f"{least}, {TRIALS_A_SCHEDULE} each: raise --trials, or give --freeze beta.schedule=NAME"
    )


def collapse_warnings(space: Space, base: Experiment, prepared: Prepared) -> list[str]:
    """Warnings where a beta is one under which a linear VAE keeps no unit: the smallest of all, or a start point's.

    The largest beta that a schedule reaches counts, because that is the one in force at its end; controllers, which
    find their own weight, are left out.
    """
    about_beta = [one for one in space.corner_points() if any(path.startswith("beta.") for path in one)]
    corners = [_reached_beta(space, base, prepared, point) for point in about_beta or [{}]]  # else it is the default's
    known = [found for found in corners if found is not None]
    if known and all(beta >= limit for beta, limit in known):
        beta, limit = min(known)
        return [
            f"{space.source}: the smallest beta, {beta:.3g}, is above {limit:.3g}, from which on a linear VAE keeps no "
            "active unit on these data: every trial may collapse; lower the range of beta"
        ]
    return [
        f"{space.source}: start: point {number}: its beta, {found[0]:.3g}, is above {found[1]:.3g}, from which on a "
        "linear VAE keeps no active unit on these data: this trial may collapse; lower it"
        for number, point in enumerate(space.start, start=1)
        if (found := _reached_beta(space, base, prepared, point)) is not None and found[0] >= found[1]
    ]


def _reached_beta(space: Space, base: Experiment, prepared: Prepared, point: Params) -> tuple[float, float] | None:
    """The largest beta of a point, and the one from which on its model collapses; none where that is not known."""
    spectrum, experiment = prepared.manifest.spectrum, experiment_for(space, base, point, seed=0)
    if spectrum is None or experiment.beta.initial() or experiment.beta.schedule in ("capacity", "free_bits"):
        return None  # data prepared by an old version, or a controller
    dimensions, latent_dim = math.prod(prepared.event_shape), getattr(experiment.model, "latent_dim", 1)
    scale = effective_beta(1.0, dimensions, latent_dim, experiment.training.normalised_beta)
    reached = scale * max(float(experiment.beta.beta(step / GRID)) for step in range(GRID + 1))
    return reached, collapse_beta(spectrum, likelihood_of(experiment))
