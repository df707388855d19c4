"""AnnData through import and score, value by value against anndata's own answer (`tests/formats/make_anndata.py`)."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas
import pyarrow.parquet
import pytest

from project import command_line
from scoring import imported, scored, torch_scores
from vaeforge.data.anndata_table import read_anndata

pytestmark = pytest.mark.usefixtures("undrawn")
FILES = Path(__file__).parents[1] / "formats/anndata"
GENES = [f"gene {number}" for number in range(6)]


def given(root: Path, form: str = "dense") -> dict[str, Any]:
    """A file, and what anndata says of it."""
    shutil.copy(FILES / f"{form}.h5ad", root / "set.h5ad")
    with np.load(FILES / f"{form}.npz") as archive:
        return {name: archive[name] for name in archive.files}


def take(root: Path, *options: str, code: int = 0) -> str:
    done = command_line(root, "import", "set.h5ad", "--family", "lipid", "--track", "false", *options)
    assert done.code == code, done.stdout + done.stderr
    return " ".join((done.stdout + done.stderr).split())


def points(root: Path, name: str = "set") -> pandas.DataFrame:
    return pyarrow.parquet.read_table(root / f"data/lipid/{name}/points.parquet").to_pandas()


@pytest.mark.parametrize("form", ["dense", "csr", "csc"])
@pytest.mark.parametrize("layer", ["", "log"])
def test_values_places_and_labels_are_those_of_anndata(tmp_path: Path, form: str, layer: str) -> None:
    own = given(tmp_path, form)
    said = take(tmp_path, "--columns", "section=library", *(("--layer", layer) if layer else ()))
    found = points(tmp_path)
    assert [name for name in found if name not in ("x", "y", "z", "section", "donor")] == GENES
    np.testing.assert_array_equal(found[GENES].to_numpy(), own[layer or "X"].astype(np.float32))
    places = own["spatial"].astype(np.float32)
    np.testing.assert_array_equal(found[["x", "y", "z"][: places.shape[1]]].to_numpy(), places)
    assert form == "csc" or (found["z"] == 0).all()
    assert found["section"].tolist() == own["obs library"].tolist()
    assert found["donor"].tolist() == own["obs patient"].tolist()
    assert f"places are obsm['spatial'], {places.shape[1]} columns, in its own unit and direction" in said


@pytest.mark.parametrize("form", ["dense", "csr", "csc"])
def test_every_column_of_obs_is_that_of_anndata(form: str) -> None:
    table = read_anndata(FILES / f"{form}.h5ad", "")
    with np.load(FILES / f"{form}.npz") as own:
        assert table.columns["item"].tolist() == own["obs_names"].tolist()
        assert list(table.channels) == own["var_names"].tolist()
        for name in (name.removeprefix("obs ") for name in own.files if name.startswith("obs ")):
            column = table.columns[f"obs:{name}" if name in ("x", "gene 1") else name]
            told = ["" if cell is None or cell != cell else str(cell) for cell in column.tolist()]
            as_numbers = name == "age"  # a gap among whole numbers is NaN, so that these are floats
            expected = [f"{float(cell)}" if cell and as_numbers else cell for cell in own[f"obs {name}"].tolist()]
            assert told == expected, name


def test_columns_of_obs_are_no_channels_and_say_so(tmp_path: Path) -> None:
    given(tmp_path)
    take(tmp_path)
    left_out = pandas.read_csv(tmp_path / "artifacts/import/lipid/set/quarantine.csv")
    assert {f"set.h5ad: column {name!r}" for name in ("n_genes", "leiden", "item", "obs:x")} <= set(left_out["file"])
    take(tmp_path, "--channels", "*", "--name", "all")
    assert [name for name in points(tmp_path, "all") if name.startswith("gene")] == GENES
    take(tmp_path, "--columns", "section=obs:gene 1", "--name", "other")
    assert points(tmp_path, "other")["section"].tolist() == ["a", "b"] * 30


def test_places_in_obs_are_found_where_obsm_has_none(tmp_path: Path) -> None:
    given(tmp_path)
    with h5py.File(tmp_path / "set.h5ad", "r+") as file:
        del file["obsm/spatial"]
    assert "places are columns of obs" in take(tmp_path, "--columns", "y=n_genes", "--group-column", "none")
    assert points(tmp_path)["x"].tolist() == list(range(60))


def test_categories_as_anndata_0_7_wrote_them_are_read(tmp_path: Path) -> None:
    """Codes in the place of the column, and a reference to the names beside it."""
    own = given(tmp_path)
    with h5py.File(tmp_path / "set.h5ad", "r+") as file:
        codes, names = file["obs/library/codes"][()], file["obs/library/categories"].asstr()[()]
        del file["obs/library"]
        file["obs/__categories/library"] = names.astype(object)
        file["obs/library"] = codes
        file["obs/library"].attrs["categories"] = file["obs/__categories/library"].ref
    take(tmp_path, "--columns", "section=library")
    assert points(tmp_path)["section"].tolist() == own["obs library"].tolist()


@pytest.mark.long
def test_anndata_scores_as_it_was_imported(tmp_path: Path) -> None:
    own = given(tmp_path, "csr")
    _, model = imported(tmp_path, "lipid", "set.h5ad", "--layer", "log")
    condition = np.concatenate([own["spatial"], np.zeros((60, 1))], axis=1).astype(np.float32)
    expected = torch_scores(model, own["log"], condition)
    found = scored(tmp_path, "set.h5ad")
    np.testing.assert_allclose(found["score"], expected, rtol=1e-3)
    assert found["item"][:2].tolist() == ["AACG-0", "AACG-1"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--layer", "logs"), "--layer: has no 'logs', has log; did you mean 'log'?"),
        (("--columns", "section=libary"), "did you mean 'library'?"),
    ],
)
def test_names_that_are_not_there_are_refused_with_the_nearest(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    given(tmp_path)
    assert said in take(tmp_path, *options, code=2)


def two_arrays(file: Any) -> None:
    file["obsm/spatial_um"], file["obsm/spatial_px"] = file["obsm/spatial"][()], file["obsm/spatial"][()]
    del file["obsm/spatial"]


def old_frame(file: Any) -> None:
    del file["obs"]
    file["obs"] = np.zeros(60, dtype=[("index", "S4"), ("n_genes", "i4")])


def link(file: Any) -> None:
    del file["obsm/spatial"]
    file["obsm/spatial"] = h5py.ExternalLink("elsewhere.h5", "spatial")


def visium(file: Any) -> None:
    file["uns/spatial/V1/scalefactors/tissue_hires_scalef"] = 0.17


def deep_link(file: Any) -> None:
    del file["obs/patient"]
    file["obs/patient"] = h5py.SoftLink("/obs/library")


def twice(file: Any) -> None:
    file["var/_index"][1] = "gene 0"


def wrong_index(file: Any) -> None:
    file["X/indices"][0] = 10**6


def short(file: Any) -> None:
    values = file["obs/n_genes"][:50]
    del file["obs/n_genes"]
    file["obs/n_genes"] = values


@pytest.mark.parametrize(
    ("form", "change", "said"),
    [
        ("dense", two_arrays, "several arrays of places, spatial_px, spatial_um; call the one meant 'spatial'"),
        ("dense", old_frame, "obs is no data frame, as files of anndata before 0.7 have none"),
        ("dense", link, "obsm/spatial is a link, must be in the file itself"),
        ("dense", deep_link, "obs/patient is a link, must be in the file itself"),
        ("dense", twice, "1 column(s) occur twice, must be unique: gene 0"),
        ("csr", wrong_index, "cannot be read as AnnData"),
        ("dense", short, "which do not fit together"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_in_one_sentence(
    tmp_path: Path, form: str, change: Callable[[Any], None], said: str
) -> None:
    given(tmp_path, form)
    with h5py.File(tmp_path / "set.h5ad", "r+") as file:
        change(file)
    assert said in take(tmp_path, code=2) and not (tmp_path / "data").exists()


def test_places_of_visium_are_pixels(tmp_path: Path) -> None:
    given(tmp_path)
    with h5py.File(tmp_path / "set.h5ad", "r+") as file:
        visium(file)
    assert "2 columns, pixels of the full-resolution picture, y downwards" in take(tmp_path)


def test_hdf5_that_is_no_anndata_and_files_that_are_cut_off_are_refused(tmp_path: Path) -> None:
    given(tmp_path)
    whole = (tmp_path / "set.h5ad").read_bytes()
    (tmp_path / "set.h5ad").write_bytes(whole[: len(whole) // 2])
    assert "cannot be read as AnnData" in take(tmp_path, code=2)
    with h5py.File(tmp_path / "set.h5ad", "w") as file:
        file["X"] = np.zeros((3, 2))
    assert "has no obs, must have it to be AnnData" in take(tmp_path, code=2)
