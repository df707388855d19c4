"""`fmri`: a fully connected VAE of single time points of voxel series, a latent diffusion model on top of it.

Shapes: B samples, V voxels, L latent dimensions; raw [B, V] in the units of the files. Inside the model every voxel is
z-scored with the mean and standard deviation of the training time points. Missing values are encoded as that mean, and
V is then the number of observed voxels of a sample.
Encoder: for each width in `hidden` a linear layer, batch normalisation (Ioffe and Szegedy 2015), ReLU and dropout, then
two linear heads; the decoder mirrors it and ends linearly. Published: 1024, 512, 256 and L = 256.

`likelihood` is what `beta` is weighed against:
    squared_error       sum_v (x - x^)^2, the convention of all families
    calibrated          V/2 log MSE of the whole batch (sigma-VAE, Rybkin et al. 2021)
    mean_squared_error  mean_v (x - x^)^2, the published loss, for comparison only. A unit then pays only if its
                        variance exceeds beta V / 2, so that at the published beta = 1 every unit collapses: of V
                        z-scored voxels one direction would have to hold half of all variance.
"""

import math
from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from vaeforge_models.dropout import Dropout
from vaeforge_models.family import Augmentation, Family
from vaeforge_models.layers import LOGVAR_RANGE, BatchNorm1d, Standardise
from vaeforge_models.precision import floating
from vaeforge_models.settings import Settings
from vaeforge_models.vae import VAE, DataSpec, Posterior

NOISE = 0.01  # standard deviation of the augmentation, in z-scored units
SMALLEST_DRAW = 2.0**-24  # the step of uniform float32 draws; at 0 the normal quantile is infinite
PUBLISHED_HIDDEN = (1024, 512, 256)
Width = Annotated[int, Field(ge=1, le=16384)]


class FmriSettings(Settings):
    """The `model` section of the configuration."""

    latent_dim: Annotated[int, Field(ge=1, le=4096)] = 256
    hidden: Annotated[
        tuple[Width, ...],
        Field(min_length=1, max_length=16, description="the encoder's widths; the decoder's reversed"),
    ] = PUBLISHED_HIDDEN
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    likelihood: Annotated[
        Literal["squared_error", "calibrated", "mean_squared_error"],
        Field(description="mean_squared_error is the published one, under which beta = 1 collapses"),
    ] = "squared_error"


class FmriVAE(VAE):
    """See the module's docstring."""

    def __init__(self, settings: FmriSettings, spec: DataSpec):
        super().__init__()
        if len(spec.event_shape) != 1:
            raise ValueError(f"samples are of shape {spec.event_shape}, must be (voxels,); prepare them as series")
        (voxels,) = self.event_shape = spec.event_shape
        self.latent_dim, self.likelihood = settings.latent_dim, settings.likelihood
        self.calibrated = settings.likelihood == "calibrated"
        widths = list(settings.hidden)
        self.standardise = Standardise(spec)
        self.masked = self.standardise.fill is not None
        self.encoder = nn.Sequential(*_blocks([voxels, *widths], settings.dropout))
        self.to_mu, self.to_logvar = nn.Linear(widths[-1], self.latent_dim), nn.Linear(widths[-1], self.latent_dim)
        mirrored = _blocks([self.latent_dim, *reversed(widths)], settings.dropout)
        self.decoder = nn.Sequential(*mirrored, nn.Linear(widths[0], voxels))

    def normalise(self, raw: Tensor) -> Tensor:
        z_scored: Tensor = self.standardise(raw)
        return z_scored

    def denormalise(self, x: Tensor) -> Tensor:
        return self.standardise.inverse(x)

    def filled(self, x: Tensor) -> Tensor:
        return self.standardise.filled(x)

    def encode(self, x: Tensor, condition: Tensor) -> Posterior:
        features = self.encoder(self.filled(x))
        return Posterior(self.to_mu(features), self.to_logvar(features).clamp(*LOGVAR_RANGE))

    def decode(self, z: Tensor, condition: Tensor) -> Tensor:
        decoded: Tensor = self.decoder(z)
        return decoded

    def mean(self, output: Tensor) -> Tensor:
        return output

    def distortion(self, x: Tensor, output: Tensor) -> Tensor:
        summed = self.difference(x, output).square().sum(1)
        return summed / self.dimensions(x) if self.likelihood == "mean_squared_error" else summed


def _blocks(widths: list[int], dropout: float) -> list[nn.Module]:
    """Linear, batch normalisation, ReLU and dropout from each width to the next."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        # a bias would be taken off again by the normalisation that follows
        layers += [nn.Linear(before, after, bias=False), BatchNorm1d(after), nn.ReLU(), Dropout(dropout)]
    return layers


def add_noise(raw: Tensor, draws: Tensor, spec: DataSpec) -> Tensor:
    """Each value of raw [B, V] plus normal noise of 0.01 of its voxel's standard deviation.

    sqrt(2) erfinv(2 u - 1) of a uniform draw u is standard normal; u = 0 is taken for the smallest draw above it.
    Missing values (NaN) stay missing.
    """
    noise = math.sqrt(2) * torch.erfinv(2 * draws.clamp(min=SMALLEST_DRAW) - 1)
    std = spec.constants.get("std")
    return floating(raw) + NOISE * (noise if std is None else std.to(raw.device) * noise)


FAMILY = Family(
    name="fmri",
    settings=FmriSettings,
    build=FmriVAE,
    defaults={
        "optimizer": {"name": "adam", "lr": 1e-4, "weight_decay": 1e-6, "clip_norm": 1.0, "schedule": "cosine"},
        "training": {"batch_size": 64},
        "beta": {"schedule": "constant", "value": 1.0},
        "diffusion": {"kind": "mlp", "timesteps": 1000, "noise": "linear"},
    },
    presets={
        "sample": {
            # 278 time points of one subject: every further layer learns them by heart and reconstructs others worse
            "model": {"hidden": [256], "latent_dim": 32},
            "optimizer": {"lr": 2e-3, "weight_decay": 1e-3},
            "training": {"epochs": 12, "batch_size": 16, "steps_per_epoch": 50},
            "diffusion": {
                "width": 0.5,
                "steps": 600,
                "lr": 1e-3,
                "lr_schedule": "cosine",
                "validation_interval": 100,
            },
        },
        "published": {
            "model": {"hidden": list(PUBLISHED_HIDDEN), "latent_dim": 256},
            "training": {"epochs": 100, "patience": 20},
            # 1 on the mean over its 3,092 voxels: SSE / V + KL is 1 / V of SSE + V KL; no unit survives that
            # (docs/families.md), and other data have another V
            "beta": {"value": 3092.0},
        },
    },
    data="series",
    missing_values=True,
    task="series",
    example=DataSpec((24,)),
    augmentation=Augmentation(add_noise, lambda spec: spec.dimensions),
    diffusion=True,
)
