"""Figures of image families: reconstructions with error maps, prior samples, interpolations."""

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from vaeforge.evaluation.drawing import COLUMNS, INCHES, canvas, full_row, in_colours, pixels, show_sheet
from vaeforge.samples import Samples
from vaeforge.seeds import derive
from vaeforge_models.vae import VAE

SAMPLES = 32


@torch.no_grad()
def draw_reconstructions(model: VAE, samples: Samples, kind: str) -> Figure:
    """Three rows: samples, their reconstructions at z = mu, and the absolute error per pixel, mean over channels."""
    raw, condition = samples.tensors(slice(None))
    reconstruction = model.denormalise(model.reconstruct(raw, condition)[0]).numpy()
    error = np.abs(reconstruction - raw.numpy()).mean(1)
    maps, scale = in_colours(error, float(error.max()))
    rows = {"sample": pixels(raw.numpy()), "reconstruction": pixels(reconstruction), "error": maps}
    figure = canvas(INCHES * COLUMNS, INCHES * 3.3)
    images = np.concatenate([full_row(own) for own in rows.values()])
    bar = figure.colorbar(scale, ax=show_sheet(figure, images, rows=tuple(rows)), shrink=0.6)
    bar.set_label("error, 0..255", fontsize=7)
    figure.suptitle(f"{kind} test samples, reconstructions, error", fontsize=9)
    return figure


def prior_samples(model: VAE, condition: Tensor, seed: int) -> NDArray[np.float32]:
    """What the decoder makes of one draw from the prior for each row of `condition` [n, C], raw units: [n, *event]."""
    generator = torch.Generator().manual_seed(seed)
    return decoded(model, torch.randn(len(condition), model.latent_dim, generator=generator), condition)


@torch.no_grad()
def decoded(model: VAE, z: Tensor, condition: Tensor) -> NDArray[np.float32]:
    """The reconstructions of latents z [n, L], raw units: [n, *event]."""
    parts = [
        model.denormalise(model.mean(model.decode(part, c)))
        for part, c in zip(torch.split(z, 64), torch.split(condition, 64), strict=True)
    ]
    return torch.cat(parts).numpy()


def draw_samples(model: VAE, condition: Tensor | None = None) -> Figure:
    """What the decoder makes of 32 draws from the prior, under a fixed seed."""
    given = torch.zeros(SAMPLES, 0) if condition is None else condition
    return draw_grid(prior_samples(model, given, derive(0, "prior samples")))


def draw_grid(raw: NDArray[np.float32], columns: int = COLUMNS) -> Figure:
    """Images [n, C, H, W] in 0..255, row by row."""
    rows = -(-len(raw) // columns)
    figure = canvas(INCHES * columns, INCHES * rows)
    show_sheet(figure, pixels(raw), columns)
    return figure


@torch.no_grad()
def draw_interpolation(model: VAE, samples: Samples) -> Figure:
    """Rows of images between the posterior means of neighbouring samples, eight steps each, ends included.

    The condition is that of the row's first sample.
    """
    raw, condition = samples.tensors(slice(0, 5))
    mu = model.encode(model.normalise(raw), condition).mu
    weights = torch.linspace(0, 1, COLUMNS)[:, None]
    rows = [(1 - weights) * mu[i] + weights * mu[i + 1] for i in range(len(mu) - 1)]
    conditions = [condition[i].expand(COLUMNS, -1) for i in range(len(mu) - 1)]
    return draw_grid(decoded(model, torch.cat(rows), torch.cat(conditions)))
