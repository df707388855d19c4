"""Validation of all lanes at once: what `validation.validate` computes of each of their models.

A pass over the validation samples is as many launches for all lanes together as for one, which is what it costs on a
GPU. A processor gains nothing by it, and validates each model by itself.

Shapes: K lanes, B samples of a chunk, k draws of the latents, L latent dimensions of the stack.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from vaeforge.samples import CHUNK, Samples
from vaeforge.training.lanes.lane_step import LaneStep
from vaeforge.training.lanes.padding import own_latents
from vaeforge.training.loading import chunks
from vaeforge.training.resident import ResidentSamples
from vaeforge.training.validation import (
    decoded_sums,
    draws_at_once,
    encoded_sums,
    metrics_of,
    validation_noise,
)
from vaeforge.training.validation_metric import validation_metrics
from vaeforge_models.vae import VAE, Posterior


@torch.no_grad()
def validate_lanes(
    step: LaneStep,
    models: Sequence[VAE | None],
    validation: Samples | ResidentSamples,
    samples: int,
    on_step: Callable[[], None],
) -> list[dict[str, float]]:
    """The `val/` metrics of each lane; see `validation.validate`.

    Args:
        step: of the lanes, whose weights are validated.
        models: the own model of each lane, whose weights are the same; none where a lane computes for nobody.
        validation: all samples.
        samples: draws of the latents for each sample.
        on_step: called after each chunk and each draw.
    """
    device, lanes = step.group.device, len(models)
    step.model.eval()
    noise = _noise(models, len(validation), samples, step.model.latent_dim)
    totals = torch.zeros(lanes, 4, dtype=torch.float64, device=device)
    others = [
        [torch.zeros(one.size(model), dtype=torch.float64, device=device) for one in validation_metrics()]
        for model in models
        if model is not None
    ]
    with sdpa_kernel(SDPBackend.MATH):
        for number, (raw, condition) in enumerate(chunks(validation, CHUNK, device, 0)):
            x, mu, logvar, sums = step.mapped(_Encoding(step.model), (0, None, None))(step.loss.units, raw, condition)
            totals[:, [1, 3]] += sums
            _add_metrics(models, others, x, mu, logvar)
            on_step()
            own = noise[:, :, number * CHUNK : (number + 1) * CHUNK].to(device)
            for eps in torch.split(own, draws_at_once(raw, lanes), dim=1):  # [K, k, B, L]
                decoded = step.mapped(_Decoding(step.model), (0, 0, 0, None, None))(mu, logvar, eps, raw, condition)
                totals[:, [0, 2]] += decoded
                on_step()
    step.model.train()
    rows, found = iter(others), list[dict[str, float]]()
    for lane, model in enumerate(models):
        if model is None:
            found.append({})
        else:
            found.append(metrics_of(torch.cat([totals[lane], *next(rows)]), len(validation), samples, model))
    return found


def _noise(models: Sequence[VAE | None], count: int, samples: int, latent_dim: int) -> Tensor:
    """The noise of each lane as its own model would have it, zeros behind it: [K, S, N, L]."""
    found = torch.zeros(len(models), samples, count, latent_dim)
    drawn: dict[int, Tensor] = {}
    for lane, model in enumerate(models):
        if model is not None:
            own = model.latent_dim
            drawn[own] = drawn[own] if own in drawn else validation_noise(count, samples, own)
            found[lane, :, :, :own] = drawn[own]
    return found


def _add_metrics(
    models: Sequence[VAE | None], others: Sequence[Sequence[Tensor]], x: Tensor, mu: Tensor, logvar: Tensor
) -> None:
    """Add a chunk to the sums of plug-ins, which know single models."""
    rows = iter(others)
    for lane, model in enumerate(models):
        if model is not None:
            own = Posterior(mu[lane, :, : model.latent_dim], logvar[lane, :, : model.latent_dim])
            for one, held in zip(validation_metrics(), next(rows), strict=True):
                held += one.sums(model, x[lane], own)


class _Encoding(nn.Module):
    """x [B, *event], the posterior [B, L], and the sums of rate and observed values [2] of a chunk."""

    def __init__(self, model: VAE):
        super().__init__()
        self.model = model

    def forward(self, units: Tensor, raw: Tensor, condition: Tensor) -> Any:
        x = self.model.normalise(raw)
        posterior = own_latents(self.model.encode(x, condition), units)
        return x, posterior.mu, posterior.logvar, encoded_sums(self.model, x, posterior)


class _Decoding(nn.Module):
    """The sums of squared error and distortion [2] of a chunk over k draws of the latents."""

    def __init__(self, model: VAE):
        super().__init__()
        self.model = model

    def forward(self, mu: Tensor, logvar: Tensor, eps: Tensor, raw: Tensor, condition: Tensor) -> Tensor:
        return decoded_sums(self.model, self.model.normalise(raw), Posterior(mu, logvar), eps, condition)
