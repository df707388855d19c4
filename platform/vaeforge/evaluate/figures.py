"""The pictures of an evaluation, drawn without a display and without matplotlib's global state."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vaeforge.data.contract import Prepared
from vaeforge.evaluate.anomaly import Evaluation
from vaeforge.evaluate.detection import pr_curve, roc_curve
from vaeforge.evaluate.passes import WHITE
from vaeforge.paths import write_atomically
from vaeforge.seeds import derive
from vaeforge_models.vae import VAE

COLUMNS = 8
SAMPLES = 32
INCHES = 1.3
DPI = 120
Images = NDArray[np.float32]


def write_figures(model: VAE, prepared: Prepared, evaluation: Evaluation, folder: Path) -> list[Path]:
    """ROC and PR curves, score histogram, reconstructions with error maps, and prior samples, as PNG files."""
    figures = {
        "roc": draw_roc(evaluation),
        "pr": draw_pr(evaluation),
        "scores": draw_scores(evaluation),
        "samples": draw_samples(model),
    }
    for name, label in (("normal", 0), ("anomalous", 1)):
        chosen = spread_over(np.flatnonzero(prepared.test_labels == label))
        figures[f"reconstructions_{name}"] = draw_reconstructions(model, prepared.test[chosen], name)
    return [_save(figure, folder / f"{name}.png") for name, figure in figures.items()]


def spread_over(places: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most eight of `places`, evenly spaced: neighbours in the arrays are neighbours in the image."""
    return places[np.linspace(0, len(places) - 1, min(len(places), COLUMNS)).round().astype(np.int64)]


def draw_roc(evaluation: Evaluation) -> Figure:
    figure, axes = _axes("false-positive rate", "true-positive rate")
    m = evaluation.metrics
    label = f"AUROC {m['test/auroc']:.3f} ({m['test/auroc_low']:.3f} .. {m['test/auroc_high']:.3f})"
    axes.plot(*roc_curve(evaluation.labels, evaluation.test_scores), label=label)
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey", label="chance")
    axes.legend(loc="lower right")
    return figure


def draw_pr(evaluation: Evaluation) -> Figure:
    figure, axes = _axes("recall", "precision")
    label = f"average precision {evaluation.metrics['test/auprc']:.3f}"
    axes.plot(*pr_curve(evaluation.labels, evaluation.test_scores), label=label)
    axes.axhline(float(evaluation.labels.mean()), linestyle=":", color="grey", label="chance")
    axes.set_ylim(0, 1.02)
    axes.legend(loc="lower left")
    return figure


def draw_scores(evaluation: Evaluation) -> Figure:
    """Where the scores of the three kinds lie, and the threshold between them."""
    figure, axes = _axes("score", "samples")
    normal, anomalous = (evaluation.test_scores[evaluation.labels == label] for label in (0, 1))
    parts = {"validation normal": evaluation.validation_scores, "test normal": normal, "test anomalous": anomalous}
    edges = np.histogram_bin_edges(np.concatenate(list(parts.values())), bins=30)
    for name, values in parts.items():
        axes.hist(values, bins=edges, alpha=0.5, label=name)
    axes.axvline(evaluation.threshold, color="black", linestyle="--", label="threshold")
    axes.legend()
    return figure


@torch.no_grad()
def draw_reconstructions(model: VAE, samples: NDArray[np.uint8], kind: str) -> Figure:
    """Three rows: samples, their reconstructions at z = mu, and the absolute error per pixel, mean over channels."""
    reconstruction = model.denormalise(model.reconstruct(torch.from_numpy(np.array(samples)))[0]).numpy()
    error = np.abs(reconstruction - samples).mean(1)
    figure = _canvas(INCHES * COLUMNS, INCHES * 3.3)
    axes = figure.subplots(3, COLUMNS, squeeze=False)
    for row, images in enumerate((_pixels(samples), _pixels(reconstruction), error)):
        _fill(axes[row], images)
    bar = figure.colorbar(axes[2][0].images[0], ax=axes[2].tolist(), shrink=0.8)
    bar.set_label("error, 0..255", fontsize=7)
    figure.suptitle(f"{kind} test samples, reconstructions, error", fontsize=9)
    return figure


@torch.no_grad()
def draw_samples(model: VAE) -> Figure:
    """What the decoder makes of 32 draws from the prior, under a fixed seed."""
    generator = torch.Generator().manual_seed(derive(0, "prior samples"))
    z = torch.randn(SAMPLES, model.latent_dim, generator=generator)
    images = _pixels(model.denormalise(model.mean(model.decode(z))).numpy())
    figure = _canvas(INCHES * COLUMNS, INCHES * SAMPLES / COLUMNS)
    _fill(figure.subplots(SAMPLES // COLUMNS, COLUMNS).ravel(), images)
    return figure


def _canvas(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _axes(horizontal: str, vertical: str) -> tuple[Figure, Any]:
    figure = _canvas(5, 4)
    axes = figure.subplots()
    axes.set_xlabel(horizontal)
    axes.set_ylabel(vertical)
    return figure, axes


def _fill(axes: Sequence[Any], images: NDArray[Any]) -> None:
    """Show images, colour [n, H, W, C] in 0..1 or error maps [n, H, W] on one common scale; spare places stay empty."""
    scale = {"vmin": 0, "vmax": max(float(images.max()), 1e-6), "cmap": "magma"} if images.ndim == 3 else {}
    for place in axes:
        place.set_axis_off()
    for place, image in zip(axes, images, strict=False):
        place.imshow(image, interpolation="nearest", **scale)


def _pixels(raw: NDArray[Any]) -> Images:
    """[n, C, H, W] in 0..255 to [n, H, W, 3] in 0..1; a single channel becomes grey."""
    image = np.clip(np.moveaxis(raw.astype(np.float32), 1, -1) / np.float32(WHITE), 0, 1)
    return np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image


def _save(figure: Figure, path: Path) -> Path:
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=DPI))
    return path
