"""Maps of which each is one sample: reconstruction of held-out channels, and of parts that are hidden from the model.

Shapes: T held-out maps over P points; the constant coordinates [P, 3]. Missing values (NaN) count in nothing.
"""

from itertools import compress

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.block_split import TEST, divide, grid_blocks
from vaeforge.data.missing import mean_of
from vaeforge.evaluation.common_metrics import evaluation_seed, untrained_model
from vaeforge.evaluation.comparison import MODEL, compare_means, model_metrics
from vaeforge.evaluation.inference import reconstructions
from vaeforge.evaluation.intervals import CORRELATION, POSITIVE, SHARE, mean_over_groups
from vaeforge.evaluation.results import EvaluationResult
from vaeforge.evaluation.tasks.maps.coverage import reconstruction_coverage
from vaeforge.evaluation.tasks.maps.figures import draw_coverage, draw_maps
from vaeforge.evaluation.tasks.maps.imputation import fill_in, noise_of, normalised, posterior_draws, posterior_spread
from vaeforge.evaluation.tasks.maps.spatial import (
    interpolate,
    morans_i,
    neighbours_of,
    outside,
    pearson,
    relative_error,
)
from vaeforge.evaluation.tasks.maps.tables import compact
from vaeforge.seeds import derive
from vaeforge.trained import TrainedModel

HIDDEN = 0.2
BLOCKS = 6
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def evaluate_whole_maps(trained: TrainedModel) -> EvaluationResult:
    """Everything in the units that maps come in, each scaled by itself; intervals over test groups, the channels.

    A map has no condition to be predicted from, so imputation hides a fifth of the blocks of a grid over the points.
    """
    return _reconstruction(trained).joined(_imputation(trained))


def map_names(trained: TrainedModel) -> list[str]:
    """The names of the held-out maps, numbers where the data have none."""
    count = len(trained.prepared.test)
    names = trained.prepared.manifest.info.get("units", {}).get("test", [])
    return list(names) if len(names) == count else [f"map {number}" for number in range(1, count + 1)]


def _coordinates(trained: TrainedModel) -> NDArray[np.float32]:
    return trained.prepared.constants["coordinates"]


def _reconstruction(trained: TrainedModel) -> EvaluationResult:
    model, prepared, names = trained.model, trained.prepared, map_names(trained)
    groups, coordinates = prepared.test_groups, _coordinates(trained)
    x, shown = (values.T for values in reconstructions(model, prepared.test))
    spread, noise = posterior_spread(model, prepared.test), noise_of(model, prepared.validation, each=False)
    coverage = reconstruction_coverage(posterior_draws(model, prepared.test), noise)
    near, held = neighbours_of(coordinates), mean_of(coverage.held, 1)
    columns = {
        "pearson": pearson(x, shown),
        "relative_error": relative_error(x, shown),
        "morans_i_truth": morans_i(x, near),
        "morans_i_reconstruction": morans_i(shown, near),
        "bounds_violations": outside(shown, np.nanmin(x, 0), np.nanmax(x, 0)),
        "latent_sd": spread.sd.mean(1),
        "coverage_95": held,
    }
    metrics = {f"test/{name}": float(values.mean()) for name, values in columns.items()}
    fresh = reconstructions(untrained_model(trained.experiment, prepared), prepared.test)[1].T
    rows = compare_means(
        "Pearson", "higher", {"untrained VAE": pearson(x, fresh), MODEL: columns["pearson"]}, groups, CORRELATION
    )
    metrics |= model_metrics(rows, {"Pearson": "test/pearson"})
    metrics |= mean_over_groups(held, groups, SHARE).named("test/coverage_95")
    table = [
        {"map": name, **{key: float(values[place]) for key, values in columns.items()}}
        for place, name in enumerate(names)
    ]
    drawn = {
        "truth": x,
        "reconstruction": shown,
        "absolute error": np.abs(shown - x),
        "latent uncertainty": spread.sd.T,
    }
    figures = draw_maps(coordinates, drawn, names)
    curves = {"coverage": coverage.curve}
    figures["coverage"] = draw_coverage({"of reconstructions": curves["coverage"]})
    arrays = compact({"coordinates": coordinates, "truth": x, "reconstruction": shown, "latent_sd": spread.sd.T})
    return EvaluationResult(metrics, rows, curves, {"maps": table}, figures, {"maps": arrays})


def hidden_points(coordinates: NDArray[np.float32], seed: int) -> Mask:
    """The points [P] of a random fifth of the blocks of a grid; every fifth point where there are too few blocks."""
    members, names = grid_blocks(coordinates, BLOCKS)
    if len(names) < 3:
        every_fifth: Mask = np.arange(len(coordinates)) % round(1 / HIDDEN) == 0
        return every_fifth
    parts = divide(np.bincount(members, minlength=len(names)), HIDDEN, HIDDEN, derive(seed, "hidden points"))
    hidden: Mask = parts[members] == TEST
    return hidden


def _imputation(trained: TrainedModel) -> EvaluationResult:
    """Hidden points of held-out maps, beside interpolation from the same map's visible points."""
    model, prepared, names = trained.model, trained.prepared, map_names(trained)
    groups, coordinates = prepared.test_groups, _coordinates(trained)
    x, hidden = normalised(model, prepared.test), hidden_points(coordinates, evaluation_seed(trained.experiment))
    # other maps have nothing to compare
    both: Mask = np.asarray(np.isfinite(x[:, hidden]).any(1) & np.isfinite(x[:, ~hidden]).any(1))
    x, groups, names = x[both], groups[both], list(compress(names, both.tolist()))
    visible, truth = x[:, ~hidden], x[:, hidden]
    fresh = untrained_model(trained.experiment, prepared)
    found = {
        "visible mean": np.repeat(mean_of(visible, 1)[:, None], truth.shape[1], axis=1),
        "training mean": np.broadcast_to(mean_of(normalised(model, prepared.train))[hidden], truth.shape),
        "k-nearest neighbours": interpolate(coordinates[~hidden], visible.T, coordinates[hidden]).T,
        "untrained VAE": fill_in(fresh, x, hidden)[:, hidden],
        MODEL: fill_in(model, x, hidden)[:, hidden],
    }
    errors = {name: mean_of((values - truth) ** 2, 1) for name, values in found.items()}
    rows = compare_means("imputation MSE", "lower", errors, groups, POSITIVE)
    alike = {name: pearson(truth.T, values.T) for name, values in found.items() if name != "visible mean"}
    rows += compare_means("imputation Pearson", "higher", alike, groups, CORRELATION)
    metrics = model_metrics(
        rows, {"imputation MSE": "test/imputation_mse", "imputation Pearson": "test/imputation_pearson"}
    )
    metrics["test/hidden_points"] = float(hidden.sum())
    columns = {"truth": truth.T, "imputed": found[MODEL].T, "interpolated": found["k-nearest neighbours"].T}
    drawn = draw_maps(coordinates[hidden], columns, names)
    figures = {f"imputation_{name.removeprefix('maps_')}": figure for name, figure in drawn.items()}
    arrays = {"imputation": compact({"hidden": hidden, **columns})}
    return EvaluationResult(metrics, rows, {}, {}, figures, arrays)
