"""A family of the benchmarks, added through an entry point as any could be: a small MLP on 8 x 8 digits."""

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from vaeforge_models.family import Family
from vaeforge_models.likelihoods import bernoulli_distortion
from vaeforge_models.settings import Settings
from vaeforge_models.vae import VAE, DataSpec, Posterior

HIDDEN = 256


class ToySettings(Settings):
    """The `model` section of the configuration."""

    latent_dim: Annotated[int, Field(ge=1)] = 8


class ToyVAE(VAE):
    """64-256-256 with SiLU, both ways; raw values are 0..16."""

    def __init__(self, settings: ToySettings, spec: DataSpec):
        super().__init__()
        self.latent_dim, self.event_shape = settings.latent_dim, spec.event_shape
        values = spec.dimensions
        self.encoder = nn.Sequential(nn.Flatten(), *_layers(values), nn.Linear(HIDDEN, 2 * self.latent_dim))
        back = [*_layers(self.latent_dim), nn.Linear(HIDDEN, values), nn.Unflatten(1, spec.event_shape)]
        self.decoder = nn.Sequential(*back)

    def normalise(self, raw: Tensor) -> Tensor:
        return raw.float() / 16.0

    def denormalise(self, x: Tensor) -> Tensor:
        return x * 16.0

    def encode(self, x: Tensor, condition: Tensor) -> Posterior:
        return Posterior(*self.encoder(x).chunk(2, -1))

    def decode(self, z: Tensor, condition: Tensor) -> Tensor:
        decoded: Tensor = self.decoder(z)
        return decoded

    def mean(self, output: Tensor) -> Tensor:
        return output.sigmoid()

    def distortion(self, x: Tensor, output: Tensor) -> Tensor:
        return bernoulli_distortion(x, output)


def _layers(inputs: int) -> list[nn.Module]:
    return [nn.Linear(inputs, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU()]


FAMILY = Family(
    name="toy",
    settings=ToySettings,
    build=ToyVAE,
    defaults={"training": {"batch_size": 64, "evaluation_samples": 1}},
    presets={"sample": {}},
    data="classes",
    task="classes",
    example=DataSpec((1, 8, 8)),
)
