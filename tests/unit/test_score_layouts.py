"""Every layout of input: what is read is what prepare would have made, and scores are those of torch."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from scoring import CHANNELS, CLASSES, score, scores_of, torch_scores, untrained, write_bundle
from vaeforge.data.images import open_picture
from vaeforge.data.resize import centre_of, crop_square, fit_square
from vaeforge.errors import ConfigError, DataError
from vaeforge.package.bundle import Bundle
from vaeforge.score.pictures import picture_mode
from vaeforge_models.vae import VAE, DataSpec

pytestmark = pytest.mark.slow  # five models are exported
Made = tuple[VAE, Bundle]


def made(family: str, factory: pytest.TempPathFactory, spec: DataSpec | None = None, **changes: Any) -> Made:
    model = untrained(family, spec)
    return model, write_bundle(factory.mktemp(family), family, model, **changes)


@pytest.fixture(scope="module")
def endoscopy(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made("endoscopy", tmp_path_factory)


@pytest.fixture(scope="module")
def cilia(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made("cilia", tmp_path_factory)


@pytest.fixture(scope="module")
def speckle(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made("speckle", tmp_path_factory)


@pytest.fixture(scope="module")
def fmri(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made("fmri", tmp_path_factory)


@pytest.fixture(scope="module")
def lipid(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made("lipid", tmp_path_factory)


def picture(path: Path, width: int, height: int, seed: int, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (height, width, 3) if mode == "RGB" else (height, width)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)).save(path)
    return path


def test_pictures_are_squared_as_class_folders_are(endoscopy: Made, tmp_path: Path) -> None:
    names = ["b/2.png", "a/10.png", "a/9.tif", "c.png"]
    paths = [picture(tmp_path / "in" / name, 50 + 7 * n, 61 - n, n) for n, name in enumerate(names)]
    score(endoscopy[1], tmp_path / "in", tmp_path / "out")
    found = scores_of(tmp_path / "out")
    assert found["item"].tolist() == sorted(names)
    by_name = dict(zip(names, paths, strict=True))
    x = np.stack([centre_of(crop_square(open_picture(by_name[name]), 48), 32) for name in sorted(names)])
    np.testing.assert_allclose(found["score"], torch_scores(endoscopy[0], x), rtol=1e-4)


def test_samples_are_taken_as_they_are_and_only_of_their_size(endoscopy: Made, tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    for number, image in enumerate(x):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    picture(tmp_path / "large.png", 33, 32, 0)
    outcome = score(endoscopy[1], tmp_path, tmp_path / "out", pictures="sample")
    expected = torch_scores(endoscopy[0], x.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(scores_of(tmp_path / "out")["score"], expected, rtol=1e-4)
    assert outcome.manifest.counts.quarantined == 1


@pytest.mark.parametrize("batch", [1, 5, 64])
def test_frames_are_cut_at_the_stride(speckle: Made, tmp_path: Path, batch: int) -> None:
    first, second = (picture(tmp_path / "in" / f"{n}.png", 70 + 20 * n, 50, n, "L") for n in range(2))
    picture(tmp_path / "in" / "2.png", 31, 90, 5, "L")
    outcome = score(speckle[1], tmp_path / "in", tmp_path / "out", batch=batch)
    found = scores_of(tmp_path / "out")
    names, patches = [], []
    for path in (first, second):
        image = np.asarray(Image.open(path))
        for row in range(0, image.shape[0] - 31, 16):
            for column in range(0, image.shape[1] - 31, 16):
                names.append(f"{path.name}/{row}/{column}")
                patches.append(image[None, row : row + 32, column : column + 32])
    assert found["item"].tolist() == names
    np.testing.assert_allclose(found["score"], torch_scores(speckle[0], np.stack(patches)), rtol=1e-4)
    assert outcome.manifest.counts.quarantined == 1 and outcome.manifest.counts.inputs == 3


def test_models_of_patches_cut_pictures_unless_told_otherwise(endoscopy: Made) -> None:
    known = endoscopy[1].contract
    assert [picture_mode(replace(known, cut=cut), None) for cut in (False, True)] == ["whole", "patches"]
    assert picture_mode(replace(known, cut=True), "sample") == "sample"


@pytest.mark.parametrize("label", [None, "flat"])
def test_classes_come_from_folders_or_the_option(cilia: Made, tmp_path: Path, label: str | None) -> None:
    places = ["round/1.png", "long/1.png", "flat/2.png", "odd/3.png", "odd/round_12.png"]
    paths = {place: picture(tmp_path / "in" / place, 40, 30, n, "L") for n, place in enumerate(places)}
    outcome = score(cilia[1], tmp_path / "in", tmp_path / "out", label=label)
    kept = sorted(places if label else [place for place in places if place != "odd/3.png"])
    classes = [label or place.split("/")[-1 if "round_" in place else 0].split("_")[0] for place in kept]
    condition = np.eye(3, dtype=np.float32)[[CLASSES.index(name) for name in classes]]
    x = np.stack([fit_square(np.asarray(Image.open(paths[place])), 32, "pad")[None] for place in kept])
    found = scores_of(tmp_path / "out")
    assert found["item"].tolist() == kept
    np.testing.assert_allclose(found["score"], torch_scores(cilia[0], x, condition), rtol=1e-4)
    assert outcome.manifest.counts.quarantined == len(places) - len(kept)


def test_archives_of_images_with_classes(cilia: Made, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 20, 24), dtype=np.uint8)
    labels, names = np.array([0, 1, 2, 0, 1, 3]), np.array(["long", "round", "other", "flat"])
    np.savez_compressed(tmp_path / "images.npz", images=images, labels=labels, classes=names)
    outcome = score(cilia[1], tmp_path / "images.npz", tmp_path / "out")
    kept = [0, 1, 3, 4, 5]
    condition = np.eye(3, dtype=np.float32)[[CLASSES.index(names[labels[n]]) for n in kept]]
    x = np.stack([fit_square(images[n], 32, "pad")[None] for n in kept])
    found = scores_of(tmp_path / "out")
    assert found["item"].tolist() == [str(n) for n in kept]
    np.testing.assert_allclose(found["score"], torch_scores(cilia[0], x, condition), rtol=1e-4)
    assert (
        "2,\"class: got 'other', must be one of the classes round, flat, long"
        in (tmp_path / "out" / "quarantine.csv").read_text()
    )
    assert outcome.manifest.counts.quarantined == 1


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["npy", "npz", "compressed"])
@pytest.mark.parametrize("dtype", [np.uint8, ">f8", np.int16])
def test_arrays_in_every_form_score_alike(endoscopy: Made, tmp_path: Path, order: Any, kind: str, dtype: Any) -> None:
    x = np.random.default_rng(0).integers(0, 256, (7, 3, 32, 32)).astype(dtype)
    given = np.copy(x, order=order)
    path = tmp_path / f"x.{'npy' if kind == 'npy' else 'npz'}"
    if kind == "npy":
        np.save(path, given)
    else:
        (np.savez if kind == "npz" else np.savez_compressed)(path, x=given)
    score(endoscopy[1], path, tmp_path / "out", batch=3)
    found = scores_of(tmp_path / "out")
    assert found["item"].tolist() == list("0123456")
    np.testing.assert_allclose(found["score"], torch_scores(endoscopy[0], x.astype(np.float32)), rtol=1e-4)


def test_conditions_of_arrays(lipid: Made, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, places = rng.normal(size=(9, 6)), rng.normal(size=(9, 3))
    np.savez(tmp_path / "x.npz", x=x, condition=places)
    score(lipid[1], tmp_path / "x.npz", tmp_path / "out")
    np.testing.assert_allclose(scores_of(tmp_path / "out")["score"], torch_scores(lipid[0], x, places), rtol=1e-3)
    np.savez(tmp_path / "bare.npz", x=x)
    with pytest.raises(DataError, match="must have the numbers x, y, z"):
        score(lipid[1], tmp_path / "bare.npz", tmp_path / "bare")


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_tables_of_points_by_the_names_of_columns(lipid: Made, tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    x, places = rng.normal(size=(11, 6)), rng.normal(size=(11, 3))
    columns: dict[str, Any] = {name: x[:, n] for n, name in reversed(list(enumerate(CHANNELS["lipid"])))}
    columns |= {"Z": places[:, 2], "x": places[:, 0], "y": places[:, 1]}
    columns |= {"section": ["a"] * 11, "item": [f"cell {n}" for n in range(11)]}
    path = tmp_path / f"points.{suffix}"
    table = pyarrow.table(columns)
    if suffix == "csv":
        pyarrow.csv.write_csv(table, path)
    else:
        pyarrow.parquet.write_table(table, path, row_group_size=3)
    score(lipid[1], path, tmp_path / "out")
    found = scores_of(tmp_path / "out")
    assert found["item"].tolist() == columns["item"]
    np.testing.assert_allclose(found["score"], torch_scores(lipid[0], x, places), rtol=1e-3)


def test_tables_take_logarithms_where_prepare_did(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    prepare = {"reading": "points", "log1p": True, "scaling": "standard"}
    model, bundle = made("lipid", tmp_path_factory, prepare=prepare)
    x, places = np.abs(np.random.default_rng(0).normal(size=(5, 6))), np.zeros((5, 3))
    x[3, 2] = -1.5
    columns = {name: x[:, n] for n, name in enumerate(CHANNELS["lipid"])} | dict(zip("xyz", places.T, strict=True))
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "points.parquet")
    outcome = score(bundle, tmp_path / "points.parquet", tmp_path / "out")
    kept = [0, 1, 2, 4]
    expected = torch_scores(model, np.log1p(x[kept]), places[kept])
    np.testing.assert_allclose(scores_of(tmp_path / "out")["score"], expected, rtol=1e-3)
    assert outcome.manifest.counts.quarantined == 1


def test_maps_are_scaled_by_their_own_values(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    places = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    spec = DataSpec((10,), constants={"coordinates": places})
    prepare = {"reading": "maps", "log1p": False, "scaling": "standard"}
    model, bundle = made("lipid", tmp_path_factory, spec, condition=(), channels=[], prepare=prepare)
    values = np.random.default_rng(0).normal(5, 3, size=(10, 4)).astype(np.float32)
    values[:, 2] = 1
    columns = dict(zip("xyz", places.numpy().T, strict=True)) | {f"c{n}": values[:, n] for n in range(4)}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "maps.parquet")
    outcome = score(bundle, tmp_path / "maps.parquet", tmp_path / "out", batch=3)
    kept = values[:, [0, 1, 3]].T
    scaled = (kept - kept.mean(1, keepdims=True)) / kept.std(1, keepdims=True)
    found = scores_of(tmp_path / "out")
    assert found["item"].tolist() == ["c0", "c1", "c3"]
    np.testing.assert_allclose(found["score"], torch_scores(model, scaled), rtol=1e-3)
    assert outcome.manifest.counts.quarantined == 1


def test_series_from_archives_and_tables(fmri: Made, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(5, 24)).astype(np.float32), rng.normal(size=(3, 24)).astype(np.float32)
    np.savez(tmp_path / "series.npz", b=first, a=np.asfortranarray(second))
    score(fmri[1], tmp_path / "series.npz", tmp_path / "out", batch=2)
    found = scores_of(tmp_path / "out")
    assert found["item"].tolist() == ["a/0", "a/1", "a/2", *(f"b/{n}" for n in range(5))]
    expected = torch_scores(fmri[0], np.concatenate([second, first]))
    np.testing.assert_allclose(found["score"], expected, rtol=1e-4)
    with (tmp_path / "series.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[f"v{n}" for n in range(24)], *first.tolist()])
    score(fmri[1], tmp_path / "series.csv", tmp_path / "table")
    np.testing.assert_allclose(scores_of(tmp_path / "table")["score"], torch_scores(fmri[0], first), rtol=1e-4)


@pytest.mark.parametrize("form", ["no names", "regions", "row numbers", "white space", "decimal commas", "trailing"])
def test_series_in_text_are_read_as_the_import_reads_them(fmri: Made, tmp_path: Path, form: str) -> None:
    values = np.random.default_rng(5).normal(size=(4, 24)).round(3).astype(np.float32)
    rows = [[f"{value:.3f}" for value in row] for row in values.tolist()]
    regions = ",".join(str(1001 + number) for number in range(24))
    texts = {
        "no names": [",".join(row) for row in rows],
        "regions": [regions, *(",".join(row) for row in rows)],
        "row numbers": [f",{regions}", *(",".join([str(n), *row]) for n, row in enumerate(rows))],
        "white space": ["# TR=2", *(" ".join(row) for row in rows)],
        "decimal commas": [";".join(row).replace(".", ",") for row in rows],
        "trailing": [",".join(f"v{n}" for n in range(24)), *(",".join(row) + "," for row in rows)],
    }
    path = tmp_path / ("series.txt" if form == "white space" else "series.csv")
    path.write_text("\n".join(texts[form]) + "\n")
    score(fmri[1], path, tmp_path / "out", batch=3)
    found = scores_of(tmp_path / "out")
    assert found["item"].tolist() == ["0", "1", "2", "3"]
    np.testing.assert_allclose(found["score"], torch_scores(fmri[0], values), rtol=1e-4)


def test_folders_of_arrays_name_items_by_file(fmri: Made, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(4, 24)).astype(np.float32)
    for number in (1, 0):
        (tmp_path / "in").mkdir(exist_ok=True)
        np.save(tmp_path / "in" / f"part{number}.npy", x[2 * number : 2 * number + 2])
    np.save(tmp_path / "in" / "single.npy", x[0])
    (tmp_path / "in" / "notes.txt").write_text("nothing")
    (tmp_path / "in" / ".hidden.npy").write_text("nothing")
    outcome = score(fmri[1], tmp_path / "in", tmp_path / "out")
    found = scores_of(tmp_path / "out")
    names = ["part0.npy/0", "part0.npy/1", "part1.npy/0", "part1.npy/1", "single.npy/0"]
    assert found["item"].tolist() == names
    np.testing.assert_allclose(found["score"], torch_scores(fmri[0], np.concatenate([x, x[:1]])), rtol=1e-4)
    assert outcome.manifest.counts.left_out_files == 1


def test_what_does_not_go_together_is_refused(endoscopy: Made, fmri: Made, cilia: Made, tmp_path: Path) -> None:
    image = picture(tmp_path / "a" / "1.png", 40, 40, 0)
    np.save(tmp_path / "x.npy", np.zeros((2, 24), dtype=np.float32))
    with pytest.raises(DataError, match="takes tables or arrays"):
        score(fmri[1], image, tmp_path / "out")
    with pytest.raises(ConfigError, match=r"--pictures: .* holds arrays"):
        score(fmri[1], tmp_path / "x.npy", tmp_path / "out", pictures="whole")
    with pytest.raises(ConfigError, match="must be one of whole, sample for classes"):
        score(cilia[1], image, tmp_path / "out", pictures="patches")
    with pytest.raises(ConfigError, match=r"--label: got 'rund', .* did you mean 'round'"):
        score(cilia[1], image, tmp_path / "out", label="rund")
    with pytest.raises(ConfigError, match="has no graph error_map"):
        score(fmri[1], tmp_path / "x.npy", tmp_path / "out", error_maps=True)
    with pytest.raises(ConfigError, match="--graph: error_map gives error_map, score; must be model"):
        score(endoscopy[1], image, tmp_path / "out", graph="error_map")
    with pytest.raises(DataError, match="must hold one kind"):
        score(endoscopy[1], tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match="is not there"):
        score(endoscopy[1], tmp_path / "nothing", tmp_path / "out")
    assert not (tmp_path / "out").exists()
