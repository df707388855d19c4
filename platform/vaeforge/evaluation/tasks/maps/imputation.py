"""Imputation: what a model says of values that it has not seen, and how sure it is.

Shapes: N samples, E values of a sample, K draws, T maps over P points. Everything in the units of the model.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaeforge.data.missing import mean_of
from vaeforge.evaluation.tasks.maps.coverage import Spread, spread_of
from vaeforge.samples import Samples
from vaeforge.seeds import derive
from vaeforge_models.vae import VAE

POSTERIOR_DRAWS = 16
PRIOR_DRAWS = 64
BATCH_VALUES = 2**22  # of K draws of one batch, 16 MB
ROUNDS = 10  # of filling in, after which maps hardly move
Floats = NDArray[np.float64]


@torch.no_grad()
def posterior_draws(model: VAE, samples: Samples, draws: int = POSTERIOR_DRAWS) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of x [n, E] and of its reconstructions [K, n, E] with z from q(z|x), under a fixed seed."""
    generator = torch.Generator().manual_seed(derive(0, "posterior spread"))
    for raw, condition in samples.batches(_batch(model, draws)):
        x = model.normalise(raw)
        posterior = model.encode(x, condition)
        noise = torch.randn(draws, *posterior.mu.shape, generator=generator)
        found = torch.stack([model.mean(model.decode(posterior.sample(eps), condition)) for eps in noise])
        yield x.flatten(1), found.flatten(2)


def posterior_spread(model: VAE, samples: Samples, draws: int = POSTERIOR_DRAWS) -> Spread:
    """Mean and spread of reconstructions with z from q(z|x), under a fixed seed."""
    return spread_of(found for _, found in posterior_draws(model, samples, draws))


@torch.no_grad()
def prior_spread(model: VAE, condition: NDArray[np.float32], draws: int = PRIOR_DRAWS) -> Spread:
    """Mean and spread of what conditions [N, C] alone tell: z from the prior, under a fixed seed.

    The mean over draws is the model's E[x | condition], which the decoder at the prior's mean z = 0 is not.
    """
    generator = torch.Generator().manual_seed(derive(0, "prior spread"))

    def batches() -> Iterable[Tensor]:
        for part in torch.split(torch.from_numpy(np.array(condition)), _batch(model, draws)):
            noise = torch.randn(draws, len(part), model.latent_dim, generator=generator)
            yield torch.stack([model.mean(model.decode(z, part)) for z in noise])

    return spread_of(batches())


@torch.no_grad()
def at_prior_mean(model: VAE, condition: NDArray[np.float32]) -> Floats:
    """The decoder at z = 0 for conditions [N, C]: [N, E]."""
    parts = torch.split(torch.from_numpy(np.array(condition)), _batch(model, 1))
    found = [model.mean(model.decode(torch.zeros(len(part), model.latent_dim), part)) for part in parts]
    return torch.cat(found).flatten(1).double().numpy()


def _batch(model: VAE, draws: int) -> int:
    return max(1, BATCH_VALUES // (draws * int(np.prod(model.event_shape)) + 1) // 8)  # hidden layers are wider


def noise_of(model: VAE, validation: Samples, each: bool) -> Floats:
    """The standard deviation of the observation noise, from validation samples with z from q.

    The square root of E (x - x_hat)^2, the variance under which `val/nelbo` is calibrated; of each value [E], or one
    for all.
    """
    spread, x = posterior_spread(model, validation), normalised(model, validation)
    squares = (x - spread.mean) ** 2 + spread.sd**2
    noise: Floats = np.sqrt(mean_of(squares) if each else mean_of(squares, None))
    return noise


def normalised(model: VAE, samples: Samples) -> Floats:
    """Samples [N, E] in the units of the model; what is missing stays so."""
    return np.concatenate([model.normalise(raw).double().numpy() for raw, _ in samples.batches()])


@torch.no_grad()
def fill_in(model: VAE, x: Floats, hidden: NDArray[np.bool_], rounds: int = ROUNDS) -> Floats:
    """Maps x [T, P] with the points `hidden` [P] filled in by an unconditional model.

    They start from the mean of the map's visible points and are then replaced by the reconstruction at z = mu, again
    and again (Rezende et al. 2014, section 6.3, without its noise).

    Args:
        model: in evaluation mode.
        x: [T, P], model units.
        hidden: [P], the points to be filled in.
        rounds: how often they are replaced.
    """
    filled = x.astype(np.float32)
    filled[:, hidden] = mean_of(filled[:, ~hidden], 1)[:, None]
    reconstruct = _reconstruction(model)
    for _ in range(rounds):
        filled[:, hidden] = reconstruct(filled)[:, hidden]
    return filled.astype(np.float64)


def _reconstruction(model: VAE) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    def reconstruct(x: NDArray[np.float32]) -> NDArray[np.float32]:
        values, condition = torch.from_numpy(x), torch.zeros(len(x), 0)
        found: NDArray[np.float32] = model.mean(model.decode(model.encode(values, condition).mu, condition)).numpy()
        return found

    return reconstruct
