"""What a validation metric and a test metric promise, tried on two that some other package brings."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from outside import install_metadata
from samples import random_arrays, random_prepared, small_experiment
from vaeforge.config.experiment import family_named
from vaeforge.errors import ConfigError
from vaeforge.evaluation.common_metrics import common_result
from vaeforge.evaluation.metric import METRICS as TEST_METRICS
from vaeforge.trained import TrainedModel
from vaeforge.training.loop import fit
from vaeforge.training.validation_metric import METRICS, validation_metrics
from vaeforge_models.vae import build_seeded

FAMILY = family_named("fmri")
HALVES = (slice(0, 5), slice(5, None))
CODE = """
import torch
from vaeforge.evaluation.metric import EvaluationMetric
from vaeforge.evaluation.results import EvaluationResult
from vaeforge.training.validation_metric import ValidationMetric


class LatentSize(ValidationMetric):
    name = "val/latent_size"

    def size(self, model):
        return 1

    def sums(self, model, x, posterior):
        return posterior.mu.double().square().sum().reshape(1)

    def value(self, sums, count):
        return float(sums[0]) / count


class Count(EvaluationMetric):
    def measure(self, trained):
        return EvaluationResult({NAME: float(len(trained.prepared.test))})


NAME = "test/my_count"
VALIDATION, TEST = LatentSize(), Count()
"""
ENTRY_POINTS = """
[vaeforge.validation_metrics]
latent_size = my_metrics:VALIDATION
[vaeforge.evaluation_metrics]
my_count = my_metrics:TEST
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """As pip would install it: a module and its metadata."""
    folder = tmp_path / "package"
    install_metadata(folder, "my_metrics", ENTRY_POINTS)
    (folder / "my_metrics.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "my_metrics", raising=False)
    validation_metrics.cache_clear()
    yield folder
    validation_metrics.cache_clear()


@pytest.mark.parametrize("name", METRICS.names())
def test_a_validation_metric_adds_up(name: str, tmp_path: Path) -> None:
    """The sums of two halves are those of the whole, so that ranks may share the samples."""
    metric, experiment = METRICS.named(name), small_experiment(FAMILY, tmp_path)
    model = build_seeded(FAMILY.build, experiment.model, FAMILY.example, seed=0).eval()
    raw, condition = random_arrays(FAMILY).validation.tensors(slice(None))
    x = model.normalise(raw)
    posterior = model.encode(x, condition)
    whole = metric.sums(model, x, posterior)
    parts = [
        metric.sums(model, x[half], type(posterior)(posterior.mu[half], posterior.logvar[half])) for half in HALVES
    ]
    assert whole.dtype == torch.float64 and whole.shape == (metric.size(model),)
    torch.testing.assert_close(parts[0] + parts[1], whole)
    assert isinstance(metric.value(whole, len(x)), float)


def test_a_validation_metric_from_outside_is_in_every_epoch(package: Path, tmp_path: Path) -> None:
    experiment, arrays = small_experiment(FAMILY, tmp_path), random_arrays(FAMILY)
    (*_, last) = fit(experiment, arrays, folder=tmp_path / "checkpoints")
    assert last.checkpoint is not None
    model = build_seeded(FAMILY.build, experiment.model, FAMILY.example, seed=0)
    model.load_state_dict(torch.load(last.checkpoint.file, weights_only=True)["model"])
    raw, condition = arrays.validation.tensors(slice(None))
    with torch.no_grad():
        mu = model.eval().encode(model.normalise(raw), condition).mu
    assert last.metrics["val/latent_size"] == pytest.approx(float(mu.double().square().sum(1).mean()), rel=1e-5)
    assert "val/active_units" in last.metrics


def test_a_test_metric_from_outside_is_measured_of_every_model(package: Path, tmp_path: Path) -> None:
    assert "my_count" in TEST_METRICS.names()
    trained = _trained(tmp_path)
    metrics = common_result(trained).metrics
    assert metrics["test/my_count"] == len(trained.prepared.test)
    assert np.isfinite(metrics["test/mutual_information"])


@pytest.mark.parametrize("name", ["test/mse", "my_count"])
def test_a_test_metric_may_not_overwrite_another(package: Path, tmp_path: Path, name: str) -> None:
    (package / "my_metrics.py").write_text(CODE.replace("test/my_count", name))
    with pytest.raises(ConfigError, match=f"'my_count': gave {name}"):
        common_result(_trained(tmp_path))


def test_a_validation_metric_must_be_called_so(package: Path) -> None:
    (package / "my_metrics.py").write_text(CODE.replace("val/latent_size", "val/active_units"))
    with pytest.raises(ConfigError, match="each there once"):
        validation_metrics()


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("mutual_information = my_metrics:TEST", "'mutual_information': is there 2 times"),
        ("my_count = my_metrics:ABSENT", "my_count = my_metrics:ABSENT .*cannot be imported"),
        ("my_count = my_metrics:VALIDATION", "'my_count': is a LatentSize, must be a EvaluationMetric"),
    ],
)
def test_a_plugin_that_cannot_be_one_is_refused(package: Path, entry: str, said: str) -> None:
    (package / "my_metrics-1.0.dist-info/entry_points.txt").write_text(f"[vaeforge.evaluation_metrics]\n{entry}\n")
    with pytest.raises(ConfigError, match=said):
        TEST_METRICS.named(entry.split(" ")[0])


def _trained(folder: Path) -> TrainedModel:
    experiment = small_experiment(FAMILY, folder)
    model = build_seeded(FAMILY.build, experiment.model, FAMILY.example, seed=0).eval()
    return TrainedModel(model, random_prepared(FAMILY, folder), experiment)
