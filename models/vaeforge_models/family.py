"""What a family is: its settings, how a model is built from them, and the settings it is published and sampled with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from vaeforge_models.settings import Settings
from vaeforge_models.vae import VAE

Augment = Callable[[Tensor, Tensor, tuple[int, ...]], Tensor]


@dataclass(frozen=True)
class Family:
    """One kind of model.

    Attributes:
        name: as in `--family`.
        settings: the type of the `model` section of the configuration.
        build: model settings and the shape of one sample to a model.
        defaults: configuration sections that differ from the common defaults, by section and key.
        presets: named sets of further differences; `sample` is the default one and `published` the source's settings.
        augment: (raw batch, uniform draws [B, augment_draws], event shape) to a raw batch of that event shape; the
            draws come from outside so that any sharding of a batch over ranks is augmented alike.
        augment_draws: how many uniform numbers one sample's augmentation takes.
        task: which evaluation the family has.
    """

    name: str
    settings: type[Settings]
    build: Callable[[Any, tuple[int, ...]], VAE]
    defaults: Mapping[str, Any]
    presets: Mapping[str, Mapping[str, Any]]
    augment: Augment
    augment_draws: int
    task: str
