"""The four views of a model that become graphs. Raw units outside, normalisation inside.

Shapes: B samples, raw x and reconstructions [B, *event], latents and noise [B, L], scores [B]. No graph samples by
itself: a graph that did could not be compared with anything, so the noise is an input.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vaeforge_models.vae import VAE

RECONSTRUCTION = "reconstruction"


class Full(nn.Module):
    """x to the reconstruction at z = mu, mu, logvar and the score."""

    def __init__(self, model: VAE):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        reconstruction, posterior, score = self.model.reconstruct(x)
        return self.model.denormalise(reconstruction), posterior.mu, posterior.logvar, score


class Encoder(nn.Module):
    """x to mu and logvar."""

    def __init__(self, model: VAE):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        posterior = self.model.encode(self.model.normalise(x))
        return posterior.mu, posterior.logvar


class Decoder(nn.Module):
    """z to the reconstruction."""

    def __init__(self, model: VAE):
        super().__init__()
        self.model = model

    def forward(self, z: Tensor) -> tuple[Tensor, ...]:
        return (self.model.denormalise(self.model.mean(self.model.decode(z))),)


class WithNoise(nn.Module):
    """x and standard normal noise eps to the reconstruction at z = mu + sigma * eps, mu and logvar."""

    def __init__(self, model: VAE):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, eps: Tensor) -> tuple[Tensor, ...]:
        _, output, mu, logvar = self.model(x, eps)
        return self.model.denormalise(self.model.mean(output)), mu, logvar


@dataclass(frozen=True)
class Graph:
    """One view: its module, and the names of what goes in and comes out, in order."""

    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @torch.no_grad()
    def run(self, feeds: dict[str, Tensor]) -> dict[str, Tensor]:
        """What torch computes for named inputs."""
        return dict(zip(self.outputs, self.module(*(feeds[name] for name in self.inputs)), strict=True))


def graphs_of(model: VAE) -> dict[str, Graph]:
    """The four views of `model` by the name of their file."""
    return {
        "model": Graph(Full(model), ("x",), (RECONSTRUCTION, "mu", "logvar", "score")),
        "encoder": Graph(Encoder(model), ("x",), ("mu", "logvar")),
        "decoder": Graph(Decoder(model), ("z",), (RECONSTRUCTION,)),
        "reconstruct_eps": Graph(WithNoise(model), ("x", "eps"), (RECONSTRUCTION, "mu", "logvar")),
    }
