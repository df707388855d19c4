"""Validation after each epoch: the metrics of every model, and those of plug-ins, as sums over ranks divided once."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from vaeforge.samples import CHUNK, Samples
from vaeforge.seeds import derive
from vaeforge.training.loading import chunks
from vaeforge.training.process_group import ProcessGroup
from vaeforge.training.resident import ResidentSamples
from vaeforge.training.validation_metric import validation_metrics
from vaeforge_models.likelihoods import calibrated_nelbo
from vaeforge_models.vae import VAE, Posterior

NOISE_SEED = derive(0, "validation noise")
GPU_VALUES = 2**24  # decoded at once: 64 MB, and the activations of as many


@torch.no_grad()
def validate(
    model: VAE,
    validation: Samples | ResidentSamples,
    group: ProcessGroup,
    samples: int,
    loader_workers: int = 0,
    on_step: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """The `val/` metrics of `model`.

    `val/nelbo` is the calibrated Gaussian negative log-likelihood plus the rate, with z sampled `samples` times from
    q(z|x) under a fixed seed; beta is nowhere in it. Missing values are in none of it: D is the mean number of observed
    values of a sample. Nats per sample, except `val/mse`, which is per value, and the
    metrics of plug-ins (`validation_metric.py`), among them `val/active_units`, a count.

    Args:
        model: put into evaluation mode, and back afterwards.
        validation: all samples, the same on every rank; each rank takes its shard.
        group: this rank's view of its group.
        samples: K, the draws of z for each sample.
        loader_workers: threads that read ahead.
        on_step: called after each metric and each draw of z of a batch.
    """
    was_training = model.training
    model.eval()
    mine = group.shard(len(validation))
    noise = validation_noise(len(validation), samples, model.latent_dim)[:, mine]
    share = chunks(validation[mine], CHUNK, group.device, loader_workers)
    sums = _sums(model, share, noise, group.device, on_step)
    model.train(was_training)
    return metrics_of(group.sum(sums), len(validation), samples, model)


def validation_noise(count: int, samples: int, latent_dim: int) -> Tensor:
    """The same standard normal numbers [K, N, L] at every call, whatever the sharding."""
    return torch.randn(samples, count, latent_dim, generator=torch.Generator().manual_seed(NOISE_SEED))


def _sums(
    model: VAE,
    share: Iterator[tuple[Tensor, Tensor]],
    noise: Tensor,
    device: torch.device,
    on_step: Callable[[], None],
) -> Tensor:
    """float64 [4 + K]: squared error, rate, training distortion, observed values, then the sums of other metrics."""
    totals = torch.zeros(4, dtype=torch.float64, device=device)
    others = [torch.zeros(one.size(model), dtype=torch.float64, device=device) for one in validation_metrics()]
    for number, (raw, condition) in enumerate(share):
        x = model.normalise(raw)
        posterior = model.encode(x, condition)
        totals[[1, 3]] += encoded_sums(model, x, posterior)
        for one, held in zip(validation_metrics(), others, strict=True):
            held += one.sums(model, x, posterior)
            on_step()
        own = noise[:, number * CHUNK : (number + 1) * CHUNK].to(device)
        for eps in torch.split(own, draws_at_once(x)):  # [k, b, L]
            totals[[0, 2]] += decoded_sums(model, x, posterior, eps, condition)
            on_step()
    return torch.cat([totals, *others])


def encoded_sums(model: VAE, x: Tensor, posterior: Posterior) -> Tensor:
    """Rate and observed values of a chunk x [b, *event], float64 [2]."""
    rate = posterior.rate().sum(dtype=torch.float64)
    return torch.stack([rate, model.dimensions(x).sum().double()])


def decoded_sums(model: VAE, x: Tensor, posterior: Posterior, eps: Tensor, condition: Tensor) -> Tensor:
    """Squared error and training distortion of a chunk over k draws of z from the noise eps [k, b, L], float64 [2]."""
    output = model.decode(posterior.sample(eps).flatten(0, 1), condition.repeat(len(eps), 1))
    same = x.repeat(len(eps), *(1 for _ in x.shape[1:]))
    error = model.difference(same, model.mean(output)).square().sum(dtype=torch.float64)
    return torch.stack([error, model.distortion(same, output).sum(dtype=torch.float64)])


def draws_at_once(x: Tensor, lanes: int = 1) -> int:
    """How many draws of z a GPU decodes in one pass, of which one alone would fill little of it; a processor, one.

    Each of several `lanes` decodes as many.
    """
    return max(1, GPU_VALUES // max(1, x.numel() * lanes)) if x.device.type == "cuda" else 1


def metrics_of(sums: Tensor, count: int, samples: int, model: VAE) -> dict[str, float]:
    """The metrics from the sums over `count` samples of `samples` draws each: see `_sums`."""
    squared_error, rate, distortion, observed = sums[:4].tolist()
    dimensions = observed / count
    others = torch.split(sums[4:], [one.size(model) for one in validation_metrics()])
    mse = squared_error / (samples * observed)
    if model.calibrated:
        log_mse = 0.5 * dimensions * math.log(mse) if mse > 0 else -math.inf
        distortion = (log_mse if math.isfinite(mse) else math.nan) * samples * count
    return {
        "val/nelbo": calibrated_nelbo(mse, rate / count, dimensions),
        "val/nelbo_train_likelihood": (distortion / samples + rate) / count,
        "val/rate": rate / count,
        "val/distortion": distortion / (samples * count),
        "val/mse": mse,
        **{one.name: one.value(held, count) for one, held in zip(validation_metrics(), others, strict=True)},
    }
