"""Generated sets beside real ones: what they are made of, what they are compared with, and the intervals."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from manifest_samples import prepared_manifest
from vaeforge.config.experiment import Experiment
from vaeforge.config.loader import load
from vaeforge.data.prepared import Prepared
from vaeforge.evaluation import generation_metrics
from vaeforge.evaluation.comparison import MODEL, REAL
from vaeforge.evaluation.extractor import Features
from vaeforge.evaluation.generation_metrics import (
    DIFFUSION,
    MEAN,
    PRIOR,
    UNTRAINED,
    FeatureSpace,
    compare_generated,
    generate,
    image_space,
    memorised,
    pca_space,
)
from vaeforge.samples import Samples
from vaeforge.trained import TrainedModel, patterns_of
from vaeforge_models.diffusion import DiffusionSettings, LatentDiffusion
from vaeforge_models.vae import build_seeded

GROUPS = 20


def images(count: int, seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Smooth random images: sums of a few waves, [count, 1, 16, 16]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:16, :16] / 16
    waves = np.stack([np.sin(2 * np.pi * (a * x + b * y) + a) for a in range(3) for b in range(3)])
    mixed = np.tensordot(rng.normal(size=(count, 9)), waves, 1)[:, None]
    return np.asarray((128 + 25 * mixed).clip(0, 255).astype(np.uint8))


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    overrides = {"model.latent_dim": 4, "model.width": 0.0625, "prepare.size": 16}
    return load(tmp_path, "speckle", "sample", overrides).experiment


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    train, validation, test = (Samples.unconditional(images(n, seed)) for seed, n in enumerate((60, 30, 80)))
    groups = np.repeat(np.arange(GROUPS), 4)
    return Prepared(tmp_path, prepared_manifest(), train, validation, test, np.zeros(80, np.int64), groups, {})


@pytest.fixture
def trained(experiment: Experiment, prepared: Prepared) -> TrainedModel:
    model = build_seeded(experiment.definition.build, experiment.model, prepared.spec, seed=3).eval()
    return TrainedModel(model, prepared, experiment)


def diffusion(conditional: bool) -> LatentDiffusion:
    settings = DiffusionSettings(kind="conv", width=0.125, timesteps=50, sampling_steps=5, conditional=conditional)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LatentDiffusion(settings, 4).eval()


@pytest.fixture(params=[False, True], ids=["free", "conditional"])
def diffused(request: pytest.FixtureRequest, trained: TrainedModel) -> Iterator[TrainedModel]:
    yield replace(trained, diffusion=diffusion(request.param))


def test_a_family_without_diffusion_is_compared_by_its_prior_samples(trained: TrainedModel) -> None:
    found = compare_generated(trained, pca_space(trained))
    names = {row.name for row in found.result.rows}
    assert names == {REAL, MEAN, UNTRAINED, MODEL}
    assert set(found.sets) == {PRIOR}
    assert found.sets[PRIOR].shape == (40, 1, 16, 16)  # half of 80 test samples
    assert all(row.metric.startswith("KID (PCA-59 of train) of prior") for row in found.result.rows)
    assert not any("diffusion" in key for key in found.result.metrics)


@pytest.mark.slow
def test_diffusion_is_compared_with_the_prior(diffused: TrainedModel) -> None:
    found = compare_generated(diffused, pca_space(diffused), count=24)
    rows, metrics = {row.name: row for row in found.result.rows}, found.result.metrics
    assert set(rows) == {REAL, MEAN, UNTRAINED, PRIOR, MODEL}
    gain = metrics["test/kid_diffusion_less_prior"]
    assert gain == rows[PRIOR].difference
    assert gain == rows[MODEL].value - rows[PRIOR].value
    printed = {line["name"]: line["kid"] for line in found.result.tables["generated"]}
    assert printed[PRIOR] == rows[PRIOR].value == metrics["test/kid_prior"]
    assert metrics["test/kid_diffusion_less_prior_low"] < gain < metrics["test/kid_diffusion_less_prior_high"]
    assert set(found.sets) == {PRIOR, DIFFUSION}
    assert [line["set"] for line in found.result.tables["memorisation"]] == [PRIOR, DIFFUSION]
    assert {line["n"] for line in found.result.tables["generated"]} == {24}


def test_it_comes_again(diffused: TrainedModel) -> None:
    first, second = (compare_generated(diffused, pca_space(diffused), count=16).result for _ in range(2))
    assert first.metrics == second.metrics
    assert first.rows == second.rows


def test_a_conditional_model_sees_the_patterns_of_the_control_samples(trained: TrainedModel) -> None:
    seen: list[torch.Tensor] = []

    class Recording(LatentDiffusion):
        def sample(self, *arguments: Any, condition: torch.Tensor | None = None, **options: Any) -> torch.Tensor:
            assert condition is not None
            seen.append(condition)
            return torch.zeros(len(condition), 4)

    settings = DiffusionSettings(kind="conv", width=0.125, timesteps=50, sampling_steps=5, conditional=True)
    found = compare_generated(replace(trained, diffusion=Recording(settings, 4)), pca_space(trained), count=10)
    raw = found.control.tensors(slice(None))[0]
    torch.testing.assert_close(seen[0], patterns_of(raw.float() / 255))
    assert seen[0].shape == (10, 1, 4, 4)


def test_no_set_is_told_about_the_samples_it_is_compared_with(trained: TrainedModel) -> None:
    seen: list[np.ndarray[Any, Any]] = []

    def extract(values: np.ndarray[Any, Any], groups: np.ndarray[Any, Any]) -> Features:
        seen.append(groups)
        return Features(values.reshape(len(values), -1), groups, "values", "none")

    compare_generated(trained, FeatureSpace(extract))
    reference, control = seen[-2:]
    assert len(reference) == len(control) == 40
    assert not set(reference) & set(control)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_with_few_test_groups_validation_is_the_control(trained: TrainedModel, prepared: Prepared, count: int) -> None:
    alone = replace(prepared, test_groups=np.arange(80) % count)
    found = compare_generated(replace(trained, prepared=alone), pca_space(trained), count=12)
    validation = {image.tobytes() for image in prepared.validation.x}
    assert {image.tobytes() for image in found.control.x} <= validation
    # one group holds no two independent samples: no KID; without one of two there is one left
    assert [row.name for row in found.result.rows] == [REAL, MEAN, UNTRAINED, MODEL][count == 1 :]
    assert ("test/kid_real" in found.result.metrics) is (count > 1) and "test/frechet_real" in found.result.metrics
    if count < 3:
        assert all(row.low is None and not row.model_beats for row in found.result.rows)


def test_copies_of_training_samples_are_found_wherever_they_lie(trained: TrainedModel, monkeypatch: Any) -> None:
    monkeypatch.setattr(generation_metrics, "TRAIN_AT_ONCE", 7)  # 60 training samples in nine parts
    train, test = (part.x.astype(np.float32) / 255 for part in (trained.prepared.train, trained.prepared.test))
    fresh = images(50, 9).astype(np.float32) / 255
    found = memorised(trained, {"copied": train[[0, 13, 59]], "fresh": fresh}, test, "pixels")
    assert found["copied"].share_copies == 1.0
    assert found["fresh"].share_copies == 0.0
    assert found["fresh"].train == 60
    assert 0.8 < found["fresh"].ratio_of_medians < 1.25


def test_all_sets_come_from_the_same_conditions_and_prior_draws(trained: TrainedModel) -> None:
    made = generate(trained, trained.prepared.test[:9], seed=4)
    assert set(made) == {MEAN, UNTRAINED, PRIOR}
    assert all(values.shape == (9, 1, 16, 16) and values.dtype == np.float32 for values in made.values())
    expected = trained.prepared.train.x.astype(np.float64).mean(0) / 255
    np.testing.assert_allclose(made[MEAN], np.broadcast_to(expected, (9, 1, 16, 16)), atol=1e-6)
    assert not np.allclose(made[UNTRAINED], made[PRIOR])


def test_images_are_seen_in_eight_bits(trained: TrainedModel) -> None:
    space = image_space(trained.model)
    values = trained.prepared.test.x[:3].astype(np.float32) / 255
    exact, moved = (space.extract(values + shift, np.arange(3)).values for shift in (0.0, 0.4 / 255))
    np.testing.assert_array_equal(exact, moved)
    assert exact.shape == (3, 1280)
    assert space.extract(values, np.arange(3)).extractor == "EfficientNet-Lite0"
