"""`speckle`: a deep residual VAE of grey speckle images, a latent diffusion model on top of it.

Shapes: raw images [B, C, H, W] in 0..255, C = 1 and H = W = 96 as published, any multiples of 16 work.
Encoder: four convolutions (kernel 3, stride 2) to 64, 128, 256 and 512 channels times `width`, a residual block after
each of the first three, then two linear heads: 512 x 6 x 6 = 18432 features as published. Decoder: one linear layer,
four up-blocks that double the side and halve the channels, one convolution, a sigmoid.

Residual block (He et al. 2016, pre-activation): h + conv(silu(norm(conv(silu(norm(h)))))), norm over groups of channels
(Wu and He 2018). `upsample: resize` repeats pixels and convolves; `transpose` is a transposed convolution, which can
leave a checkerboard (Odena et al. 2016), and a checkerboard is what speckle statistics would see.

distortion = sum (x - x^)^2, so a unit whose variance in the images is below beta / 2 is not worth its rate: beta
decides between collapse and a latent space that no prior draw falls into.
"""

import math
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from vaeforge_models.family import Family
from vaeforge_models.layers import LOGVAR_RANGE
from vaeforge_models.likelihoods import squared_error_distortion
from vaeforge_models.precision import floating
from vaeforge_models.settings import Settings
from vaeforge_models.vae import VAE, DataSpec, Posterior

BASE = 64
STAGES = 4
GROUPS = 8
SMALLEST_GROUP = 4  # channels: at 1 x 1 pixels a group of one channel is one value, which would be normalised to zero
Upsample = Literal["resize", "transpose"]


class SpeckleSettings(Settings):
    """The `model` section of the configuration."""

    latent_dim: Annotated[int, Field(ge=1, le=4096)] = 512
    width: Annotated[float, Field(gt=0, le=4, description="multiplies the channels 64, 128, 256, 512")] = 1.0
    upsample: Annotated[Upsample, Field(description="repeat pixels and convolve, or a transposed convolution")] = (
        "resize"
    )


class SpeckleVAE(VAE):
    """See the module's docstring."""

    def __init__(self, settings: SpeckleSettings, spec: DataSpec):
        super().__init__()
        channels, height, width = spec.event_shape
        reduction = 2**STAGES
        if height % reduction or width % reduction:
            raise ValueError(f"images are {height} x {width} pixels, both must be multiples of {reduction}")
        self.latent_dim, self.event_shape = settings.latent_dim, spec.event_shape
        first = max(SMALLEST_GROUP, round(BASE * settings.width))
        widths = [first * 2**stage for stage in range(STAGES)]
        bottom = (widths[-1], height // reduction, width // reduction)
        features = math.prod(bottom)
        self.encoder = nn.Sequential(*_down(channels, widths), nn.Flatten())
        self.to_mu, self.to_logvar = nn.Linear(features, self.latent_dim), nn.Linear(features, self.latent_dim)
        self.decoder = nn.Sequential(
            nn.Linear(self.latent_dim, features), nn.Unflatten(1, bottom), *_up(channels, widths, settings.upsample)
        )

    def normalise(self, raw: Tensor) -> Tensor:
        return floating(raw) / 255.0

    def denormalise(self, x: Tensor) -> Tensor:
        return x * 255.0

    def encode(self, x: Tensor, condition: Tensor) -> Posterior:
        features = self.encoder(x)
        return Posterior(self.to_mu(features), self.to_logvar(features).clamp(*LOGVAR_RANGE))

    def decode(self, z: Tensor, condition: Tensor) -> Tensor:
        decoded: Tensor = self.decoder(z)
        return decoded

    def mean(self, output: Tensor) -> Tensor:
        return output.sigmoid()

    def distortion(self, x: Tensor, output: Tensor) -> Tensor:
        return squared_error_distortion(x, self.mean(output))


class Residual(nn.Module):
    """Residual block [B, C, H, W] to the same shape."""

    def __init__(self, channels: int):
        super().__init__()
        self.layers = nn.Sequential(
            group_norm(channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            group_norm(channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = h + self.layers(h)
        return out


def group_norm(channels: int) -> nn.GroupNorm:
    """Normalisation over equal groups: at most 8 of them, whatever the number of channels, of 4 channels or more."""
    most = max(1, min(GROUPS, channels // SMALLEST_GROUP))
    groups = next(count for count in range(most, 0, -1) if channels % count == 0)
    return nn.GroupNorm(groups, channels)


def _down(channels: int, widths: list[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in zip([channels, *widths], widths, strict=False):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), Residual(after)]
    return [*layers[:-1], nn.SiLU()]


def _up(channels: int, widths: list[int], upsample: Upsample) -> list[nn.Module]:
    layers: list[nn.Module] = []
    targets = [*reversed(widths[:-1]), widths[0] // 2]
    for before, after in zip(reversed(widths), targets, strict=True):
        layers += [*_doubled(before, after, upsample), Residual(after)]
    return [*layers, nn.SiLU(), nn.Conv2d(targets[-1], channels, 3, padding=1)]


def _doubled(before: int, after: int, upsample: Upsample) -> list[nn.Module]:
    """Layers from [B, before, H, W] to [B, after, 2H, 2W]."""
    if upsample == "transpose":
        return [nn.ConvTranspose2d(before, after, kernel_size=4, stride=2, padding=1)]
    return [nn.Upsample(scale_factor=2.0, mode="nearest"), nn.Conv2d(before, after, 3, padding=1)]


FAMILY = Family(
    name="speckle",
    settings=SpeckleSettings,
    build=SpeckleVAE,
    defaults={
        "optimizer": {"name": "adam", "lr": 1e-4, "clip_norm": 1.0},
        "beta": {"schedule": "constant", "value": 0.01},
        "diffusion": {"kind": "conv", "timesteps": 1000},
    },
    presets={
        # small patches, an eighth as wide, many small steps: something worth seeing within half a minute
        "sample": {
            "model": {"width": 0.125, "latent_dim": 64},
            "prepare": {"size": 32, "stride": 32},
            "optimizer": {"lr": 2e-3, "schedule": "onecycle"},
            "training": {"epochs": 9, "batch_size": 16, "steps_per_epoch": 150, "evaluation_samples": 2},
            "diffusion": {"width": 0.25, "steps": 800, "batch_size": 64, "lr": 2e-3, "lr_schedule": "cosine"},
        },
        # the source tells that it tuned beta, not to what; ours keeps units on the sample
        "published": {"model": {"width": 1.0, "latent_dim": 512}, "training": {"epochs": 100}},
    },
    data="frames",
    task="texture",
    example=DataSpec((1, 32, 32)),
    diffusion=True,
)
