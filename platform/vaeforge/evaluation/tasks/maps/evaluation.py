"""Evaluation of the maps task: reconstruction of maps over points, and imputation where they were held out.

Where a sample is a point, test points lie in blocks that training has not seen, and imputation predicts them from
their coordinates alone. Where a sample is a whole map, see `whole_maps.py`.

Shapes: P points, T of them held out, C channels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vaeforge.data.missing import mean_of
from vaeforge.evaluation.common_metrics import evaluation_seed, untrained_model
from vaeforge.evaluation.comparison import MODEL, compare_means, model_metrics
from vaeforge.evaluation.distribution_table import distribution_table
from vaeforge.evaluation.extractor import pca_features
from vaeforge.evaluation.images import prior_samples
from vaeforge.evaluation.inference import reconstructions
from vaeforge.evaluation.intervals import POSITIVE, SHARE, mean_over_groups
from vaeforge.evaluation.results import EvaluationResult
from vaeforge.evaluation.tasks.maps.coverage import Coverage, Spread, imputation_coverage, reconstruction_coverage
from vaeforge.evaluation.tasks.maps.figures import draw_coverage, draw_maps
from vaeforge.evaluation.tasks.maps.imputation import (
    at_prior_mean,
    noise_of,
    normalised,
    posterior_draws,
    posterior_spread,
    prior_spread,
)
from vaeforge.evaluation.tasks.maps.spatial import (
    compare_pearson,
    interpolate,
    morans_i,
    neighbours_of,
    outside,
    pearson,
    pearson_over_groups,
    relative_error,
    relative_error_over_groups,
)
from vaeforge.evaluation.tasks.maps.tables import (
    compact,
    in_raw_units,
    spread_in_raw_units,
)
from vaeforge.evaluation.tasks.maps.whole_maps import evaluate_whole_maps
from vaeforge.samples import Samples
from vaeforge.seeds import derive
from vaeforge.trained import TrainedModel
from vaeforge_models.vae import VAE

COMPONENTS = 64
LEAST_GROUPS = 4  # below, two halves of the test blocks say nothing of each other
INTERPOLATION = "k-nearest neighbours"
Floats = NDArray[np.float64]
Values = NDArray[Any]


def evaluate(trained: TrainedModel) -> EvaluationResult:
    """Correlation, relative error, Moran's I, bounds, imputation and honesty of intervals, by channel and over all.

    Metrics without `imputation` are of reconstructions at z = mu; `test/pearson` and `test/imputation_...` are of held
    out points or maps, `..._all` of training ones as well.
    """
    if not trained.prepared.test.condition.shape[1]:
        return evaluate_whole_maps(trained)
    reconstructed, imputed = _reconstruction(trained), _imputation(trained)
    return reconstructed.joined(imputed).joined(_generated(trained))


def channel_names(trained: TrainedModel) -> list[str]:
    """The names of the values of a sample, numbers where the data have none."""
    count = int(np.prod(trained.prepared.event_shape))
    names = trained.prepared.manifest.info.get("channels", [])
    return list(names) if len(names) == count else [f"channel {number}" for number in range(1, count + 1)]


@dataclass(frozen=True)
class _Reconstructed:
    """All points, the T test points first.

    Attributes:
        coordinates: [P, 3].
        truth: [P, C] in raw units; `found` and `latent_sd` (over draws of z from q) likewise.
        spread: of the reconstructions of the test points [T, C], model units.
        noise: [C], model units, see `noise_of`.
        coverage: of the test points.
    """

    coordinates: NDArray[np.float32]
    truth: Floats
    found: Floats
    latent_sd: Floats
    spread: Spread
    noise: Floats
    coverage: Coverage

    def columns(self, low: Values, high: Values) -> dict[str, Floats]:
        """What there is to say of each channel, [C] each; the training values of a channel lie in [low, high]."""
        test, near = slice(0, len(self.spread.mean)), neighbours_of(self.coordinates)
        return {
            "pearson": pearson(self.truth[test], self.found[test]),
            "pearson_all": pearson(self.truth, self.found),
            "relative_error": relative_error(self.truth[test], self.found[test]),
            "relative_error_all": relative_error(self.truth, self.found),
            "morans_i_truth": morans_i(self.truth, near),
            "morans_i_reconstruction": morans_i(self.found, near),
            "bounds_violations": outside(self.found, low, high),
            "latent_sd": self.spread.sd.mean(0),
            "noise_sd": self.noise,
            "coverage_95": mean_of(self.coverage.held),
        }


def _reconstruct(trained: TrainedModel) -> _Reconstructed:
    model, prepared = trained.model, trained.prepared
    points = prepared.test.joined(prepared.validation).joined(prepared.train)
    x, found = reconstructions(model, points)
    spread, count = posterior_spread(model, points), len(prepared.test)
    raw = (in_raw_units(model, x), in_raw_units(model, found), spread_in_raw_units(model, spread.sd))
    at_test = Spread(spread.mean[:count], spread.sd[:count])
    noise = noise_of(model, prepared.validation, each=True)
    covered = reconstruction_coverage(posterior_draws(model, prepared.test), noise)
    return _Reconstructed(points.condition, *raw, spread=at_test, noise=noise, coverage=covered)


def _reconstruction(trained: TrainedModel) -> EvaluationResult:
    prepared, names, done = trained.prepared, channel_names(trained), _reconstruct(trained)
    groups, count = prepared.test_groups, len(prepared.test)
    truth, found = done.truth[:count], done.found[:count]
    columns = done.columns(prepared.constants["minimum"], prepared.constants["maximum"])
    metrics = {f"test/{name}": float(values.mean()) for name, values in columns.items()}
    # of the mean over channels, which varies less than a channel does
    metrics |= pearson_over_groups(truth, found, groups).named("test/pearson")
    metrics |= relative_error_over_groups(truth, found, groups).named("test/relative_error")
    metrics |= mean_over_groups(mean_of(done.coverage.held, 1), groups, SHARE).named("test/coverage_95")
    table = [
        {"channel": name, **{key: float(values[place]) for key, values in columns.items()}}
        | pearson_over_groups(truth[:, [place]], found[:, [place]], groups).line("pearson")
        for place, name in enumerate(names)
    ]
    maps = {"truth": done.truth, "reconstruction": done.found, "latent uncertainty": done.latent_sd}
    figures = draw_maps(done.coordinates, maps | {"absolute error": np.abs(done.found - done.truth)}, names)
    arrays: dict[str, Values] = {"coordinates": done.coordinates, "truth": done.truth, "reconstruction": done.found}
    arrays |= {"latent_sd": done.latent_sd, "held_out": np.arange(len(done.truth)) < count}
    curves = {"coverage": done.coverage.curve}
    return EvaluationResult(metrics, [], curves, {"channels": table}, figures, {"maps": compact(arrays)})


def _imputation(trained: TrainedModel) -> EvaluationResult:
    """Held-out points from their coordinates alone, beside interpolation between training points."""
    model, prepared = trained.model, trained.prepared
    groups, places = prepared.test_groups, prepared.test.condition
    x, train = normalised(model, prepared.test), normalised(model, prepared.train)
    spread, noise = prior_spread(model, places), noise_of(model, prepared.validation, each=True)
    fresh = untrained_model(trained.experiment, prepared)
    found = {
        "training mean": np.broadcast_to(mean_of(train), x.shape),
        INTERPOLATION: interpolate(prepared.train.condition, train, places),
        "untrained VAE": prior_spread(fresh, places).mean,
        "model at the prior mean": at_prior_mean(model, places),
        MODEL: spread.mean,
    }
    errors = {name: mean_of((values - x) ** 2, 1) for name, values in found.items()}
    rows = compare_means("imputation MSE", "lower", errors, groups, POSITIVE)
    varying = {name: values for name, values in found.items() if name != "training mean"}
    rows += compare_pearson("imputation Pearson", x, varying, groups)
    metrics = model_metrics(
        rows, {"imputation MSE": "test/imputation_mse", "imputation Pearson": "test/imputation_pearson"}
    )
    coverage = imputation_coverage(spread, x, noise)
    metrics |= mean_over_groups(mean_of(coverage.held, 1), groups, SHARE).named("test/imputation_coverage_95")
    curves = {"imputation_coverage": coverage.curve}
    table = _imputation_table(channel_names(trained), x, found)
    raw = {name: in_raw_units(model, values) for name, values in (("truth", x), ("imputed", spread.mean))}
    raw["interpolated"] = in_raw_units(model, found[INTERPOLATION])
    total = np.sqrt(spread.sd**2 + noise**2)
    raw["predictive_sd"] = spread_in_raw_units(model, total)
    columns = {name: raw[name] for name in ("truth", "imputed", "interpolated")}
    drawn = draw_maps(places, columns | {"imputation uncertainty": raw["predictive_sd"]}, channel_names(trained))
    figures = {f"imputation_{name.removeprefix('maps_')}": figure for name, figure in drawn.items()}
    figures["coverage"] = draw_coverage({"from coordinates alone": curves["imputation_coverage"]})
    arrays: dict[str, Values] = {"coordinates": places, "groups": groups, **raw}
    return EvaluationResult(metrics, rows, curves, {"imputation": table}, figures, {"imputation": compact(arrays)})


def _filled(model: VAE, x: Floats) -> Floats:
    """Values [N, E] in model units with the training mean in place of missing ones."""
    return model.filled(torch.from_numpy(x)).numpy()


def _imputation_table(names: list[str], x: Floats, found: dict[str, Floats]) -> list[dict[str, str | float]]:
    """A line for each channel and each way of imputing it."""
    return [
        {"channel": name, "method": method, "mse": float(mse), "pearson": float(correlation)}
        for method, values in found.items()
        for name, mse, correlation in zip(names, mean_of((values - x) ** 2), pearson(x, values), strict=True)
    ]


def _generated(trained: TrainedModel) -> EvaluationResult:
    """Samples from the prior at half of the test blocks against the real points of the other half.

    Real against real are the two halves, so the place makes the same difference in every row. Nothing where the test
    has fewer than four groups.
    """
    model, prepared, seed = trained.model, trained.prepared, evaluation_seed(trained.experiment)
    if len(np.unique(prepared.test_groups)) < LEAST_GROUPS:
        return EvaluationResult()
    second = np.unique(prepared.test_groups, return_inverse=True)[1] % 2 == 1  # every other block
    train, x = (_filled(model, normalised(model, part)) for part in (prepared.train, prepared.test))
    extract = pca_features(train, min(COMPONENTS, len(train) - 1, train.shape[1]))
    condition = torch.from_numpy(np.array(prepared.test.condition[second]))

    def made(maker: VAE) -> Floats:
        """Samples at the second half's points, missing what these miss."""
        raw = prior_samples(maker, condition, derive(seed, "prior samples"))
        raw[np.isnan(prepared.test.x[second])] = np.nan
        return _filled(model, normalised(model, Samples(raw, condition.numpy())))

    kinds = {"untrained VAE": made(untrained_model(trained.experiment, prepared)), "prior samples": made(model)}
    features = {name: extract(values, prepared.test_groups[second]) for name, values in kinds.items()}
    real = [extract(x[half], prepared.test_groups[half]) for half in (~second, second)]
    table = distribution_table(real[0], real[1], features, derive(seed, "generated"))
    own = {row.name: row for row in table.rows}["prior samples"]
    metrics = {"test/frechet_prior_pca": own.frechet}
    if own.kid is not None:
        metrics["test/kid_prior_pca"] = own.kid
    return EvaluationResult(metrics, tables={"generated": table.lines()})
