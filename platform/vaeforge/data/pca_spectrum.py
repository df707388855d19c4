"""PCA spectrum of the training data: variance along the principal axes, and the beta that lets a linear VAE keep it.

What a condition explains linearly (class means, trends along coordinates) is taken off first: a conditional decoder
gets it for nothing, so it can keep no latent unit alive.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from vaeforge.config.experiment import Experiment
from vaeforge.data.large_arrays import blocks_of, chosen_columns, extremes, give_back, room
from vaeforge.data.prepared import PcaSpectrum, spec_of
from vaeforge.errors import DataError
from vaeforge.samples import DataSet, evenly_spaced
from vaeforge.training.batches import centre_crop
from vaeforge.training.loop import untrained
from vaeforge_models.diagnostics import predicted_active_units, predicted_active_units_calibrated

SAMPLES = 2048
KEPT = 512
STEP = 64  # samples that are normalised at once
COLUMNS = 1024  # that are in float64 at once
BERNOULLI_CLIP = 0.02
BETAS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
Floats = NDArray[np.float32]


@torch.no_grad()
def spectrum_of(data: DataSet, experiment: Experiment) -> PcaSpectrum:
    """The largest eigenvalues of the training data's covariance: at most 512, of at most 2048 samples.

    A family compares `beta` with one of the two spectra, see `vaeforge_models.diagnostics`.
    """
    model = untrained(experiment, spec_of(data.validation, data.constants))
    chosen = evenly_spaced(len(data.train), SAMPLES)
    values = room((len(chosen), int(np.prod(model.event_shape))), np.float32)
    for start in range(0, len(chosen), STEP):
        raw, _ = data.train.tensors(chosen[start : start + STEP])
        give_back(data.train.stored)
        values[start : start + STEP] = model.filled(model.normalise(centre_crop(raw, model.event_shape))).flatten(1)
        give_back(values)
    condition = data.train.condition[chosen]
    total, eigenvalues = _decomposed(values, condition, lambda block, columns: block)
    low, high = extremes(values)
    if low.min() < 0 or high.max() > 1:
        return PcaSpectrum(values.shape[1], total, eigenvalues)
    mean = _mean(values).clip(BERNOULLI_CLIP, 1 - BERNOULLI_CLIP)

    def whitened(block: Floats, columns: slice) -> Floats:
        own = mean[columns]
        made: Floats = (block - own) / np.sqrt(own * (1 - own))
        return made

    return PcaSpectrum(values.shape[1], total, eigenvalues, _decomposed(values, condition, whitened)[1])


def _mean(values: Floats) -> Floats:
    """The mean of `values` [N, D] over samples, to the last bit as NumPy has it, some rows in memory at a time."""
    total: Floats = np.zeros(values.shape[1], np.float32)
    for _, block in blocks_of(values):
        total = np.add.reduce(np.concatenate([total[None], block]))
    mean: Floats = np.asarray(total / len(values), np.float32)
    return mean


def _explained(condition: Floats) -> NDArray[np.float64]:
    """An orthonormal basis [N, R] of what conditions [N, C] and a constant explain linearly."""
    predictors = np.column_stack([np.ones(len(condition)), condition]).astype(np.float64)
    left, sizes, _ = np.linalg.svd(predictors, full_matrices=False)
    least = sizes[0] * max(predictors.shape) * np.finfo(np.float64).eps
    return np.ascontiguousarray(left[:, sizes > least])


def _residual(values: Floats, explained: NDArray[np.float64]) -> NDArray[np.float64]:
    """What of `values` [N, D] is not explained."""
    residual = values.astype(np.float64)
    residual -= explained @ (explained.T @ residual)
    return residual


def _decomposed(
    values: Floats, condition: Floats, made: Callable[[Floats, slice], Floats]
) -> tuple[float, tuple[float, ...]]:
    """All variance, and the largest eigenvalues, of what `made` makes of blocks of columns of `values` [N, D].

    Eigenvalues are those of the smaller of [N, N] and [D, D]; of the former, a block of columns at a time is in memory
    as float64.
    """
    (count, dimensions), explained = values.shape, _explained(condition)
    blocks = [slice(start, start + COLUMNS) for start in range(0, dimensions, COLUMNS)]
    residuals = (_residual(made(chosen_columns(values, columns), columns), explained) for columns in blocks)
    if dimensions > count:
        total, gram = 0.0, np.zeros((count, count))
        for residual in residuals:
            total += float(np.square(residual).sum())
            gram += residual @ residual.T
            give_back(values)
    else:
        whole = np.concatenate(list(residuals), axis=1)
        total, gram = float(np.square(whole).sum()), whole.T @ whole
    return total / count, tuple(np.linalg.eigvalsh(gram / count)[::-1][:KEPT].clip(min=0).tolist())


def likelihood_of(experiment: Experiment) -> str:
    """Which of the spectra beta is compared with: that of the training likelihood."""
    return str(getattr(experiment.model, "likelihood", "squared_error"))


def predicted(spectrum: PcaSpectrum, likelihood: str, beta: float) -> int:
    """How many units a linear VAE keeps under `beta`.

    sigma^2 is beta / 2 for a summed squared error, beta D / 2 for a mean one, beta for Bernoulli; for a calibrated one
    see `predicted_active_units_calibrated`.
    """
    eigenvalues = _chosen(spectrum, likelihood)
    if likelihood == "calibrated":
        return predicted_active_units_calibrated(eigenvalues, spectrum.total, spectrum.dimensions, beta)
    return predicted_active_units(eigenvalues, beta * _variance_per_beta(spectrum, likelihood))


def collapse_beta(spectrum: PcaSpectrum, likelihood: str) -> float:
    """The beta from which on a linear VAE keeps no unit."""
    return float(max(_chosen(spectrum, likelihood), default=0.0) / _variance_per_beta(spectrum, likelihood))


def _variance_per_beta(spectrum: PcaSpectrum, likelihood: str) -> float:
    """sigma^2 / beta of a model that has collapsed."""
    dimensions = spectrum.dimensions
    calibrated = spectrum.total / dimensions
    return float(
        {"bernoulli": 1.0, "mean_squared_error": dimensions / 2, "calibrated": calibrated}.get(likelihood, 0.5)
    )


def _chosen(spectrum: PcaSpectrum, likelihood: str) -> tuple[float, ...]:
    """Raises DataError where the likelihood is Bernoulli's and the data do not lie in [0, 1]."""
    if likelihood != "bernoulli":
        return spectrum.squared_error
    if spectrum.bernoulli is None:
        raise DataError("spectrum: the likelihood is bernoulli, but the training data do not lie in [0, 1]")
    return spectrum.bernoulli


def describe(spectrum: PcaSpectrum, likelihood: str) -> str:
    """One line for a person: predicted active units over beta, and where the last one dies."""
    counts = ", ".join(f"beta {beta:g} -> {predicted(spectrum, likelihood, beta)}" for beta in BETAS)
    return (
        f"expected active units (linear theory, {likelihood}): {counts}; "
        f"all collapse above beta {collapse_beta(spectrum, likelihood):.3g}"
    )
