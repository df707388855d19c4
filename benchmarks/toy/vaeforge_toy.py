"""A family of the benchmarks, added through an entry point as any could be: a small MLP on 8 x 8 digits."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from vaeforge_models.family import Family
from vaeforge_models.likelihoods import bernoulli_distortion
from vaeforge_models.settings import Settings
from vaeforge_models.vae import VAE, Posterior

HIDDEN = 256


class ToySettings(Settings):
    latent_dim: Annotated[int, Field(ge=1)] = 8


class ToyVAE(VAE):
    """64-256-256 with SiLU, both ways; raw values are 0..16."""

    def __init__(self, settings: ToySettings, event_shape: tuple[int, ...]):
        super().__init__()
        self.latent_dim, self.event_shape = settings.latent_dim, event_shape
        self.encoder = nn.Sequential(nn.Flatten(), *_layers(64), nn.Linear(HIDDEN, 2 * self.latent_dim))
        self.decoder = nn.Sequential(*_layers(self.latent_dim), nn.Linear(HIDDEN, 64), nn.Unflatten(1, event_shape))

    def normalise(self, raw: Tensor) -> Tensor:
        return raw.float() / 16.0

    def denormalise(self, x: Tensor) -> Tensor:
        return x * 16.0

    def encode(self, x: Tensor) -> Posterior:
        return Posterior(*self.encoder(x).chunk(2, -1))

    def decode(self, z: Tensor) -> Tensor:
        decoded: Tensor = self.decoder(z)
        return decoded

    def mean(self, output: Tensor) -> Tensor:
        return output.sigmoid()

    def distortion(self, x: Tensor, output: Tensor) -> Tensor:
        return bernoulli_distortion(x, output)

    def score(self, x: Tensor, reconstruction: Tensor, posterior: Posterior) -> Tensor:
        return (x - reconstruction).square().flatten(1).mean(1)


def _layers(inputs: int) -> list[nn.Module]:
    return [nn.Linear(inputs, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU()]


def unchanged(raw: Tensor, draws: Tensor, event_shape: tuple[int, ...]) -> Tensor:
    return raw.to(torch.float32)


FAMILY = Family(
    name="toy",
    settings=ToySettings,
    build=ToyVAE,
    defaults={"training": {"batch_size": 64, "evaluation_samples": 1}},
    presets={"sample": {}},
    augment=unchanged,
    augment_draws=1,
    task="anomaly",
)
