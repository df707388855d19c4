"""`mlp`: the fully connected VAE of the early literature on grey 28 x 28 images, added through an entry point.

Shapes: raw images [B, 1, H, W] in 0..255, any H and W. With `hidden: [400]` and 20 latent dimensions it is the network
784-400-20 of PyTorch's examples, with `[600]` and 100 another published one: the encoder has the hidden widths in
order, the decoder in reverse. Bernoulli takes grey values in [0, 1] as they are (no binarisation), as the sources do.
"""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from vaeforge_models.family import Family
from vaeforge_models.likelihoods import bernoulli_distortion, squared_error_distortion
from vaeforge_models.settings import Settings
from vaeforge_models.vae import VAE, DataSpec, Posterior

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}
Width = Annotated[int, Field(ge=1, le=65536)]


class MlpSettings(Settings):
    """The `model` section of the configuration."""

    latent_dim: Annotated[int, Field(ge=1, le=4096)] = 20
    hidden: Annotated[tuple[Width, ...], Field(min_length=1)] = (400,)
    activation: Literal["relu", "tanh"] = "relu"
    likelihood: Literal["bernoulli", "squared_error"] = "bernoulli"


class MlpVAE(VAE):
    """See the module's docstring."""

    def __init__(self, settings: MlpSettings, spec: DataSpec):
        super().__init__()
        self.latent_dim, self.event_shape, self.likelihood = settings.latent_dim, spec.event_shape, settings.likelihood
        activation, widths = ACTIVATIONS[settings.activation], [spec.dimensions, *settings.hidden]
        self.encoder = nn.Sequential(nn.Flatten(), *_layers(widths, activation))
        self.to_mu, self.to_logvar = nn.Linear(widths[-1], self.latent_dim), nn.Linear(widths[-1], self.latent_dim)
        back = _layers([self.latent_dim, *reversed(settings.hidden)], activation)
        last = nn.Linear(settings.hidden[0], spec.dimensions)
        self.decoder = nn.Sequential(*back, last, nn.Unflatten(1, spec.event_shape))

    def normalise(self, raw: Tensor) -> Tensor:
        return raw.float() / 255.0

    def denormalise(self, x: Tensor) -> Tensor:
        return x * 255.0

    def encode(self, x: Tensor, condition: Tensor) -> Posterior:
        features = self.encoder(x)
        return Posterior(self.to_mu(features), self.to_logvar(features))

    def decode(self, z: Tensor, condition: Tensor) -> Tensor:
        decoded: Tensor = self.decoder(z)
        return decoded

    def mean(self, output: Tensor) -> Tensor:
        return output.sigmoid()

    def distortion(self, x: Tensor, output: Tensor) -> Tensor:
        if self.likelihood == "bernoulli":
            return bernoulli_distortion(x, output)
        return squared_error_distortion(x, self.mean(output))


def _layers(widths: list[int], activation: type[nn.Module]) -> list[nn.Module]:
    return [layer for before, after in pairwise(widths) for layer in (nn.Linear(before, after), activation())]


FAMILY = Family(
    name="mlp",
    settings=MlpSettings,
    build=MlpVAE,
    # no clipping, no schedule, no early stopping: the sources have none
    defaults={
        "optimizer": {"name": "adam", "lr": 1e-3, "clip_norm": 1e9, "schedule": "constant"},
        "training": {"batch_size": 128, "patience": 100000},
        "beta": {"schedule": "constant", "value": 1.0},
    },
    presets={
        "sample": {},
        "published": {"model": {"hidden": [400], "latent_dim": 20}, "training": {"epochs": 10}},
    },
    data="classes",
    task="classes",
    example=DataSpec((1, 28, 28)),
)
