"""Evaluation of the series task: whether time courses and the relations of voxels hold.

Shapes: N test time points, V voxels, L latent dimensions. Everything is in model units: z-scores of the training data.
Time points resemble their neighbours, so intervals are over blocks of time or over subjects, never over time points.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vaeforge.evaluation.common_metrics import untrained_model
from vaeforge.evaluation.comparison import MODEL, ComparisonRow, compare, model_metrics
from vaeforge.evaluation.generation_metrics import KEYS, Generated, compare_generated, memorised, pca_space
from vaeforge.evaluation.inference import posteriors, reconstructions
from vaeforge.evaluation.intervals import CORRELATION, Range, mean_over_groups
from vaeforge.evaluation.pca_baseline import fit_pca_baseline
from vaeforge.evaluation.results import EvaluationResult
from vaeforge.evaluation.tasks.series.figures import (
    draw_carpets,
    draw_correlations,
    draw_pearson,
    draw_time_courses,
    draw_values,
)
from vaeforge.evaluation.tasks.series.metrics import (
    Folds,
    VoxelFit,
    correlation_matrix,
    distances,
    error_metrics,
    folds_of,
    independent_similarity,
    moments,
    over_folds,
    pattern_of,
    pattern_over_folds,
    pattern_similarity,
    pearson,
    varying,
    voxel_fit,
)
from vaeforge.trained import TrainedModel
from vaeforge_models.diagnostics import ACTIVE_THRESHOLD
from vaeforge_models.vae import VAE

PEARSON, R2, PATTERN = "Pearson per voxel", "R2", "correlation pattern"
METRICS = {PEARSON: "test/pearson_voxel", R2: "test/r2", PATTERN: "test/pattern"}
WITHIN = {PEARSON: CORRELATION, R2: Range(high=1.0)}
REAL, VALIDATION = "real", "real, validation"
Floats = NDArray[np.float64]
Values = NDArray[Any]


def evaluate(trained: TrainedModel) -> EvaluationResult:
    """Correlations, errors, distributions and correlation patterns of reconstructions and of generated samples.

    Voxels that are constant over the test time points have no correlation: they are left out of everything here and
    counted as `test/constant_voxels`.
    """
    done = _reconstruct(trained)
    return _reconstruction(trained, done).joined(_generation(trained, done))


@dataclass(frozen=True)
class _Reconstructed:
    """Test time points, at the voxels that vary among them.

    Attributes:
        kept: which voxels vary, [all voxels].
        truth: [N, V]; `found` are the reconstructions by name, the model's last, missing (NaN) where the truth is.
        folds: of the blocks or subjects.
    """

    kept: NDArray[np.bool_]
    truth: Floats
    found: dict[str, Floats]
    folds: Folds

    @property
    def own(self) -> Floats:
        """The model's reconstructions: [N, V]."""
        return self.found[MODEL]


def _reconstruct(trained: TrainedModel) -> _Reconstructed:
    model, prepared = trained.model, trained.prepared
    truth, own = reconstructions(model, prepared.test)
    untrained = reconstructions(untrained_model(trained.experiment, prepared), prepared.test)[1]
    plane = fit_pca_baseline(model, prepared.train, model.latent_dim)
    found = {"training mean": plane.reconstruct(truth, 0)}
    for components in sorted({_active_units(trained), len(plane.directions)} - {0}):
        if components <= len(plane.directions):
            found[f"PCA {components}"] = plane.reconstruct(truth, components)
    found |= {"untrained VAE": untrained, MODEL: own}
    kept = varying(truth)
    missing = np.isnan(truth)
    if missing.any():
        found = {name: np.where(missing, np.nan, values) for name, values in found.items()}
    found = {name: values[:, kept] for name, values in found.items()}
    return _Reconstructed(kept, truth[:, kept], found, folds_of(prepared.test_groups))


def _active_units(trained: TrainedModel) -> int:
    """As the validation samples tell, like the comparison of squared errors that every family has."""
    mu = posteriors(trained.model, trained.prepared.validation)[0]
    return int((mu.var(0) > ACTIVE_THRESHOLD).sum())


def _reconstruction(trained: TrainedModel, done: _Reconstructed) -> EvaluationResult:
    fits = {name: voxel_fit(done.truth, values, done.folds) for name, values in done.found.items()}
    truth = pattern_of(done.truth, done.folds)
    patterns = {name: pattern_similarity(truth, pattern_of(values, done.folds)) for name, values in done.found.items()}
    rows = _compared(PEARSON, {name: fit.mean_pearson for name, fit in fits.items()}, done.folds)
    rows += _compared(R2, {name: fit.mean_r2 for name, fit in fits.items()}, done.folds)
    rows += compare(PATTERN, "higher", {name: pattern_over_folds((one, done.folds)) for name, one in patterns.items()})
    metrics = model_metrics(rows, METRICS) | _values_metrics(trained, done)
    own = fits[MODEL]
    shown = {name: fit.pearson for name, fit in fits.items() if name.startswith("PCA") or name == MODEL}
    figures = {
        "time_courses": draw_time_courses(done.truth, done.own, own.pearson, trained.prepared.test_groups),
        "pearson_voxels": draw_pearson(shown),
    }
    return EvaluationResult(metrics, rows, tables={"voxels": _voxel_table(done, own)}, figures=figures)


def _compared(metric: str, found: Mapping[str, Floats], folds: Folds) -> list[ComparisonRow]:
    """Statistics [1 + G] of each way of doing it, higher for better."""
    within = WITHIN[metric]
    return compare(metric, "higher", {name: over_folds((one, folds), within=within) for name, one in found.items()})


def _values_metrics(trained: TrainedModel, done: _Reconstructed) -> dict[str, float]:
    """Numbers of all values at once; correlations of each time point's map with an interval over groups."""
    truth, own = done.truth, done.own
    maps, groups = pearson(truth, own), trained.prepared.test_groups
    found = error_metrics(truth, own) | distances(truth, own)
    found |= {f"{name}_reconstruction": value for name, value in moments(own).items()}
    found |= {f"{name}_real": value for name, value in moments(truth).items()}
    found |= {"pearson_overall": float(pearson(truth.reshape(-1), own.reshape(-1)))}
    found |= {"constant_voxels": float((~done.kept).sum()), "blocks": float(len(np.unique(groups)))}
    found |= mean_over_groups(maps, groups, CORRELATION).named("pearson_sample")
    found.pop("mse")  # every family has it, z sampled
    return {f"test/{name}": float(value) for name, value in found.items()}


def _voxel_table(done: _Reconstructed, own: VoxelFit) -> list[dict[str, Any]]:
    """A line for each voxel that varies, by its place among the prepared ones."""
    places = np.flatnonzero(done.kept)
    return [
        {"voxel": int(place), "pearson": float(r), "r2": float(r2)}
        for place, r, r2 in zip(places, own.pearson, own.r2, strict=True)
    ]


def _generation(trained: TrainedModel, done: _Reconstructed) -> EvaluationResult:
    """Prior and diffusion samples: as sets beside real ones, then moments, distributions and correlation patterns."""
    generated = compare_generated(trained, pca_space(trained))
    sets = {name: values.astype(np.float64)[:, done.kept] for name, values in generated.sets.items()}
    validation = reconstructions(trained.model, trained.prepared.validation)[0][:, done.kept]
    table = _generated_table(done, {VALIDATION: validation, **sets})
    matrices = {REAL: done.truth, "reconstruction": done.own, **sets}
    figures = {
        "correlations": draw_correlations({name: correlation_matrix(values) for name, values in matrices.items()}),
        "samples": draw_carpets(matrices),
        "values": draw_values(matrices),
    }
    own = EvaluationResult(_generated_metrics(table), tables={"generated_values": table}, figures=figures)
    arrays = EvaluationResult(arrays={"generated": _raw(trained.model, generated)})
    return generated.result.joined(own).joined(_copies(trained, generated)).joined(arrays)


def _copies(trained: TrainedModel, generated: Generated) -> EvaluationResult:
    """The memorization check with reconstructions of test samples for a yardstick.

    A decoder gives means, without the noise of measured time points, so that whatever it gives lies nearer to the
    training samples than held-out measurements do: beside these, every generated set looks like copies.
    """
    decoded = reconstructions(trained.model, trained.prepared.test)[1].astype(np.float32)
    checks = memorised(trained, generated.sets, decoded, "values, model units; held-out are reconstructions")
    lines = [{"set": name, **asdict(check)} for name, check in checks.items()]
    metrics = {
        f"test/memorisation_decoded_{what}_{KEYS[name]}": check.metrics()[what]
        for name, check in checks.items()
        for what in ("share_closer", "ratio_of_medians")
    }
    return EvaluationResult(metrics, tables={"memorisation_decoded": lines})


def _generated_table(done: _Reconstructed, sets: Mapping[str, Floats]) -> list[dict[str, Any]]:
    """Each set against the test time points; real validation ones show what there is to reach.

    What noise takes from the similarity of patterns is told from the groups of the test and from the set's own samples,
    each of them a group of its own.
    """
    truth = pattern_of(done.truth, done.folds)
    other = -1 - np.arange(max(len(values) for values in sets.values()))  # names that no group of the test has
    lines: list[dict[str, Any]] = [{"set": REAL, "n": len(done.truth), **moments(done.truth)}]
    lines[0] |= dict.fromkeys(("ks", "js", "pattern"), "")
    for name, values in sets.items():
        pattern = pattern_of(values, folds_of(other[: len(values)]))
        first, second = independent_similarity(truth, pattern)
        similarity = pattern_over_folds((first, done.folds), (second, pattern.folds))
        line = {"set": name, "n": len(values), **moments(values), **distances(done.truth, values)}
        lines.append(line | {"pattern": similarity.value})
    return lines


def _generated_metrics(table: list[dict[str, Any]]) -> dict[str, float]:
    """What generated sets are compared by, with `_prior` or `_diffusion` at the end."""
    chosen = [(KEYS[line["set"]], line) for line in table if line["set"] in KEYS]
    names = ("ks", "js", "sd", "skewness", "kurtosis", "pattern")
    metrics = {f"test/{name}_{key}": float(line[name]) for key, line in chosen for name in names}
    real = next(line for line in table if line["set"] == VALIDATION)
    return metrics | {"test/pattern_real": float(real["pattern"])}


@torch.no_grad()
def _raw(model: VAE, generated: Generated) -> dict[str, Values]:
    """The generated sets in the units of the data, all voxels: float32 [n, V]."""
    return {
        KEYS[name]: model.denormalise(torch.from_numpy(values)).numpy().astype(np.float32)
        for name, values in generated.sets.items()
    }
