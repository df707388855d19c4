"""The anomaly metrics of a model against slow, direct computation."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from vaeforge.config import Experiment
from vaeforge.data.contract import Prepared
from vaeforge.errors import CheckpointError, DataError
from vaeforge.evaluate.anomaly import Evaluation, evaluate_model
from vaeforge.train.loop import Arrays
from vaeforge_models.vae import VAE, initialise

T = 70  # more than one batch


@pytest.fixture
def experiment(make_experiment: Callable[..., Experiment]) -> Experiment:
    return make_experiment(gates={"threshold_quantile": 0.8})


@pytest.fixture
def prepared(tmp_path: Path, make_arrays: Callable[..., Arrays]) -> Prepared:
    arrays = make_arrays()
    rng = np.random.default_rng(5)
    test = rng.integers(0, 256, (T, 3, 32, 32), dtype=np.uint8)
    test[: T // 2] //= 2
    labels = np.repeat([0, 1], T // 2)
    return Prepared(tmp_path, {}, arrays.train, arrays.validation, test, labels, np.arange(T) // 5)


@pytest.fixture
def model(experiment: Experiment) -> VAE:
    """Almost without posterior noise, so that sampling z hardly differs from z = mu."""
    build: Any = experiment.definition.build
    built: Any = initialise(build, experiment.model, (3, 32, 32), seed=0).eval()
    with torch.no_grad():
        built.to_logvar.weight.zero_()
        built.to_logvar.bias.fill_(-12.0)
    return cast(VAE, built)


def reconstructed(model: VAE, samples: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model.reconstruct(torch.from_numpy(samples))[0].numpy().astype(np.float64)


def test_scores_threshold_and_images(model: VAE, prepared: Prepared, experiment: Experiment) -> None:
    found = evaluate_model(model, prepared, experiment)
    validation_errors = (reconstructed(model, prepared.validation) - prepared.validation / 255) ** 2
    test_errors = (reconstructed(model, prepared.test) - prepared.test / 255) ** 2
    np.testing.assert_allclose(found.test_scores, test_errors.reshape(T, -1).mean(1), rtol=1e-4)
    threshold = np.quantile(validation_errors.reshape(len(prepared.validation), -1).mean(1), 0.8)
    assert found.threshold == found.metrics["val/threshold"] == pytest.approx(threshold, rel=1e-4)
    psnr = -10 * np.log10(test_errors.reshape(T, -1).mean(1))
    assert found.metrics["test/psnr_normal"] == pytest.approx(psnr[: T // 2].mean(), rel=1e-4)
    assert found.metrics["test/psnr_anomalous"] == pytest.approx(psnr[T // 2 :].mean(), rel=1e-4)


def test_nelbo_on_test_takes_the_variance_of_validation(model: VAE, prepared: Prepared, experiment: Experiment) -> None:
    found = evaluate_model(model, prepared, experiment).metrics
    dimensions = 3 * 32 * 32
    variance = ((reconstructed(model, prepared.validation) - prepared.validation / 255) ** 2).mean()
    squared = ((reconstructed(model, prepared.test) - prepared.test / 255) ** 2).sum() / T
    with torch.no_grad():
        rate = float(model.encode(model.normalise(torch.from_numpy(prepared.test))).rate().sum(1).mean())
    assert found["test/rate"] == pytest.approx(rate, rel=1e-4)
    expected = dimensions / 2 * math.log(2 * math.pi * variance) + squared / (2 * variance) + rate
    assert found["test/nelbo"] == pytest.approx(expected, rel=1e-3)
    halves = (found["test/nelbo_normal"] + found["test/nelbo_anomalous"]) / 2
    assert found["test/nelbo"] == pytest.approx(halves, rel=1e-4)
    # On validation itself the same formula is the number that models are selected by.
    assert found["val/nelbo"] == pytest.approx(
        dimensions / 2 * (math.log(2 * math.pi * found["val/mse"]) + 1) + found["val/rate"], rel=1e-9
    )


def test_the_test_set_has_no_part_in_the_threshold(model: VAE, prepared: Prepared, experiment: Experiment) -> None:
    def with_test(samples: np.ndarray) -> Evaluation:
        parts = (prepared.train, prepared.validation, samples, prepared.test_labels, prepared.test_groups)
        return evaluate_model(model, Prepared(prepared.folder, {}, *parts), experiment)

    one, other = with_test(prepared.test), with_test(255 - prepared.test)
    assert one.threshold == other.threshold
    assert (one.test_scores != other.test_scores).any()


def test_the_evaluation_comes_again(model: VAE, prepared: Prepared, experiment: Experiment) -> None:
    first, second = (evaluate_model(model, prepared, experiment).metrics for _ in range(2))
    assert first == second
    assert first["test/auroc_low"] <= first["test/auroc"] <= first["test/auroc_high"]
    assert (first["test/blocks_normal"], first["test/blocks_anomalous"]) == (7, 7)
    assert all(isinstance(value, float) and math.isfinite(value) for value in first.values())


def test_a_broken_model_is_refused(model: Any, prepared: Prepared, experiment: Experiment) -> None:
    with torch.no_grad():
        model.from_latent.bias.fill_(math.nan)
    with pytest.raises(CheckpointError, match="70 of 70 samples a score that is not finite"):
        evaluate_model(model, prepared, experiment)


def test_a_test_set_of_normals_only_is_refused(model: VAE, prepared: Prepared, experiment: Experiment) -> None:
    normal = Prepared(
        prepared.folder, {}, prepared.train, prepared.validation, prepared.test, np.zeros(T, np.int64), np.arange(T)
    )
    with pytest.raises(DataError, match="70 normal and 0 anomalous"):
        evaluate_model(model, normal, experiment)
