"""The anomaly metrics of a model, and what is measured of every model, against slow, direct computation."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from manifest_samples import prepared_manifest
from metric_names import undocumented
from vaeforge.config.experiment import Experiment
from vaeforge.data.prepared import Prepared
from vaeforge.errors import CheckpointError, DataError
from vaeforge.evaluation.common_metrics import common_result, untrained_model
from vaeforge.evaluation.results import EvaluationResult
from vaeforge.evaluation.tasks.anomaly.evaluation import baseline_scores, detection_result, evaluate, generated_result
from vaeforge.samples import Samples
from vaeforge.trained import TrainedModel
from vaeforge.training.loop import TrainingData
from vaeforge_models.vae import VAE, DataSpec, build_seeded

T = 70  # more than one batch
BASELINES = ["darkness", "distance to mean", "PCA 1", "PCA 4", "PCA 16", "untrained VAE"]


@pytest.fixture
def experiment(make_experiment: Callable[..., Experiment]) -> Experiment:
    return make_experiment(gates={"threshold_quantile": 0.8})


@pytest.fixture
def prepared(tmp_path: Path, make_arrays: Callable[..., TrainingData]) -> Prepared:
    arrays = make_arrays()
    rng = np.random.default_rng(5)
    test = rng.integers(0, 256, (T, 3, 32, 32), dtype=np.uint8)
    test[: T // 2] //= 2
    labels, groups = np.repeat([0, 1], T // 2), np.arange(T) // 5
    return Prepared(
        tmp_path,
        prepared_manifest(),
        arrays.train,
        arrays.validation,
        Samples.unconditional(test),
        labels,
        groups,
        constants={},
    )


@pytest.fixture
def model(experiment: Experiment) -> VAE:
    """Almost without posterior noise, so that sampling z hardly differs from z = mu."""
    build: Any = experiment.definition.build
    built: Any = build_seeded(build, experiment.model, DataSpec((3, 32, 32)), seed=0).eval()
    with torch.no_grad():
        built.to_logvar.weight.zero_()
        built.to_logvar.bias.fill_(-12.0)
    return cast(VAE, built)


@pytest.fixture
def trained(model: VAE, prepared: Prepared, experiment: Experiment) -> TrainedModel:
    return TrainedModel(model, prepared, experiment)


def everything(trained: TrainedModel) -> EvaluationResult:
    return common_result(trained).joined(detection_result(trained))


def errors(model: VAE, samples: Samples) -> np.ndarray:
    raw, condition = samples.tensors(slice(None))
    with torch.no_grad():
        reconstruction = model.reconstruct(raw, condition)[0].numpy().astype(np.float64)
    return cast(np.ndarray, (reconstruction - samples.x / 255) ** 2)


def test_scores_threshold_and_images(trained: TrainedModel, prepared: Prepared) -> None:
    metrics = detection_result(trained).metrics
    validation, test = errors(trained.model, prepared.validation), errors(trained.model, prepared.test)
    threshold = np.sort(validation.reshape(len(prepared.validation), -1).mean(1))[9]  # ceil(0.8 * 12) = 10 of 11
    assert metrics["val/threshold"] == pytest.approx(threshold, rel=1e-4)
    assert (metrics["val/threshold_quantile"], metrics["val/threshold_rate"]) == (0.8, pytest.approx(2 / 12))
    per_sample = test.reshape(T, -1).mean(1)
    assert metrics["test/score_anomalous"] == pytest.approx(per_sample[T // 2 :].mean(), rel=1e-4)
    called = per_sample > threshold
    assert metrics["test/recall"] == pytest.approx(called[T // 2 :].mean())
    psnr = -10 * np.log10(per_sample)
    assert metrics["test/psnr_normal"] == pytest.approx(psnr[: T // 2].mean(), rel=1e-4)
    assert metrics["test/psnr_anomalous"] == pytest.approx(psnr[T // 2 :].mean(), rel=1e-4)


def test_masks_give_pixel_auroc_of_the_error_maps(trained: TrainedModel, prepared: Prepared) -> None:
    """The upper half of each anomalous image is marked; errors and areas by NumPy and scikit-learn."""
    masks = np.zeros((T, 32, 32), dtype=np.uint8)
    masks[T // 2 :, :16] = 1
    masks[-1] = 255
    marked = replace(trained, prepared=replace(prepared, test_masks=masks))
    found, maps = detection_result(marked).metrics, errors(trained.model, prepared.test).mean(1)
    known = masks < 2
    assert found["test/pixel_auroc"] == pytest.approx(roc_auc_score(masks[known], maps[known]), abs=1e-4)
    assert 0 < found["test/pro"] < 1
    assert "test/pro" not in detection_result(trained).metrics


@pytest.mark.slow
def test_nelbo_on_test_takes_the_variance_of_validation(trained: TrainedModel, prepared: Prepared) -> None:
    found, model = everything(trained).metrics, trained.model
    dimensions = 3 * 32 * 32
    variance = errors(model, prepared.validation).mean()
    squared = errors(model, prepared.test).sum() / T
    raw, condition = prepared.test.tensors(slice(None))
    with torch.no_grad():
        rate = float(model.encode(model.normalise(raw), condition).rate().sum(1).mean())
    assert found["test/rate"] == pytest.approx(rate, rel=1e-4)
    expected = dimensions / 2 * math.log(2 * math.pi * variance) + squared / (2 * variance) + rate
    assert found["test/nelbo"] == pytest.approx(expected, rel=1e-3)
    halves = (found["test/nelbo_normal"] + found["test/nelbo_anomalous"]) / 2
    assert found["test/nelbo"] == pytest.approx(halves, rel=1e-4)
    # On validation itself the same formula is the number that models are selected by.
    assert found["val/nelbo"] == pytest.approx(
        dimensions / 2 * (math.log(2 * math.pi * found["val/mse"]) + 1) + found["val/rate"], rel=1e-9
    )


@pytest.mark.slow
def test_the_test_set_has_no_part_in_the_threshold(trained: TrainedModel, prepared: Prepared) -> None:
    inverted = replace(prepared, test=Samples.unconditional(255 - prepared.test.x))
    one, other = (detection_result(replace(trained, prepared=p)).metrics for p in (prepared, inverted))
    assert one["val/threshold"] == other["val/threshold"]
    assert one["test/score_normal"] != other["test/score_normal"]


@pytest.mark.slow
def test_the_evaluation_comes_again(trained: TrainedModel) -> None:
    first, second = (everything(trained).metrics for _ in range(2))
    assert first == second
    assert first["test/auroc_low"] <= first["test/auroc"] <= first["test/auroc_high"]
    assert (first["test/blocks_normal"], first["test/blocks_anomalous"]) == (7, 7)
    assert all(isinstance(value, float) and math.isfinite(value) for value in first.values())


def test_the_chosen_score_decides_and_all_are_listed(
    trained: TrainedModel, make_experiment: Callable[..., Experiment]
) -> None:
    experiment = make_experiment(gates={"threshold_quantile": 0.8}, model={"score": "rate"})
    other = untrained_model(experiment, trained.prepared)
    found = detection_result(TrainedModel(other, trained.prepared, experiment))
    table = {line["score"]: line for line in found.tables["scores"]}
    assert [name for name, line in table.items() if line["chosen"] == "yes"] == ["rate"]
    for end in ("", "_low", "_high"):
        assert found.metrics[f"test/auroc{end}"] == table["rate"][f"auroc{end}"]
        assert found.metrics[f"test/auprc{end}"] == table["rate"][f"auprc{end}"]
    rates = found.arrays["scores"]["rate"]
    assert found.metrics["test/recall"] == (rates[T // 2 :] > found.metrics["val/threshold"]).mean()
    assert found.metrics["test/recall_low"] <= found.metrics["test/recall"] <= found.metrics["test/recall_high"]
    by_name = {row.name: row.value for row in found.rows}
    assert by_name["model"] == pytest.approx(table["rate"]["auroc"])


@pytest.mark.slow
def test_everything_is_found_and_drawn(trained: TrainedModel) -> None:
    found = evaluate(trained)
    assert {"scores", "generated", "inception_style", "memorisation"} <= set(found.tables)
    drawn = {"roc", "pr", "scores", "score_areas", "samples", "interpolation", "error_maps"}
    assert set(found.figures) == drawn | {"reconstructions_normal", "reconstructions_anomalous"}
    assert found.arrays["scores"]["labels"].sum() == T // 2
    prior, real = found.tables["inception_style"]
    assert (prior["n"], prior["classifier"]) == (real["n"], "EfficientNet-Lite0")
    assert found.metrics["test/inception_style_real"] >= 1
    assert any(line["name"] == "real against real" for line in found.tables["generated"])


@pytest.mark.slow
def test_prior_samples_are_compared_with_normals_alone(trained: TrainedModel, prepared: Prepared) -> None:
    changed = np.array(prepared.test.x)
    changed[prepared.test_labels == 1] //= 3
    other = replace(trained, prepared=replace(prepared, test=Samples.unconditional(changed)))
    assert generated_result(trained).metrics == generated_result(other).metrics


def test_a_broken_model_is_refused(trained: TrainedModel) -> None:
    model: Any = trained.model
    with torch.no_grad():
        model.from_latent.bias.fill_(math.nan)
    with pytest.raises(CheckpointError, match="70 of 70 samples a score that is not finite"):
        evaluate(trained)


@pytest.mark.slow
def test_normal_samples_alone_give_no_number_that_needs_anomalous_ones(
    trained: TrainedModel, prepared: Prepared
) -> None:
    """The threshold is that of `test_scores_threshold_and_images`; masks that mark normal images are not looked at."""
    half = T // 2
    normal = replace(
        prepared,
        test=prepared.test[:half],
        test_labels=prepared.test_labels[:half],
        test_groups=prepared.test_groups[:half],
        test_masks=np.ones((half, 32, 32), dtype=np.uint8),
    )
    found = everything(replace(trained, prepared=normal)).joined(evaluate(replace(trained, prepared=normal)))
    missing = ("auroc", "auprc", "pro", "f1", "accuracy", "precision", "recall", "anomalous")
    named = [*found.metrics, *found.curves, *found.tables, *found.figures, *(row.metric for row in found.rows)]
    forbidden = {name for name in named if any(part in name.lower().replace("/", "_").split("_") for part in missing)}
    assert forbidden == {"test/count_anomalous", "test/blocks_anomalous"}
    assert {"roc", "pr", "score_areas"}.isdisjoint({*found.figures, *found.curves})
    assert (found.metrics["test/count_anomalous"], found.metrics["test/blocks_anomalous"]) == (0, 0)
    per_sample = [
        errors(trained.model, part).reshape(len(part), -1).mean(1) for part in (normal.validation, normal.test)
    ]
    threshold = np.sort(per_sample[0])[9]
    assert found.metrics["val/threshold"] == pytest.approx(threshold, rel=1e-4)
    assert found.metrics["test/false_positive_rate"] == pytest.approx((per_sample[1] > threshold).mean())
    assert all(math.isfinite(value) for value in found.metrics.values())
    assert undocumented(found.metrics) == []


def test_a_test_set_of_anomalous_samples_only_is_refused(trained: TrainedModel, prepared: Prepared) -> None:
    anomalous = replace(prepared, test_labels=np.ones(T, np.int64), test_groups=np.arange(T))
    with pytest.raises(DataError, match="0 normal and 70 anomalous"):
        evaluate(replace(trained, prepared=anomalous))


def test_baseline_scores_find_what_they_look_for(trained: TrainedModel, prepared: Prepared) -> None:
    bright = prepared.validation.x
    test = np.concatenate([bright, (bright // 8).astype(np.uint8)])
    labels = np.repeat([0, 1], len(bright))
    changed = replace(prepared, test=Samples.unconditional(test), test_labels=labels, test_groups=np.arange(len(test)))
    scored = baseline_scores(replace(trained, prepared=changed))
    assert list(scored) == BASELINES
    assert all(values.shape == (len(test),) and np.isfinite(values).all() for values in scored.values())
    assert scored["darkness"][labels == 1].min() > scored["darkness"][labels == 0].max()
    np.testing.assert_allclose(scored["darkness"], 1 - test.reshape(len(test), -1).mean(1) / 255)


def test_every_model_is_compared_by_reconstruction(trained: TrainedModel, prepared: Prepared) -> None:
    rows = {row.name: row for row in common_result(trained).rows}
    assert [*rows] == ["training mean", "PCA 5", "untrained VAE", "model"]
    assert rows["model"].value == pytest.approx(errors(trained.model, prepared.test).mean(), rel=1e-4)
    assert not rows["untrained VAE"].model_beats  # these weights are hardly other than untrained ones
