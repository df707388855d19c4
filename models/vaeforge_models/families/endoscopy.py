"""`endoscopy`: a convolutional VAE that learns normal tissue and scores what departs from it.

Shapes: raw images [B, 3, H, W] in 0..255, H = W = 96 as published, any multiple of 16 works.
Encoder: four convolutions (kernel 4, stride 2, padding 1), `width` times 1, 2, 4, 8 channels, ReLU, then two linear
heads; the decoder mirrors it. The published net has width 32, so 256 x 6 x 6 = 9216 features before the heads.

The score of a sample, larger for stranger, all at z = mu and without random numbers (D values, x in [0, 1]):
    mse     |x - r|^2 / D of the reconstruction r
    bce     sum of the binary cross-entropy of x given r, nats; r is kept half a grey level away from 0 and 1
    rate    KL(q(z|x) || p(z)), nats
    nelbo   -log p(x|mu) of the training likelihood + rate, nats up to a constant: the one-sample bound without noise
"""

import math
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from vaeforge_models.augment import IMAGES
from vaeforge_models.family import Family
from vaeforge_models.likelihoods import bernoulli_distortion, squared_error_distortion
from vaeforge_models.precision import floating
from vaeforge_models.settings import Settings
from vaeforge_models.vae import VAE, DataSpec, Posterior

STAGES = 4
LOGVAR_RANGE = (-12.0, 8.0)
WHITE = 255.0
HALF_LEVEL = 0.5 / WHITE  # an 8-bit image knows its values no better
ScoreName = Literal["mse", "bce", "rate", "nelbo"]


class EndoscopySettings(Settings):
    """The `model` section of the configuration."""

    latent_dim: Annotated[int, Field(ge=1, le=4096)] = 128
    width: Annotated[int, Field(ge=1, le=512)] = 8
    likelihood: Annotated[
        Literal["bernoulli", "squared_error", "calibrated"],
        Field(description="of the training; calibrated: D/2 log MSE of the whole batch (Rybkin et al. 2021)"),
    ] = "bernoulli"
    score: Annotated[ScoreName, Field(description="anomalies are found by it; fixed before test data are seen")] = "mse"


class EndoscopyVAE(VAE):
    """See the module's docstring. Any number of channels; height and width must be multiples of 16.

    Raises:
        ValueError: if the event is no image of that size.
    """

    def __init__(self, settings: EndoscopySettings, spec: DataSpec):
        super().__init__()
        channels, height, width = _image_shape(spec)
        reduction = 2**STAGES
        self.latent_dim, self.event_shape, self.likelihood = settings.latent_dim, spec.event_shape, settings.likelihood
        self.calibrated, self.score_name = settings.likelihood == "calibrated", settings.score
        widths = [settings.width * 2**stage for stage in range(STAGES)]
        self.bottom = (widths[-1], height // reduction, width // reduction)
        features = math.prod(self.bottom)
        self.encoder = nn.Sequential(*_down(channels, widths), nn.Flatten())
        self.to_mu, self.to_logvar = nn.Linear(features, self.latent_dim), nn.Linear(features, self.latent_dim)
        self.from_latent = nn.Linear(self.latent_dim, features)
        self.decoder = nn.Sequential(nn.Unflatten(1, self.bottom), *_up(channels, widths))

    def normalise(self, raw: Tensor) -> Tensor:
        return floating(raw) / WHITE

    def denormalise(self, x: Tensor) -> Tensor:
        return x * WHITE

    def encode(self, x: Tensor, condition: Tensor) -> Posterior:
        features = self.encoder(x)
        return Posterior(self.to_mu(features), self.to_logvar(features).clamp(*LOGVAR_RANGE))

    def decode(self, z: Tensor, condition: Tensor) -> Tensor:
        decoded: Tensor = self.decoder(self.from_latent(z))
        return decoded

    def mean(self, output: Tensor) -> Tensor:
        return output.sigmoid()

    def distortion(self, x: Tensor, output: Tensor) -> Tensor:
        if self.likelihood == "bernoulli":
            return bernoulli_distortion(x, output)
        return squared_error_distortion(x, self.mean(output))

    def score(self, x: Tensor, reconstruction: Tensor, posterior: Posterior) -> Tensor:
        if self.score_name == "mse":
            return squared_error_distortion(x, reconstruction) / math.prod(self.event_shape)
        if self.score_name == "bce":
            return cross_entropy(x, reconstruction)
        rate = posterior.rate().sum(1)
        return rate if self.score_name == "rate" else self._distortion_of(x, reconstruction) + rate

    def _distortion_of(self, x: Tensor, reconstruction: Tensor) -> Tensor:
        """The training distortion from a reconstruction; a calibrated one with the sample's own variance: [B]."""
        if self.likelihood == "bernoulli":
            return cross_entropy(x, reconstruction)
        squared_error = squared_error_distortion(x, reconstruction)
        if not self.calibrated:
            return squared_error
        dimensions = math.prod(self.event_shape)
        return 0.5 * dimensions * (squared_error / dimensions).clamp(min=HALF_LEVEL**2).log()


def cross_entropy(x: Tensor, reconstruction: Tensor) -> Tensor:
    """Summed binary cross-entropy of x in [0, 1] given a reconstruction, kept half a grey level off 0 and 1, nats: [B].

    A reconstruction of exactly 0 or 1 would make a single pixel infinitely unlikely.
    """
    kept = reconstruction.clamp(HALF_LEVEL, 1 - HALF_LEVEL)
    return -(x * kept.log() + (1 - x) * (1 - kept).log()).flatten(1).sum(1)


def _image_shape(spec: DataSpec) -> tuple[int, int, int]:
    reduction = 2**STAGES
    if len(spec.event_shape) != 3:
        raise ValueError(f"samples have the shape {spec.event_shape}, must be images [channels, height, width]")
    channels, height, width = spec.event_shape
    if height % reduction or width % reduction:
        raise ValueError(f"images are {height} x {width} pixels, both must be multiples of {reduction}")
    return channels, height, width


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
        "published": {
            "model": {"width": 32, "latent_dim": 128},
            "training": {"epochs": 100},
            "beta": {"value": 1.0},
        },
    },
    data="pictures",
    task="anomaly",
    example=DataSpec((3, 32, 32)),
    augmentation=IMAGES,
)
