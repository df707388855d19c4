"""Importing points from parquet, CSV, npz and HDF5: columns found by name, rows that are no numbers dropped."""

import csv
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from vaeforge.errors import ConfigError, DataError, VaeforgeError
from vaeforge.importing import description
from vaeforge.importing.import_options import ImportOptions, ImportResult
from vaeforge.importing.step import run_import
from vaeforge.paths import Project

N = 12
RNG = np.random.default_rng(0)
PLACES = RNG.normal(size=(N, 3))
VALUES = RNG.normal(size=(N, 2))
COLUMNS: dict[str, Any] = {
    **{axis: PLACES[:, place] for place, axis in enumerate("XYZ")},
    "Section": np.repeat([3, 7], N // 2),
    "PC 34:1": VALUES[:, 0],
    "chol": VALUES[:, 1],
}


@pytest.fixture
def drawn() -> None:
    """Asked for by tests that look at figures; drawing them for all would take most of the time."""


@pytest.fixture(autouse=True)
def undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(description, "save_chart", lambda chart, folder: None)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


def take(project: Project, source: Path, **options: Any) -> ImportResult:
    return run_import(source, "lipid", "points", project, ImportOptions(**options))


def refused(project: Project, source: Path, message: str, **options: Any) -> None:
    with pytest.raises(VaeforgeError, match=message):
        take(project, source, **options)
    assert not list((project.root / "data").rglob("*"))


def read(result: ImportResult) -> Any:
    return pyarrow.parquet.read_table(result.folder / "points.parquet")


def quarantine(result: ImportResult) -> dict[str, str]:
    with (result.folder / ".import/quarantine.csv").open(newline="", encoding="utf-8") as file:
        return {row["file"]: row["reason"] for row in csv.DictReader(file)}


def text(path: Path, delimiter: str = ",", **changes: Any) -> Path:
    columns = {name: column for name, column in {**COLUMNS, **changes}.items() if column is not None}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def written(path: Path) -> Path:
    """The same points in the format that the suffix says."""
    named = {"coordinates": PLACES, "values": VALUES, "section": COLUMNS["Section"]}
    channels = np.array(["PC 34:1", "chol"])
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.table(COLUMNS), path)
    elif path.suffix == ".csv":
        text(path)
    elif path.suffix == ".tsv":
        text(path, delimiter="\t")
    elif path.suffix == ".npz":
        np.savez(path, **named, channels=channels)
    elif path.stem == "by_column":
        with h5py.File(path, "w") as file:
            for name, column in COLUMNS.items():
                file[name] = column
    else:
        with h5py.File(path, "w") as file:
            for name, array in named.items():
                file[name] = array
            file["channels"] = [str(name) for name in channels]
    return path


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.tsv", "a.npz", "a.h5", "by_column.hdf5"])
def test_every_format_gives_the_same_table(project: Project, tmp_path: Path, name: str) -> None:
    result = take(project, written(tmp_path / name))
    table = read(result)
    assert set(table.column_names) == {"x", "y", "z", "section", "PC 34:1", "chol"}
    assert table.column_names[:3] == ["x", "y", "z"]
    assert {str(table.schema.field(name).type) for name in ("x", "y", "z", "chol")} == {"float"}
    for place, axis in enumerate("xyz"):
        np.testing.assert_allclose(table[axis].to_numpy(), PLACES[:, place], rtol=1e-6)
    np.testing.assert_allclose(table["PC 34:1"].to_numpy(), VALUES[:, 0], rtol=1e-6)
    assert table["section"].to_pylist() == ["3"] * 6 + ["7"] * 6
    assert result.counts == {"points": N, "channels": 2, "rows_dropped": 0}
    assert result.quarantined == 0


def test_channels_without_names_are_numbered(project: Project, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", coordinates=PLACES, values=VALUES)
    assert read(take(project, tmp_path / "a.npz")).column_names == ["x", "y", "z", "channel_0", "channel_1"]


def test_statistics_and_figures_are_written(drawn: None, project: Project, tmp_path: Path) -> None:
    beside = take(project, text(tmp_path / "a.csv", chol=np.roll(np.arange(N), 5) / 2)).folder / ".import"
    with (beside / "statistics.csv").open(newline="") as file:
        rows = {row["column"]: row for row in csv.DictReader(file)}
    # half of 0..11: mean 2.75, variance (144 - 1) / 12 / 4
    assert (float(rows["chol"]["mean"]), float(rows["chol"]["std"])) == (2.75, pytest.approx((143 / 48) ** 0.5))
    with (beside / "summary.csv").open(newline="") as file:
        sections = list(csv.DictReader(file))
    assert [(row["section"], row["items"]) for row in sections] == [("3", "6"), ("7", "6")]
    assert float(sections[0]["y_max"]) == pytest.approx(PLACES[:6, 1].max())
    assert {path.name for path in beside.glob("*.png")} == {"places.png", "section_counts.png", "intensities.png"}


def test_columns_can_be_named(project: Project, tmp_path: Path) -> None:
    renamed = {"X": None, "Y": None, "Z": None, "Section": None, "slide": ["a"] * 6 + ["b"] * 6}
    places = {f"{axis}ccf": PLACES[:, place] for place, axis in enumerate("xyz")}
    path = text(tmp_path / "a.csv", **renamed, **places)
    refused(project, path, "none for x, y, z; did you mean 'xccf'.*'yccf'.*'zccf'.*--columns x=NAME,y=NAME,z=NAME")
    columns = {"x": "xccf", "y": "yccf", "z": "zccf", "section": "slide"}
    table = read(take(project, path, columns=columns))
    assert table["section"].to_pylist() == ["a"] * 6 + ["b"] * 6
    assert table.column_names[3:5] == ["PC 34:1", "chol"]


def test_channels_can_be_chosen(project: Project, tmp_path: Path) -> None:
    path = text(tmp_path / "a.csv")
    refused(project, path, "--channels: has no chols, has PC 34:1; chol.*did you mean 'chol'", channels=("chols",))
    refused(project, path, "--channels: X is named twice, or is a coordinate", channels=("X",))
    assert read(take(project, path, channels=("chol",))).column_names == ["x", "y", "z", "chol", "section"]


def test_options_that_cannot_be_meant_so_are_refused(project: Project, tmp_path: Path) -> None:
    path = text(tmp_path / "a.csv")
    refused(project, path, "--columns: got sectoin.*did you mean 'section'", columns={"sectoin": "Section"})
    refused(project, path, "has no column 'Xs' .given for x.*did you mean 'X'", columns={"x": "Xs"})
    with pytest.raises(ConfigError, match="X is given for several"):
        take(project, path, columns={"y": "X"})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("form", ["csv", "parquet", "npz"])
def test_rows_that_are_no_numbers_are_dropped_and_counted(
    project: Project, tmp_path: Path, bad: float, form: str
) -> None:
    places, values = PLACES.copy(), VALUES.copy()
    places[4, 1] = values[9, 1] = values[9, 0] = bad
    columns = {**{axis: places[:, place] for place, axis in enumerate("xyz")}, "a": values[:, 0], "b": values[:, 1]}
    path = tmp_path / f"points.{form}"
    if form == "npz":
        np.savez(path, coordinates=places, values=values, channels=np.array(["a", "b"]))
    elif form == "parquet":
        pyarrow.parquet.write_table(pyarrow.table(columns), path)
    else:
        text(path, **dict.fromkeys(COLUMNS), **columns)
    result = take(project, path)
    assert result.counts == {"points": N - 2, "channels": 2, "rows_dropped": 2}
    assert "column 'y'; the first of 2 rows dropped" in quarantine(result)[f"points.{form}: row 4 (from 0)"]
    np.testing.assert_allclose(read(result)["b"].to_numpy(), np.delete(VALUES[:, 1], [4, 9]), rtol=1e-6)


def test_a_word_among_numbers_is_a_missing_value(project: Project, tmp_path: Path) -> None:
    result = take(project, text(tmp_path / "a.csv", chol=["n.d.", *VALUES[1:, 1]]))
    assert result.counts == {"points": N, "channels": 2, "rows_dropped": 0, "missing_values": 1}
    column = read(result)["chol"].to_numpy()
    assert np.flatnonzero(np.isnan(column)).tolist() == [0]
    np.testing.assert_allclose(column[1:], VALUES[1:, 1], rtol=1e-6)


def test_rows_without_a_section_are_dropped(project: Project, tmp_path: Path) -> None:
    result = take(project, text(tmp_path / "a.csv", Section=["", "s1", *["s2"] * 10]))
    assert read(result)["section"].to_pylist() == ["s1", *["s2"] * 10]


def test_columns_that_are_no_channels_are_left_out(project: Project, tmp_path: Path) -> None:
    path = text(tmp_path / "a.csv", **{"": range(N), "Unnamed: 0": range(N), "tissue": ["cortex"] * N})
    result = take(project, path)
    assert result.counts["channels"] == 2
    left_out = quarantine(result)
    assert left_out["a.csv: column 'tissue'"] == "is no column of numbers (for example 'cortex')"
    assert sum("numbers rows" in reason for reason in left_out.values()) == 2


def test_the_hemisphere_is_kept_as_a_label(project: Project, tmp_path: Path) -> None:
    result = take(project, text(tmp_path / "a.csv", hemisphere=["L", "R"] * 6))
    assert (result.counts["channels"], read(result)["hemisphere"].to_pylist()) == (2, ["L", "R"] * 6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": None}, "none for x"),
        ({"x": range(N)}, "columns 'X', 'x' could all be x"),
        ({"Z": ["deep"] * N}, r"1 column\(s\) must be numbers: 'Z' \(for example 'deep'\)"),
        ({"chol": None, "PC 34:1": None}, "no column of numbers besides"),
        ({"chol": [np.nan] * N, "PC 34:1": [""] * N}, "no column of numbers besides.*holds no number"),
        ({"X": [1] * N, "Y": [2] * N, "Z": [3] * N}, r"2 place\(s\) have several points of one section.*\(1, 2, 3\)"),
    ],
)
def test_wrong_columns_are_refused(project: Project, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    refused(project, text(tmp_path / "a.csv", **changes), message)


def test_a_column_that_is_there_twice_is_refused(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y,z,a,a\n1,2,3,4,5\n2,3,4,5,6\n")
    refused(project, path, r"1 column\(s\) occur twice.*a")


def test_arrays_of_unequal_length_are_refused(project: Project, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", coordinates=PLACES, values=VALUES[:5])
    refused(project, tmp_path / "a.npz", r"coordinates is \(12, 3\) and values \(5, 2\)")
    np.savez(tmp_path / "a.npz", coordinates=PLACES, values=VALUES, channels=np.array(["a"]))
    refused(project, tmp_path / "a.npz", "channels names 1, must name 2")
    np.savez(tmp_path / "a.npz", x=PLACES[:, 0], y=PLACES[:5, 1], z=PLACES[:, 2])
    refused(project, tmp_path / "a.npz", "columns must be .N. of one length")


def test_pickled_objects_are_refused(project: Project, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", coordinates=PLACES, values=VALUES, channels=np.array(["a", "b"], dtype=object))
    refused(project, tmp_path / "a.npz", "channels holds pickled Python objects.*nothing was executed")


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.npz", "a.h5"])
def test_damaged_and_empty_files_are_refused(project: Project, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    refused(project, tmp_path / name, "cannot be read|is empty")
    (tmp_path / name).write_bytes(b"\xff\xfe\x00 not a table at all" * 20)
    refused(project, tmp_path / name, "cannot be read")


def test_a_table_without_rows_is_refused(project: Project, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y,z,a\n")
    refused(project, tmp_path / "a.csv", "holds no rows")


def test_a_folder_holds_one_table(project: Project, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    refused(project, tmp_path / "set", "has 0 tables .*holds nothing")
    written(tmp_path / "set/a.csv")
    (tmp_path / "set/LICENSE").write_text("free")
    assert list(quarantine(take(project, tmp_path / "set"))) == ["LICENSE"]
    written(tmp_path / "set/b.npz")
    with pytest.raises(DataError, match=r"has 2 tables .*holds a\.csv; b\.npz"):
        take(project, tmp_path / "set", replace=True)


def test_hdf5_that_leads_to_other_files_is_refused(project: Project, tmp_path: Path) -> None:
    written(tmp_path / "secret.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["coordinates"] = PLACES
        file["values"] = h5py.ExternalLink("secret.h5", "values")
    refused(project, tmp_path / "a.h5", "values is a link")
    layout = h5py.VirtualLayout(shape=(N, 2), dtype="f8")
    layout[:] = h5py.VirtualSource(tmp_path / "secret.h5", "values", shape=(N, 2))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["coordinates"] = PLACES
        file.create_virtual_dataset("values", layout)
    refused(project, tmp_path / "a.h5", "values lies in another file")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("table")
    refused(project, tmp_path / "a.h5", "has no data sets in its root, only table")
