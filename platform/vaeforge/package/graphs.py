"""The four views of a model that become graphs. Raw units outside, normalisation inside.

Shapes: B samples, raw x and reconstructions [B, *event], conditions [B, C], latents and noise [B, L], scores [B]. No
graph samples by itself: a graph that did could not be compared with anything, so the noise is an input.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vaeforge_models.vae import VAE

RECONSTRUCTION = "reconstruction"


class View(nn.Module):
    """A view of a model; where the data have no condition, graphs have no such input."""

    def __init__(self, model: VAE):
        super().__init__()
        self.model = model

    def given(self, first: Tensor, condition: Tensor | None) -> Tensor:
        """The condition, [B, 0] for none."""
        return first.new_zeros((first.shape[0], 0), dtype=torch.float32) if condition is None else condition


class Full(View):
    """x to the reconstruction at z = mu, mu, logvar and the score."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, ...]:
        reconstruction, posterior, score = self.model.reconstruct(x, self.given(x, condition))
        return self.model.denormalise(reconstruction), posterior.mu, posterior.logvar, score


class Encoder(View):
    """x to mu and logvar."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, ...]:
        posterior = self.model.encode(self.model.normalise(x), self.given(x, condition))
        return posterior.mu, posterior.logvar


class Decoder(View):
    """z to the reconstruction."""

    def forward(self, z: Tensor, condition: Tensor | None = None) -> tuple[Tensor, ...]:
        return (self.model.denormalise(self.model.mean(self.model.decode(z, self.given(z, condition)))),)


class WithNoise(View):
    """x and standard normal noise eps to the reconstruction at z = mu + sigma * eps, mu and logvar."""

    def forward(self, x: Tensor, eps: Tensor, condition: Tensor | None = None) -> tuple[Tensor, ...]:
        _, output, mu, logvar = self.model(x, self.given(x, condition), eps)
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


def graphs_of(model: VAE, condition_dim: int) -> dict[str, Graph]:
    """The four views of `model` by the name of their file; with a condition it is each one's last input."""
    last = ("condition",) if condition_dim else ()
    return {
        "model": Graph(Full(model), ("x", *last), (RECONSTRUCTION, "mu", "logvar", "score")),
        "encoder": Graph(Encoder(model), ("x", *last), ("mu", "logvar")),
        "decoder": Graph(Decoder(model), ("z", *last), (RECONSTRUCTION,)),
        "reconstruct_eps": Graph(WithNoise(model), ("x", "eps", *last), (RECONSTRUCTION, "mu", "logvar")),
    }
