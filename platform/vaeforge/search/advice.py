"""What can be told of a space before anything is trained in it."""

import math

from vaeforge.config.experiment import Experiment
from vaeforge.data.pca_spectrum import collapses_at, likelihood_of
from vaeforge.data.prepared import Prepared
from vaeforge.search.space.space import Space, corner_points, experiment_for
from vaeforge_models.objective import effective_beta

GRID = 64


def collapse_warning(space: Space, base: Experiment, prepared: Prepared) -> str | None:
    """A warning where even the smallest beta of the space is one under which a linear VAE keeps no unit.

    The largest beta that a schedule reaches counts, because that is the one in force at its end; controllers, which
    find their own weight, are left out.
    """
    largest: list[tuple[float, float]] = []
    spectrum = prepared.manifest.spectrum
    if spectrum is None:  # data prepared by an old version
        return None
    about_beta = [one for one in corner_points(space) if any(path.startswith("beta.") for path in one)]
    for example in about_beta or [{}]:  # the others leave beta as it is by default
        experiment = experiment_for(space, base, example, seed=0)
        if experiment.beta.initial() or experiment.beta.schedule in ("capacity", "free_bits"):
            continue
        dimensions, latent_dim = math.prod(prepared.event_shape), getattr(experiment.model, "latent_dim", 1)
        scale = effective_beta(1.0, dimensions, latent_dim, experiment.training.normalised_beta)
        reached = scale * max(experiment.beta.beta(step / GRID) for step in range(GRID + 1))
        largest.append((reached, collapses_at(spectrum, likelihood_of(experiment))))
    if not largest or any(beta < limit for beta, limit in largest):
        return None
    beta, limit = min(largest)
    return (
        f"{space.source}: the smallest beta, {beta:.3g}, is above {limit:.3g}, from which on a linear VAE keeps no "
        "active unit on these data: every trial may collapse; lower the range of beta"
    )
