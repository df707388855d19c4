"""Weights of a model with fewer latent dimensions within those of one with more.

A weight's axis that counts latent dimensions, alone or before what else enters a layer (z, then the condition), is
longer in the larger model. There the smaller model's entries lie at the front, those behind its latents at the end,
and zeros between. With no noise on latents that it does not have, and their mean and log-variance held at 0, their
gradients are exactly 0, so that an optimiser leaves them 0: the padded model computes, and learns, what the smaller
one does.

Shapes: l latent dimensions of the smaller model, L of the larger one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from vaeforge.errors import VaeforgeError
from vaeforge_models.vae import Posterior


class UnstackableError(VaeforgeError):
    """A training that cannot be a lane of a stack, and why; it can be trained alone.

    Attributes:
        lane: that it would have been; none where no training of the kind can be one.
    """

    lane: int | None = None


@dataclass(frozen=True)
class Span:
    """Entries along an axis: `length` of them, from `small` in the smaller weight and from `large` in the larger."""

    small: int
    large: int
    length: int


@dataclass(frozen=True)
class Padding:
    """Where the weights of one model lie within those of another.

    Attributes:
        own: l.
        stacked: L.
    """

    own: int
    stacked: int

    def pairs(self, small: Tensor, large: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Views of both that show the same entries, for copies either way.

        Raises:
            UnstackableError: if the larger one is no padded form of the smaller.
        """
        if small.shape == large.shape:
            yield small, large
            return
        if small.dim() != large.dim():
            raise UnstackableError(f"a weight {tuple(small.shape)} does not lie within one {tuple(large.shape)}")
        axes = [self._spans(a, b) for a, b in zip(small.shape, large.shape, strict=True)]
        for spans in product(*axes):
            inner, outer = small, large
            for axis, span in enumerate(spans):
                inner = inner.narrow(axis, span.small, span.length)
                outer = outer.narrow(axis, span.large, span.length)
            yield inner, outer

    def _spans(self, small: int, large: int) -> list[Span]:
        if small == large:
            return [Span(0, 0, small)]
        if large - small != self.stacked - self.own or small < self.own:
            sizes = f"{self.own} latent dimensions and {large} at {self.stacked}"
            raise UnstackableError(f"a weight has {small} entries along an axis at {sizes}: no padding leads there")
        spans = [Span(0, 0, self.own), Span(self.own, self.stacked, small - self.own)]
        return [span for span in spans if span.length]


def own_latents(posterior: Posterior, units: Tensor) -> Posterior:
    """A posterior [B, L] with mean and log-variance 0 where `units` [L] says that the model has no such dimension."""
    nothing = torch.zeros_like(posterior.mu)
    return Posterior(torch.where(units, posterior.mu, nothing), torch.where(units, posterior.logvar, nothing))


def pad(padding: Padding, small: Tensor, large: Tensor) -> None:
    """Write `small` into `large`, zeros around it."""
    if small.shape != large.shape:
        large.zero_()
    for inner, outer in padding.pairs(small, large):
        outer.copy_(inner)


def unpad(padding: Padding, large: Tensor, small: Tensor) -> None:
    """The inverse of `pad`."""
    for inner, outer in padding.pairs(small, large):
        inner.copy_(outer)
