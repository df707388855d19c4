"""Latents for new images: from the prior, a class's aggregate posterior, or one image's posterior.

Shapes: n latents z [n, L] with labels [n].

- `prior`: z ~ N(0, I), what the model was trained to decode from.
- `aggregate`: the Gaussian with the mean and covariance of the class's aggregate posterior (see
  `vaeforge.evaluation.latent_posteriors`), closer to where training images lie than the prior.
- `image`: z ~ N(mu_i, sigma_i^2) of one training image i of the class. Where the posterior is narrow that is nearly a
  copy of this image, so nothing takes this source unless it is asked for by its name.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaeforge.errors import ConfigError
from vaeforge.evaluation.latent_posteriors import LatentLibrary
from vaeforge.seeds import derive

Source = Literal["prior", "aggregate", "image"]
SOURCES: tuple[Source, ...] = get_args(Source)
NOT_AN_IMAGE = -1
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Drawn:
    """Latents, and what they were drawn for.

    Attributes:
        z: float32 [n, L].
        labels: [n].
        image: [n], the index of the training image around which each was drawn, -1 for other sources.
    """

    z: Tensor
    labels: Integers
    image: Integers


def draw(library: LatentLibrary, source: Source, labels: Integers, seed: int, image: int | None = None) -> Drawn:
    """One latent for each label; the draws of a class do not depend on which other classes are asked for.

    Args:
        library: the posteriors of the training images.
        source: see the module's docstring.
        labels: [n].
        seed: of all draws.
        image: for the source `image`, which training image of the class, counted from 0; none draws one by the seed.

    Raises:
        ConfigError: if `image` is given for another source, for several classes, or is not there.
        DataError: if a class has no training images.
    """
    _require_image(library, source, labels, image)
    z = torch.empty(len(labels), library.mu.shape[1])
    around = np.full(len(labels), NOT_AN_IMAGE)
    for label in np.unique(labels):
        mine = labels == label
        generator = torch.Generator().manual_seed(derive(seed, source, int(label)))
        if source == "image":
            around[mine] = _one_of(library, int(label), image, seed)
        z[torch.from_numpy(mine)] = _of_class(library, source, labels[mine], around[mine], generator)
    return Drawn(z, labels, around)


def _of_class(
    library: LatentLibrary, source: Source, labels: Integers, around: Integers, generator: torch.Generator
) -> Tensor:
    if source == "aggregate":
        return library.aggregate(labels, generator)
    eps = torch.randn(len(labels), library.mu.shape[1], generator=generator)
    if source == "prior":
        return eps
    mu, sigma = (torch.from_numpy(part[around]).float() for part in (library.mu, library.sigma))
    return mu + sigma * eps


def _one_of(library: LatentLibrary, label: int, image: int | None, seed: int) -> int:
    """The index among all training images of one image of the class."""
    own = np.flatnonzero(library.labels == label)
    library.of(label)  # refuses a class without images
    chosen = np.random.default_rng(derive(seed, "which image", label)).integers(len(own)) if image is None else image
    return int(own[chosen])


def _require_image(library: LatentLibrary, source: Source, labels: Integers, image: int | None) -> None:
    if source not in SOURCES:
        raise ConfigError(f"source: got {source!r}, must be one of {', '.join(SOURCES)}")
    if image is None:
        return
    wanted = np.unique(labels)
    if source != "image" or len(wanted) != 1:
        raise ConfigError(
            f"image: got {image} with source {source!r} and {len(wanted)} classes, must go with source 'image' and one "
            "class; name the class, or leave image out"
        )
    known = int((library.labels == wanted[0]).sum())
    if not 0 <= image < known:
        raise ConfigError(f"image: got {image}, must be 0 to {known - 1}, a training image of the class")
