"""Data that fit a specification, and experiments small enough for tests, for whatever family there is."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from manifest_samples import prepared_manifest
from vaeforge.config.experiment import Experiment
from vaeforge.config.layouts import layout_named
from vaeforge.config.loader import load
from vaeforge.data.prepared import Prepared
from vaeforge.samples import Samples
from vaeforge.training.loop import TrainingData
from vaeforge_models.family import Family
from vaeforge_models.vae import DataSpec

SMALL: dict[str, dict[str, Any]] = {
    "endoscopy": {"latent_dim": 5, "width": 4},
    "cilia": {"latent_dim": 4, "width": 0.125, "hidden": [16, 8], "dropout": 0.0},
    "speckle": {"latent_dim": 4, "width": 0.125},
    "fmri": {"latent_dim": 3, "hidden": [16]},
    "lipid": {"latent_dim": 3, "hidden": 8, "heads": 2, "scales": 1, "blocks": 1},  # its graph is quicker to convert
}


def random_samples(family: Family, spec: DataSpec, count: int, seed: int = 0) -> Samples:
    """Values and conditions of the kind that the family's data have; blocky images, correlated vectors."""
    rng = np.random.default_rng(seed)
    condition = rng.normal(size=(count, spec.condition_dim)).astype(np.float32)
    layout = layout_named(family.data)
    if layout.condition_is_class and spec.condition_dim:
        condition = np.eye(spec.condition_dim, dtype=np.float32)[rng.integers(spec.condition_dim, size=count)]
    if layout.picture_modes:
        channels, height, width = spec.event_shape
        coarse = rng.integers(0, 256, (count, channels, height // 8, width // 8))
        return Samples(np.kron(coarse, np.ones((1, 1, 8, 8))).astype(np.uint8), condition)
    size = math.prod(spec.event_shape)
    shared = rng.normal(size=(count, 3)) @ rng.normal(size=(3, size))
    values = shared + 0.3 * rng.normal(size=(count, size))
    return Samples(values.reshape(count, *spec.event_shape).astype(np.float32), condition)


def random_arrays(family: Family, train: int = 23, validation: int = 11, seed: int = 0) -> TrainingData:
    """Training and validation samples of the family's example."""
    spec = family.example
    return TrainingData(
        random_samples(family, spec, train, seed), random_samples(family, spec, validation, seed + 1), spec
    )


def random_prepared(family: Family, folder: Path, train: int = 23, validation: int = 11, test: int = 24) -> Prepared:
    """Prepared data of the family's example, in memory, with twelve groups and labels of two kinds."""
    arrays, samples = random_arrays(family, train, validation), random_samples(family, family.example, test, 7)
    constants = {name: tensor.numpy() for name, tensor in family.example.constants.items()}
    labels, groups = np.arange(test, dtype=np.int64) % 2, np.arange(test, dtype=np.int64) // 2
    return Prepared(
        folder,
        prepared_manifest(family=family.name),
        arrays.train,
        arrays.validation,
        samples,
        labels,
        groups,
        constants,
    )


def small_experiment(family: Family, folder: Path, **overrides: Any) -> Experiment:
    """The family's sample preset, a few steps long; keys are dotted paths with `__` for the dot."""
    short = {"training.epochs": 2, "training.steps_per_epoch": 3, "training.batch_size": 8}
    short |= {"training.evaluation_samples": 2}
    given = {key.replace("__", "."): value for key, value in overrides.items()}
    return load(folder, family.name, None, short | given).experiment


def write_two_classes(root: Path, side: int) -> None:
    """Pictures of `side` pixels in `root`'s data of `endoscopy`, no two alike: 20 normal ones and 8 of polyps."""
    for name, count in (("normal", 20), ("polyps", 8)):
        folder = root / "data/endoscopy" / name
        folder.mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (side, side), (number, count, 0)).save(folder / f"{number}.png")
