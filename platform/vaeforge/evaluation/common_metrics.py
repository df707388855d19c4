"""Evaluation that every family has: likelihood, latents, reconstruction beside baselines, and the test metrics."""

import math

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from vaeforge.config.experiment import Experiment
from vaeforge.data.missing import observed_per_sample
from vaeforge.data.prepared import Prepared
from vaeforge.errors import ConfigError
from vaeforge.evaluation.comparison import MODEL, ComparisonRow, compare_means
from vaeforge.evaluation.drawing import canvas, one_axes
from vaeforge.evaluation.inference import posteriors
from vaeforge.evaluation.intervals import POSITIVE
from vaeforge.evaluation.metric import METRICS
from vaeforge.evaluation.pca_baseline import fit_pca_baseline
from vaeforge.evaluation.results import EvaluationResult
from vaeforge.evaluation.sample_likelihoods import EVIDENCE, per_sample_arrays
from vaeforge.progress import part, through
from vaeforge.samples import Samples, evenly_spaced
from vaeforge.seeds import derive
from vaeforge.trained import TrainedModel
from vaeforge.training.loop import untrained
from vaeforge.training.process_group import ProcessGroup
from vaeforge.training.validation import validate
from vaeforge_models.likelihoods import gaussian_nll
from vaeforge_models.vae import VAE

DRAWN_LATENTS = 1000
PERPLEXITY = 30.0
ALL, COMMON = 10, 4  # units of an evaluation's progress: all, and what every family has
Floats = NDArray[np.float64]


def common_result(trained: TrainedModel) -> EvaluationResult:
    """Metrics, comparison, latent figures and curves that every family has.

    `test/nelbo` (nats per sample) takes its variance from the validation samples: D/2 log(2 pi val/mse) +
    SSE / (2 val/mse) + rate, z sampled under a fixed seed.
    """
    model, prepared, experiment = trained.model, trained.prepared, trained.experiment
    samples = experiment.training.evaluation_samples
    with part("likelihoods", span=COMMON / 4):
        metrics = validate(model, prepared.validation, ProcessGroup(), samples)
        metrics |= nelbo_metrics(model, prepared.test, samples, metrics["val/mse"])
        arrays = {EVIDENCE: per_sample_arrays(model, prepared, samples, metrics["val/mse"])}
    with part("latents", span=COMMON / 4):
        mu, sigma = posteriors(model, prepared.test)
        drawn = draw_latents(mu, prepared.test_labels)
    per_dimension = np.sort(_rates(mu, sigma).mean(0))[::-1]
    curves = {"kl_per_dimension": (np.arange(1, len(per_dimension) + 1, dtype=np.float64), per_dimension)}
    figures = {"latents": drawn, "kl_per_dimension": _draw_rates(per_dimension)}
    with part("reconstruction beside simpler methods", span=COMMON / 4):
        rows = reconstruction_rows(trained, int(metrics["val/active_units"]))
    result = EvaluationResult(metrics, rows, curves, figures=figures, arrays=arrays)
    for name in through(METRICS.names(), "test metrics", COMMON / 4):
        result = result.joined(_measured(name, trained, result))
    return result


def _measured(name: str, trained: TrainedModel, before: EvaluationResult) -> EvaluationResult:
    """What the metric called `name` finds; it must not overwrite what is there."""
    found = METRICS.named(name).measure(trained)
    wrong = sorted(key for key in found.metrics if not key.startswith("test/") or key in before.metrics)
    if wrong:
        raise ConfigError(f"test metric {name!r}: gave {', '.join(wrong)}, must be test/... and not be there already")
    return found


def nelbo_metrics(model: VAE, test: Samples, samples: int, variance: float, suffix: str = "") -> dict[str, float]:
    """`test/nelbo`, `test/rate`, `test/distortion` and `test/mse` of `test`, the Gaussian's variance given.

    Args:
        model: in evaluation mode.
        test: the samples.
        samples: posterior draws a sample, K.
        variance: of the Gaussian, the validation mean squared error.
        suffix: of the metrics' names.
    """
    dimensions = observed_per_sample(test.stored)
    measured = validate(model, test, ProcessGroup(), samples)
    mse, rate = measured["val/mse"], measured["val/rate"]
    return {
        f"test/nelbo{suffix}": float(gaussian_nll(mse * dimensions, dimensions, variance)) + rate,
        f"test/rate{suffix}": rate,
        f"test/distortion{suffix}": measured["val/distortion"],
        f"test/mse{suffix}": mse,
        f"test/active_units{suffix}": measured["val/active_units"],
    }


def evaluation_seed(experiment: Experiment) -> int:
    """The seed of everything that one evaluation draws: samples, halves of the test set, hidden points."""
    return derive(experiment.training.seed, "evaluation bootstrap")  # an old name: another one would draw anew


def reconstruction_rows(trained: TrainedModel, active: int) -> list[ComparisonRow]:
    """Mean squared error per value at z = mu, model units: training mean, PCA, the untrained model and the model."""
    model, prepared = trained.model, trained.prepared
    plane = fit_pca_baseline(model, prepared.train, model.latent_dim)
    errors = plane.errors(model, prepared.test)
    values = {"training mean": errors[:, 0]}
    for components in sorted({active, errors.shape[1] - 1} - {0}):
        if components < min(errors.shape[1], math.prod(model.event_shape)):  # all of them would be the identity
            values[f"PCA {components}"] = errors[:, components]
    values["untrained VAE"] = squared_errors(untrained_model(trained.experiment, prepared), prepared.test)
    values[MODEL] = squared_errors(model, prepared.test)
    return compare_means("MSE", "lower", values, prepared.test_groups, POSITIVE)


def untrained_model(experiment: Experiment, prepared: Prepared) -> VAE:
    """The very weights that training started from."""
    return untrained(experiment, prepared.spec).eval()


@torch.no_grad()
def squared_errors(model: VAE, samples: Samples) -> Floats:
    """Mean squared error per observed value of the reconstruction at z = mu, model units: [N]."""
    parts = []
    for raw, condition in samples.batches():
        reconstruction = model.reconstruct(raw, condition)[0]
        parts.append(model.mean_squared_error(model.normalise(raw), reconstruction).double().numpy())
    return np.concatenate(parts)


def _rates(mu: Floats, sigma: Floats) -> Floats:
    rates: Floats = 0.5 * (mu**2 + sigma**2 - 1 - 2 * np.log(sigma))
    return rates


def _draw_rates(per_dimension: Floats) -> Figure:
    figure, axes = one_axes("latent dimension, by rate", "rate, nats")
    axes.bar(np.arange(1, len(per_dimension) + 1), per_dimension)
    return figure


def draw_latents(mu: Floats, labels: NDArray[np.int64]) -> Figure:
    """Posterior means of at most 1000 samples in two dimensions, by PCA and by t-SNE, coloured by label."""
    chosen = evenly_spaced(len(mu), DRAWN_LATENTS)
    points, shown = mu[chosen], labels[chosen]
    figure = canvas(9, 4)
    for axes, (name, flat) in zip(figure.subplots(1, 2), _projections(points).items(), strict=True):
        axes.scatter(flat[:, 0], flat[:, 1], c=shown, s=8, cmap="tab10")
        axes.set_title(name, fontsize=9)
    return figure


def _projections(points: Floats) -> dict[str, Floats]:
    """Two-dimensional views; fewer than two columns or four samples are drawn as they are."""
    if points.shape[1] < 2 or len(points) < 4:
        flat = np.column_stack([points[:, 0], np.zeros(len(points))])
        return {"latent 1": flat, "latent 1 (too few samples for t-SNE)": flat}
    perplexity = min(PERPLEXITY, (len(points) - 1) / 3)
    embedded = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(points)
    return {"PCA": PCA(2, random_state=0).fit_transform(points), "t-SNE": embedded}
