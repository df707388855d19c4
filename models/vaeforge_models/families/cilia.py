"""`cilia`: a class-conditional convolutional VAE of grey microscopy cross-sections.

Shapes: raw images [B, C, H, W] in 0..255, C = 1 and H = W = 224 or 448 as published, any multiples of 8 work; the
condition is the class, one-hot [B, K], K = 0 for a model without classes. L latent dimensions.
Encoder: three stages of convolution (3 x 3, ReLU) and max-pooling to 32, 64 and 128 channels times `width`, then
[features, class] -> 512 -> 256 (linear, batch normalisation, ReLU, dropout) -> mu and log-variance. The decoder mirrors
it from [z, class]; its pixels are repeated and convolved where the encoder pools. `double` gives each stage two
convolutions (Sohn et al. 2015 for the conditioning; Simonyan and Zisserman 2015 for the stages).

Between convolutions and dense layers lie C' x H/8 x W/8 features. `pool: dense` connects them all, as published:
103 million parameters at 224, and 822 million at 448 with `width: 2`. `pool: adaptive` averages them over at most 7 x 7
places, 6.4 and 13 million at any size, and the decoder interpolates them back.
"""

import math
from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from vaeforge_models.dropout import Dropout
from vaeforge_models.family import Family
from vaeforge_models.layers import LOGVAR_RANGE, BatchNorm1d
from vaeforge_models.likelihoods import bernoulli_distortion, squared_error_distortion
from vaeforge_models.precision import floating
from vaeforge_models.settings import Settings
from vaeforge_models.vae import VAE, DataSpec, Posterior

CHANNELS = (32, 64, 128)
REDUCTION = 2 ** len(CHANNELS)
POOLED = 7  # places along each axis that `pool: adaptive` leaves at most
Pool = Literal["adaptive", "dense"]
Width = Annotated[int, Field(ge=1, le=8192)]


class CiliaSettings(Settings):
    """The `model` section of the configuration."""

    latent_dim: Annotated[int, Field(ge=1, le=4096)] = 128
    width: Annotated[float, Field(gt=0, le=8, description="multiplies the channels 32, 64, 128")] = 1.0
    hidden: Annotated[
        tuple[Width, ...], Field(min_length=1, description="dense layers of the encoder; the decoder mirrors them")
    ] = (512, 256)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    double: Annotated[bool, Field(description="two convolutions a stage, as published for 448 pixels")] = False
    pool: Annotated[Pool, Field(description="average over at most 7 x 7 places before the dense layers, or none")] = (
        "adaptive"
    )
    likelihood: Literal["squared_error", "bernoulli", "calibrated"] = "squared_error"


class CiliaVAE(VAE):
    """See the module's docstring."""

    def __init__(self, settings: CiliaSettings, spec: DataSpec):
        super().__init__()
        channels, height, width = spec.event_shape
        if height % REDUCTION or width % REDUCTION:
            raise ValueError(f"images are {height} x {width} pixels, both must be multiples of {REDUCTION}")
        self.latent_dim, self.event_shape, self.likelihood = settings.latent_dim, spec.event_shape, settings.likelihood
        self.calibrated = settings.likelihood == "calibrated"
        widths = [max(1, round(base * settings.width)) for base in CHANNELS]
        places = (height // REDUCTION, width // REDUCTION)
        kept = places if settings.pool == "dense" else (min(places[0], POOLED), min(places[1], POOLED))
        bottom = (widths[-1], *kept)
        features, classes, hidden = math.prod(bottom), spec.condition_dim, list(settings.hidden)
        self.convolutions = nn.Sequential(*_down(channels, widths, settings.double), _pooled(places, kept))
        self.encoder = _dense([features + classes, *hidden], settings.dropout)
        self.to_mu, self.to_logvar = (nn.Linear(hidden[-1], self.latent_dim) for _ in range(2))
        self.decoder = nn.Sequential(
            _dense([self.latent_dim + classes, *reversed(hidden)], settings.dropout),
            nn.Linear(hidden[0], features),
            nn.ReLU(),
            nn.Unflatten(1, bottom),
            _spread(kept, places),
            *_up(channels, widths, settings.double),
        )

    def normalise(self, raw: Tensor) -> Tensor:
        return floating(raw) / 255.0

    def denormalise(self, x: Tensor) -> Tensor:
        return x * 255.0

    def encode(self, x: Tensor, condition: Tensor) -> Posterior:
        features = self.convolutions(x).flatten(1)
        hidden = self.encoder(torch.cat([features, condition], dim=1))
        return Posterior(self.to_mu(hidden), self.to_logvar(hidden).clamp(*LOGVAR_RANGE))

    def decode(self, z: Tensor, condition: Tensor) -> Tensor:
        decoded: Tensor = self.decoder(torch.cat([z, condition], dim=1))
        return decoded

    def mean(self, output: Tensor) -> Tensor:
        return output.sigmoid()

    def distortion(self, x: Tensor, output: Tensor) -> Tensor:
        if self.likelihood == "bernoulli":
            return bernoulli_distortion(x, output)
        return squared_error_distortion(x, self.mean(output))


def _dense(widths: list[int], dropout: float) -> nn.Sequential:
    """Linear layers without a bias of their own: batch normalisation takes the mean off and adds one."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after, bias=False), BatchNorm1d(after), nn.ReLU(), Dropout(dropout)]
    return nn.Sequential(*layers)


def _down(channels: int, widths: list[int], double: bool) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in zip([channels, *widths], widths, strict=False):
        layers += [*_convolutions(before, after, after, double), nn.MaxPool2d(2)]
    return layers


def _up(channels: int, widths: list[int], double: bool) -> list[nn.Module]:
    """To the image's logits; the last convolution has no ReLU."""
    layers: list[nn.Module] = []
    for before, after in zip(reversed(widths), [*reversed(widths[:-1]), channels], strict=True):
        layers += [nn.Upsample(scale_factor=2.0, mode="nearest"), *_convolutions(before, before, after, double)]
    return layers[:-1]


def _convolutions(before: int, between: int, after: int, double: bool) -> list[nn.Module]:
    first = [nn.Conv2d(before, between, 3, padding=1), nn.ReLU()] if double else []
    return [*first, nn.Conv2d(between if double else before, after, 3, padding=1), nn.ReLU()]


def _pooled(places: tuple[int, int], kept: tuple[int, int]) -> nn.Module:
    """Means over nearly equal windows: [B, C, *places] to [B, C, *kept]."""
    return nn.Identity() if places == kept else nn.AdaptiveAvgPool2d(kept)


def _spread(kept: tuple[int, int], places: tuple[int, int]) -> nn.Module:
    """Interpolation back: [B, C, *kept] to [B, C, *places]."""
    return nn.Identity() if places == kept else nn.Upsample(size=places, mode="bilinear", align_corners=False)


FAMILY = Family(
    name="cilia",
    settings=CiliaSettings,
    build=CiliaVAE,
    defaults={
        "optimizer": {"name": "adam", "lr": 1e-3, "clip_norm": 100.0},
        "training": {"batch_size": 32},
        "beta": {"schedule": "constant", "value": 1.0},
    },
    presets={
        # digits of 28 x 28 pixels, a smaller net, a learning rate that falls to nothing: half a minute on one core
        "sample": {
            "model": {"latent_dim": 16, "width": 0.25, "hidden": [256, 128], "dropout": 0.0},
            "prepare": {"size": 32},
            "optimizer": {"lr": 3e-3, "schedule": "onecycle"},
            "training": {"epochs": 8, "batch_size": 64, "steps_per_epoch": 60},
        },
        "published": {
            "model": {"latent_dim": 128, "width": 1.0, "hidden": [512, 256], "dropout": 0.3, "pool": "dense"},
            "prepare": {"size": 224, "fit": "squash"},
            "training": {"epochs": 100},
            "beta": {"value": 1.0},
        },
        # `pool: dense` would give this net 826 instead of 16 million parameters
        "published_448": {
            "model": {"latent_dim": 128, "width": 2.0, "hidden": [512, 256], "dropout": 0.3, "double": True},
            "prepare": {"size": 448, "fit": "squash"},
            "training": {"epochs": 100},
            "beta": {"value": 1.0},
        },
    },
    data="classes",
    task="classes",
    example=DataSpec((1, 32, 32), condition_dim=3),
)
