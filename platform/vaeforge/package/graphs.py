"""Views of a model that become graphs. Raw units outside, normalisation inside.

Shapes: B samples, raw x and reconstructions [B, *event], conditions [B, C], latents and noise [B, L], scores [B], error
maps [B, H, W]. No graph samples by itself: a graph that did could not be compared with anything, so the noise is an
input.

Only the batch is of any size. Images have the size that the model was built for: between convolutions and latents every
family has dense layers (endoscopy, speckle, and cilia, whose pooled places are laid out for one size), or takes vectors
of one length (fmri, lipid).
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from vaeforge_models.vae import VAE

RECONSTRUCTION = "reconstruction"
NOISY = "noisy_reconstruction"  # at z = mu + sigma * eps, where there is one at z = mu, too
ERROR_MAP = "error_map"
EXAMPLE_BATCH = 2
IMAGE_AXES = 3


class ModelView(nn.Module):
    """A view of a model; where the data have no condition, graphs have no such input."""

    def __init__(self, model: VAE):
        super().__init__()
        self.model = model

    def given(self, first: Tensor, condition: Tensor | None) -> Tensor:
        """The condition, [B, 0] for none."""
        return first.new_zeros((first.shape[0], 0), dtype=torch.float32) if condition is None else condition


class Full(ModelView):
    """x to the reconstruction at z = mu, mu, logvar and the score."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, ...]:
        reconstruction, posterior, score = self.model.reconstruct(x, self.given(x, condition))
        return self.model.denormalise(reconstruction), posterior.mu, posterior.logvar, score


class Encoder(ModelView):
    """x to mu and logvar."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, ...]:
        posterior = self.model.encode(self.model.normalise(x), self.given(x, condition))
        return posterior.mu, posterior.logvar


class Decoder(ModelView):
    """z to the reconstruction."""

    def forward(self, z: Tensor, condition: Tensor | None = None) -> tuple[Tensor, ...]:
        return (self.model.denormalise(self.model.mean(self.model.decode(z, self.given(z, condition)))),)


class WithNoise(ModelView):
    """x and standard normal noise eps to the reconstruction at z = mu + sigma * eps, mu and logvar."""

    def forward(self, x: Tensor, eps: Tensor, condition: Tensor | None = None) -> tuple[Tensor, ...]:
        _, output, mu, logvar = self.model(x, self.given(x, condition), eps)
        return self.model.denormalise(self.model.mean(output)), mu, logvar


class ErrorMap(ModelView):
    """Images x to the score and to the mean over channels of the squared error, model units: [B, H, W]."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, ...]:
        reconstruction, _, score = self.model.reconstruct(x, self.given(x, condition))
        return score, (self.model.normalise(x) - reconstruction).square().mean(1)


class Joint(ModelView):
    """x and noise eps to all that views of x give, with one encoding: the outputs of `Full`, what the decoder makes of
    z = mu + sigma * eps, and for images the error map. Converting it once is quicker than converting each view.
    """

    def forward(self, x: Tensor, eps: Tensor, condition: Tensor | None = None) -> tuple[Tensor, ...]:
        given = self.given(x, condition)
        reconstruction, posterior, score = self.model.reconstruct(x, given)
        noisy = self.model.mean(self.model.decode(posterior.sample(eps), given))
        decoded = (self.model.denormalise(one) for one in (reconstruction, noisy))
        found = (*decoded, posterior.mu, posterior.logvar, score)
        if len(self.model.event_shape) != IMAGE_AXES:
            return found
        return *found, (self.model.normalise(x) - reconstruction).square().mean(1)


@dataclass(frozen=True)
class Part:
    """A view as a part of a larger one.

    Attributes:
        outputs: what the `whole` calls each of its outputs, in order.
        inputs: what the whole calls inputs that it has under another name, which may be a value inside of it.
    """

    whole: "Graph"
    outputs: tuple[str, ...]
    inputs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """One view.

    Attributes:
        module: what computes it.
        examples: inputs by name, in order, of the right shapes and types; their values do not matter.
        outputs: the names of what comes out, in order.
        limits: how many values each integer input has, from 0 on.
        part: of which larger view it is one, if it is.
    """

    module: nn.Module
    examples: dict[str, Tensor]
    outputs: tuple[str, ...]
    limits: dict[str, int] = field(default_factory=dict)
    part: Part | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of what goes in, in order."""
        return tuple(self.examples)

    @torch.no_grad()
    def run(self, feeds: dict[str, Tensor]) -> dict[str, Tensor]:
        """What torch computes for named inputs."""
        return dict(zip(self.outputs, self.module(*(feeds[name] for name in self.inputs)), strict=True))


def graphs_of(model: VAE, condition_dim: int) -> dict[str, Graph]:
    """The views that need nothing but `model`, by the name of their file; a condition is each one's last input.

    `error_map` is there where a sample is an image [channels, H, W].
    """
    x = torch.zeros(EXAMPLE_BATCH, *model.event_shape)
    z = torch.zeros(EXAMPLE_BATCH, model.latent_dim)
    last = {"condition": torch.zeros(EXAMPLE_BATCH, condition_dim)} if condition_dim else {}
    images = len(model.event_shape) == IMAGE_AXES
    told = (RECONSTRUCTION, NOISY, "mu", "logvar", "score", *((ERROR_MAP,) if images else ()))
    whole = Graph(Joint(model), {"x": x, "eps": z, **last}, told)

    def view(module: nn.Module, examples: dict[str, Tensor], *outputs: str) -> Graph:
        own = tuple(RECONSTRUCTION if name == NOISY else name for name in outputs)
        return Graph(module, examples | last, own, part=Part(whole, outputs))

    found = {
        "model": view(Full(model), {"x": x}, RECONSTRUCTION, "mu", "logvar", "score"),
        "encoder": view(Encoder(model), {"x": x}, "mu", "logvar"),
        "decoder": Graph(
            Decoder(model), {"z": z, **last}, (RECONSTRUCTION,), part=Part(whole, (RECONSTRUCTION,), {"z": "mu"})
        ),
        "reconstruct_eps": view(WithNoise(model), {"x": x, "eps": z}, NOISY, "mu", "logvar"),
    }
    if images:
        found["error_map"] = view(ErrorMap(model), {"x": x}, "score", ERROR_MAP)
    return found
