"""Expectations of beta from prepared data, written into a search's space for the sampler that asks for them.

A space says `search: {name: vae}`. Before the search starts, its `betas` become the mean beta that is expected of some
latent sizes (`data/held_out_plane.py`), so that the ledger holds them and a search that is resumed has the same.
"""

import math
from collections.abc import Mapping
from typing import Any

from vaeforge.config.experiment import Experiment
from vaeforge.data.held_out_plane import matched_betas
from vaeforge.data.pca_spectrum import collapse_beta, likelihood_of
from vaeforge.data.prepared import Prepared
from vaeforge.search.samplers.shared_axes import LATENT, MEAN, SharedAxes
from vaeforge.search.samplers.vae import VAESettings
from vaeforge.search.space.dimensions import Choice, Range, walk
from vaeforge.search.space.space import Space, parse_space
from vaeforge_models.objective import effective_beta

SIZES = 8  # latent sizes of which an expectation is told


def with_expected(space: Space, base: Experiment, prepared: Prepared) -> tuple[Space, str]:
    """The space with what its data let expect, and a line for a person; both as they were where nothing is asked."""
    if not isinstance(space.search, VAESettings) or not space.search.expect or space.search.betas:
        return space, ""
    if SharedAxes(space).place(MEAN) is None:
        return space, ""  # no beta is searched that could lean towards anything
    betas = expected_betas(space, base, prepared)
    found: Mapping[str, Any] = {"betas": betas} if betas else {"expect": False}
    search = {**space.search.model_dump(exclude_defaults=True), "name": "vae", **found}
    return parse_space({**space.content, "search": search}, space.source), told(space, base, prepared, betas)


def expected_betas(space: Space, base: Experiment, prepared: Prepared) -> dict[int, float]:
    """The mean beta that is expected of some of the space's latent sizes; empty where the data do not tell it."""
    found = matched_betas(prepared.train, prepared.validation, prepared.spec, base, _sizes(space, base))
    values, normalised = math.prod(prepared.event_shape), base.training.normalised_beta
    return {size: float(f"{beta / effective_beta(1.0, values, size, normalised):.4g}") for size, beta in found.items()}


def told(space: Space, base: Experiment, prepared: Prepared, betas: Mapping[int, float]) -> str:
    """What is expected, for a person."""
    spectrum = prepared.manifest.spectrum
    if not betas:
        return f"{space.source}: search: the data let nothing be expected of beta; proposals start evenly"
    ends = sorted(betas)
    shown = ", ".join(f"{betas[size]:.3g} at latent size {size}" for size in dict.fromkeys((ends[0], ends[-1])))
    limit = "" if spectrum is None else f" and collapse above {collapse_beta(spectrum, likelihood_of(base)):.3g}"
    return (
        f"{space.source}: search: the data let a mean beta of {shown} be expected{limit} (what a plane leaves of "
        "validation samples): half of the first proposals lie about it, the others anywhere"
    )


def _sizes(space: Space, base: Experiment) -> list[int]:
    """Some latent sizes from the smallest to the largest that the space has."""
    for dimension in walk(space.narrowed):
        if dimension.path == LATENT and isinstance(dimension, Range):
            low, high = math.log(dimension.low), math.log(dimension.high)
            steps = [low + (high - low) * step / (SIZES - 1) for step in range(SIZES)]
            return sorted({round(math.exp(step)) for step in steps})
        if dimension.path == LATENT and isinstance(dimension, Choice):
            return sorted(int(option) for option in dimension.options)
    return [int(getattr(base.model, "latent_dim", 1))]
