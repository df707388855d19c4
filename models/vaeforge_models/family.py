"""A family of models: its settings, how a model is built from them, its presets, its data and its evaluation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from vaeforge_models.settings import Settings
from vaeforge_models.vae import VAE, DataSpec


@dataclass(frozen=True)
class Augmentation:
    """How training samples are varied.

    Attributes:
        apply: (raw batch, uniform draws [B, draws(spec)], spec) to a float32 raw batch of `spec.event_shape`; the draws
            come from outside so that any sharding of a batch over ranks is augmented alike.
        draws: how many uniform numbers one sample takes.
    """

    apply: Callable[[Tensor, Tensor, DataSpec], Tensor]
    draws: Callable[[DataSpec], int]


@dataclass(frozen=True)
class Family:
    """One kind of model.

    Attributes:
        name: as in `--family`.
        settings: the type of the `model` section of the configuration.
        build: model settings and what there is to know of the data to a model.
        defaults: configuration sections that differ from the common defaults, by section and key.
        presets: named sets of further differences; `sample` is the default one and `published` the source's settings.
        data: the name of the layout of files that it learns from; decides the settings of the section `prepare`.
        task: which evaluation the family has.
        example: what its contract tests build it for: the shape and condition of some data, small.
        augmentation: none where training samples are taken as they are.
        missing_values: whether its models take samples in which values are missing (see `VAE.masked`).
        diffusion: whether a latent diffusion model is trained on top of the winner.
    """

    name: str
    settings: type[Settings]
    build: Callable[[Any, DataSpec], VAE]
    defaults: Mapping[str, Any]
    presets: Mapping[str, Mapping[str, Any]]
    data: str
    task: str
    example: DataSpec = field(default_factory=lambda: DataSpec((1, 32, 32)))
    augmentation: Augmentation | None = None
    missing_values: bool = False
    diffusion: bool = False
