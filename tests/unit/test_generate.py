"""The generate step: latents by source, files, the check for copies, and what is refused."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from manifest_samples import model_manifest
from vaeforge.config.loader import load
from vaeforge.data.prepare import prepare
from vaeforge.data.resize import fit_square as square
from vaeforge.errors import ConfigError, DataError
from vaeforge.evaluation.latent_posteriors import LatentLibrary
from vaeforge.generate.latents import SOURCES, draw
from vaeforge.generate.manifest import GenerationManifest
from vaeforge.generate.request import GenerateRequest
from vaeforge.generate.step import generate_run, reshaped
from vaeforge.manifests.trained_model import TrainedModelManifest
from vaeforge.paths import Project, sha256_of
from vaeforge.training.checkpoint import save
from vaeforge.training.loop import untrained

CLASSES = ("flat", "tall")
Run = Callable[..., GenerationManifest]


def library() -> LatentLibrary:
    rng = np.random.default_rng(0)
    return LatentLibrary(rng.normal(size=(9, 3)), np.full((9, 3), 0.01), np.array([0, 1, 0, 1, 0, 1, 0, 1, 0]))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, TrainedModelManifest]:
    """A project with images of two classes, 40 x 20 and 20 x 40, and an untrained model."""
    root = tmp_path_factory.mktemp("project")
    rng = np.random.default_rng(0)
    for name, shape in zip(CLASSES, [(20, 40), (40, 20)], strict=True):
        (root / "data/cilia" / name).mkdir(parents=True)
        for number in range(20):
            values = rng.integers(0, 256, shape, dtype=np.uint8)
            Image.fromarray(values).save(root / "data/cilia" / name / f"{name}_{number}.png")
    experiment = load(root, "cilia", None, {"model.width": 0.125}).experiment
    prepared = prepare(Project(root), experiment)
    built = untrained(experiment, prepared.spec)
    state = {"epoch": 1, "model": built.state_dict(), "descent": {}, "plateau": {}, "selection": {}, "best": None}
    saved = save(root / "best.pt", state, 1)
    model_json = {
        "family": "cilia",
        "experiment": experiment.model_dump(mode="json"),
        "data_identity": prepared.manifest.data_identity,
        "checkpoint": {"path": "best.pt", "sha256": saved.sha256, "epoch": 1},
    }
    return Project(root), model_manifest(**model_json)


@pytest.fixture
def run(made: tuple[Project, TrainedModelManifest]) -> Run:
    return lambda folder, **asked: generate_run(*made, GenerateRequest(**asked), folder)


def test_files_latents_check_and_manifest(run: Run, tmp_path: Path) -> None:
    manifest = run(tmp_path / "out", count=3, seed=1)
    folder = tmp_path / "out"
    assert json.loads((folder / "manifest.json").read_text())["files"] == manifest.files
    images = [f"images/{name}/{name}_{number:04d}.png" for name in CLASSES for number in (1, 2, 3)]
    assert sorted(manifest.files) == sorted([*images, "latents.npz", "memorisation.csv", "memorisation.json"])
    assert all(sha256_of(folder / name) == digest for name, digest in manifest.files.items())
    with np.load(folder / "latents.npz", allow_pickle=False) as latents:
        assert latents["z"].shape == (6, 16) and latents["label"].tolist() == [0, 0, 0, 1, 1, 1]
        assert latents["image"].tolist() == [-1] * 6 and latents["classes"].tolist() == list(CLASSES)
    lines = list(csv.DictReader((folder / "memorisation.csv").read_text().splitlines()))
    assert [line["file"] for line in lines] == images
    assert set(json.loads((folder / "memorisation.json").read_text())["checks"]) >= {"pixels"}
    with Image.open(folder / images[0]) as image:
        assert (image.mode, image.size) == ("L", (32, 32))


def test_the_seed_decides_and_an_earlier_set_is_replaced(run: Run, tmp_path: Path) -> None:
    first = run(tmp_path / "a", count=2, seed=5).files
    assert run(tmp_path / "b", count=2, seed=5).files["images/flat/flat_0001.png"] == first["images/flat/flat_0001.png"]
    again = run(tmp_path / "a", count=1, label="tall", source="aggregate").files
    found = {path.relative_to(tmp_path / "a").as_posix() for path in (tmp_path / "a").rglob("*") if path.is_file()}
    assert found == {*again, "manifest.json"} and not any("flat" in name for name in found)


def test_original_sizes_are_those_of_the_training_images(run: Run, tmp_path: Path) -> None:
    for source in ("prior", "image"):
        run(tmp_path / source, count=1, size="original", source=source)
        for name, size in zip(CLASSES, [(32, 16), (16, 32)], strict=True):
            with Image.open(tmp_path / source / f"images/{name}/{name}_0001.png") as image:
                assert image.size == size


def test_images_around_one_training_image_say_which(run: Run, tmp_path: Path) -> None:
    run(tmp_path, count=2, label="tall", source="image", image=3)
    with np.load(tmp_path / "latents.npz", allow_pickle=False) as latents:
        (around,) = set(latents["image"].tolist())
    lines = list(csv.DictReader((tmp_path / "memorisation.csv").read_text().splitlines()))
    assert {line["drawn_around"] for line in lines} == {str(around)}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"label": "talll"}, "class: got 'talll', must be one of all, flat, tall; did you mean 'tall'"),
        ({"count": 0}, "count: got 0, must be >= 1"),
        ({"size": "round"}, "size: got 'round', must be one of square, original"),
        ({"source": "copy"}, "source: got 'copy', must be one of prior, aggregate, image"),
        ({"image": 1}, "must go with source 'image' and one class"),
        ({"image": 99, "source": "image", "label": "flat"}, "image: got 99, must be 0 to 9"),
    ],
)
def test_what_is_refused(run: Run, tmp_path: Path, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(tmp_path / "out", **asked)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_other_files_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "mine.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"holds 1 file\(s\) that no generate step lists \(images/mine.png\)"):
        run(tmp_path)
    assert (tmp_path / "images" / "mine.png").read_bytes() == b"x"
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_a_family_without_classes_is_refused(made: tuple[Project, TrainedModelManifest], tmp_path: Path) -> None:
    project, manifest = made
    with pytest.raises(ConfigError, match="family: got endoscopy, must be one that learns from images in classes"):
        other = replace(manifest, lineage=replace(manifest.lineage, family="endoscopy"))
        generate_run(project, other, GenerateRequest(), tmp_path)


@pytest.mark.parametrize("source", SOURCES)
def test_the_draws_of_a_class_do_not_depend_on_others(source: Any) -> None:
    both = draw(library(), source, np.array([0, 1, 0, 1]), seed=3)
    one = draw(library(), source, np.array([1, 1]), seed=3)
    assert torch.equal(both.z[[1, 3]], one.z) and both.image[[1, 3]].tolist() == one.image.tolist()
    other = draw(library(), source, np.array([1, 1]), seed=4)
    assert not torch.equal(one.z, other.z)


def test_draws_around_an_image_have_its_mean_and_spread() -> None:
    found = draw(library(), "image", np.zeros(20_000, dtype=np.int64), seed=0, image=2)
    assert set(found.image.tolist()) == {4}  # the third of class 0
    np.testing.assert_allclose(found.z.numpy().mean(0), library().mu[4], atol=1e-3)
    np.testing.assert_allclose(found.z.numpy().std(0), 0.01, rtol=0.03)


def test_the_prior_is_standard_normal() -> None:
    z = draw(library(), "prior", np.zeros(50_000, dtype=np.int64), seed=0).z.numpy()
    np.testing.assert_allclose(z.mean(0), 0, atol=0.02)
    np.testing.assert_allclose(np.cov(z.T), np.eye(3), atol=0.03)


def test_reshaping_undoes_the_padding() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 40), dtype=np.uint8)
    np.testing.assert_array_equal(reshaped(square(image, 40, "pad"), 2.0, "pad"), image)
    assert reshaped(square(image, 40, "squash"), 2.0, "squash").shape == (20, 40)
    assert reshaped(image[:, :20], 1.0, "pad").shape == (20, 20)
