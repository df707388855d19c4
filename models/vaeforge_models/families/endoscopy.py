"""`endoscopy`: a convolutional VAE that learns normal tissue and scores what departs from it.

Shapes: raw images [B, 3, H, W] in 0..255, H = W = 96 as published, any multiple of 16 works.
Encoder: four convolutions (kernel 4, stride 2, padding 1), `width` times 1, 2, 4, 8 channels, ReLU, then two linear
heads; the decoder mirrors it. The published net has width 32, so 256 x 6 x 6 = 9216 features before the heads.
"""

import math
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from vaeforge_models.augment import IMAGES
from vaeforge_models.family import Family
from vaeforge_models.likelihoods import bernoulli_distortion, squared_error_distortion
from vaeforge_models.settings import Settings
from vaeforge_models.vae import VAE, DataSpec, Posterior

STAGES = 4
LOGVAR_RANGE = (-12.0, 8.0)


class EndoscopySettings(Settings):
    """The `model` section of the configuration."""

    latent_dim: Annotated[int, Field(ge=1, le=4096)] = 128
    width: Annotated[int, Field(ge=1, le=512)] = 8
    likelihood: Literal["bernoulli", "squared_error"] = "bernoulli"


class EndoscopyVAE(VAE):
    """See the module's docstring."""

    def __init__(self, settings: EndoscopySettings, spec: DataSpec):
        super().__init__()
        channels, height, width = spec.event_shape
        reduction = 2**STAGES
        if height % reduction or width % reduction:
            raise ValueError(f"images are {height} x {width} pixels, both must be multiples of {reduction}")
        self.latent_dim, self.event_shape, self.likelihood = settings.latent_dim, spec.event_shape, settings.likelihood
        widths = [settings.width * 2**stage for stage in range(STAGES)]
        self.bottom = (widths[-1], height // reduction, width // reduction)
        features = math.prod(self.bottom)
        self.encoder = nn.Sequential(*_down(channels, widths), nn.Flatten())
        self.to_mu, self.to_logvar = nn.Linear(features, self.latent_dim), nn.Linear(features, self.latent_dim)
        self.from_latent = nn.Linear(self.latent_dim, features)
        self.decoder = nn.Sequential(nn.Unflatten(1, self.bottom), *_up(channels, widths))

    def normalise(self, raw: Tensor) -> Tensor:
        return raw.float() / 255.0

    def denormalise(self, x: Tensor) -> Tensor:
        return x * 255.0

    def encode(self, x: Tensor, condition: Tensor) -> Posterior:
        features = self.encoder(x)
        return Posterior(self.to_mu(features), self.to_logvar(features).clamp(*LOGVAR_RANGE))

    def decode(self, z: Tensor, condition: Tensor) -> Tensor:
        decoded: Tensor = self.decoder(self.from_latent(z).relu())
        return decoded

    def mean(self, output: Tensor) -> Tensor:
        return output.sigmoid()

    def distortion(self, x: Tensor, output: Tensor) -> Tensor:
        if self.likelihood == "bernoulli":
            return bernoulli_distortion(x, output)
        return squared_error_distortion(x, self.mean(output))


def _down(channels: int, widths: list[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in zip([channels, *widths], widths, strict=False):
        layers += [nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1), nn.ReLU()]
    return layers


def _up(channels: int, widths: list[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    targets = [*reversed(widths[:-1]), channels]
    for before, after in zip(reversed(widths), targets, strict=True):
        layers += [nn.ConvTranspose2d(before, after, kernel_size=4, stride=2, padding=1), nn.ReLU()]
    return layers[:-1]


FAMILY = Family(
    name="endoscopy",
    settings=EndoscopySettings,
    build=EndoscopyVAE,
    defaults={
        "optimizer": {"name": "adam", "lr": 1e-3, "weight_decay": 1e-5, "clip_norm": 1.0},
        "training": {"batch_size": 64, "plateau_factor": 0.5, "plateau_patience": 10},
        "beta": {"schedule": "constant", "value": 1.0},
    },
    presets={
        # a quarter as wide, many small steps and a falling learning rate: something worth seeing within minutes
        "sample": {
            "model": {"width": 8},
            "optimizer": {"schedule": "cosine"},
            "training": {"epochs": 18, "batch_size": 16, "steps_per_epoch": 60},
        },
        "published": {"model": {"width": 32, "latent_dim": 128}, "training": {"epochs": 100}},
    },
    data="pictures",
    task="anomaly",
    example=DataSpec((3, 32, 32)),
    augmentation=IMAGES,
)
