"""What tests share: small synthetic data, and one thread per process, as hosts have."""

import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import numpy as np
import pytest
import torch

from vaeforge.config.experiment import Experiment
from vaeforge.samples import Samples
from vaeforge.train.loop import TrainingData
from vaeforge_models.vae import DataSpec


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def make_arrays() -> Callable[..., TrainingData]:
    """Blocky random images: structure that a small model can learn, in sizes that nothing divides."""

    def make(train: int = 23, validation: int = 11, size: int = 32, margin: int = 16, seed: int = 0) -> TrainingData:
        rng = np.random.default_rng(seed)

        def images(count: int, side: int) -> Any:
            coarse = rng.integers(0, 256, (count, 3, side // 8, side // 8))
            return np.kron(coarse, np.ones((1, 1, 8, 8))).astype(np.uint8)

        spec = DataSpec((3, size, size))
        parts = (images(train, size + margin), images(validation, size))
        return TrainingData(*(Samples.unconditional(part) for part in parts), spec)

    return make


@pytest.fixture
def make_experiment() -> Callable[..., Experiment]:
    """A small endoscopy experiment; sections are merged over it."""

    def make(**sections: Any) -> Experiment:
        base: dict[str, dict[str, Any]] = {
            "model": {"latent_dim": 5, "width": 4},
            "optimizer": {"lr": 1e-3, "clip_norm": 1.0},
            "training": {"epochs": 3, "batch_size": 7, "evaluation_samples": 3},
        }
        for name, section in sections.items():
            base[name] = {**base.get(name, {}), **section} if name != "beta" else section
        return Experiment.model_validate({"family": "endoscopy", **base})

    return make
