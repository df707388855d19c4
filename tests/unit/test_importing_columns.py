"""Which columns of a table are read as what, on the command line: names, numbers and rows as their owner means them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow
import pyarrow.parquet
import pytest

from project import Called, command_line

pytestmark = pytest.mark.usefixtures("undrawn")

N = 60
RNG = np.random.default_rng(0)
SECTIONS = np.repeat(["s1", "s2", "s3"], N // 3)
PLACES = pandas.DataFrame(RNG.normal(size=(N, 3)), columns=list("xyz"))
LIPIDS = pandas.DataFrame(RNG.lognormal(size=(N, 3)), columns=["PC 34:1", "PC 36:2", "SM 18:0"])
POINTS = pandas.concat([PLACES, LIPIDS], axis=1)


def call(root: Path, source: Path, *options: str) -> Called:
    return command_line(
        root, "import", str(source), "--family", "lipid", "--name", "mine", "--track", "false", *options
    )


def taken(root: Path, source: Path, *options: str) -> pandas.DataFrame:
    called = call(root, source, *options)
    assert called.code == 0, called.stderr
    return pyarrow.parquet.read_table(root / "data/lipid/mine/points.parquet").to_pandas()


def refused(root: Path, source: Path, *options: str) -> str:
    called = call(root, source, *options)
    assert called.code == 2, called.stdout
    assert not (root / "data").exists() or not list((root / "data").rglob("points*"))
    return " ".join((called.stdout + called.stderr).split())


def csv(path: Path, frame: pandas.DataFrame, **options: Any) -> Path:
    frame.to_csv(path, index=False, **options)
    return path


def remarks(root: Path) -> str:
    return "\n".join(json.loads((root / "data/lipid/mine/.import/import.json").read_text())["remarks"])


def test_columns_that_count_label_or_describe_are_no_channels(tmp_path: Path) -> None:
    table = POINTS.assign(
        section=SECTIONS,
        tic=LIPIDS.sum(axis=1),
        pixel_id=np.arange(N) + 1000,
        mz=760.585,
        code=RNG.permutation(N),  # numbers the points, whatever it is called
        dose=np.repeat([0.5, 2.5, 0.7], N // 3),  # one value in each section
        everything=LIPIDS.sum(axis=1).round(6),
        x_um=PLACES["x"] * 50,
    )
    assert list(taken(tmp_path, csv(tmp_path / "a.csv", table)).columns) == ["x", "y", "z", *LIPIDS, "section"]
    said = remarks(tmp_path)
    for name in ("tic", "pixel_id", "mz", "code", "dose", "everything", "x_um"):
        assert f"{name} (" in said


def test_few_whole_numbers_are_asked_about(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", POINTS.assign(grade=RNG.integers(0, 3, N)))
    assert "is column 'grade' a channel? It holds 3 different whole numbers" in refused(tmp_path, path)
    assert "grade" in taken(tmp_path, path, "--channels", "*")
    assert "grade" not in taken(tmp_path, path, "--replace", "true", "--yes", "true")


def test_counts_are_channels_where_all_are_counts(tmp_path: Path) -> None:
    counts = pandas.DataFrame(RNG.integers(0, 9, (N, 3)), columns=["a", "b", "c"])
    assert {"a", "b", "c"} <= set(taken(tmp_path, csv(tmp_path / "a.csv", PLACES.join(counts))).columns)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("PC*", ["PC 34:1", "PC 36:2"]),
        ("/:[01]$/", ["PC 34:1", "SM 18:0"]),
        ("!PC*,!tic", ["SM 18:0"]),
        ("SM 18:0,PC*,!PC 36:2", ["SM 18:0", "PC 34:1"]),
    ],
)
def test_channels_by_pattern(tmp_path: Path, chosen: str, expected: list[str]) -> None:
    path = csv(tmp_path / "a.csv", POINTS.assign(tic=1.5))
    assert list(taken(tmp_path, path, "--channels", chosen).columns)[3:] == expected


def lines(frame: pandas.DataFrame, header: str, end: str = "") -> str:
    rows = [",".join(map(repr, row)) + end for row in frame.to_numpy().tolist()]
    return "\n".join([header, *rows]) + "\n"


@pytest.mark.parametrize("header_end", ["", ","])
def test_a_trailing_delimiter_shifts_no_name(tmp_path: Path, header_end: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(lines(POINTS, ",".join(POINTS.columns) + header_end, ","))
    found = taken(tmp_path, path)
    np.testing.assert_allclose(found[list(POINTS)], POINTS, rtol=1e-6)


def test_rows_named_as_r_does_it(tmp_path: Path) -> None:
    text = lines(POINTS, ",".join(POINTS.columns)).splitlines()
    path = tmp_path / "a.csv"
    path.write_text("\n".join([text[0], *(f'"p{place}",{row}' for place, row in enumerate(text[1:]))]))
    np.testing.assert_allclose(taken(tmp_path, path)[list(POINTS)], POINTS, rtol=1e-6)


def test_names_that_hold_commas(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", POINTS.rename(columns={"PC 34:1": "PC(16:0,18:1)"}))
    np.testing.assert_allclose(taken(tmp_path, path)["PC(16:0,18:1)"], LIPIDS["PC 34:1"], rtol=1e-6)
    chosen = taken(tmp_path, path, "--replace", "true", "--channels", '"PC(16:0,18:1)","SM 18:0"')
    assert list(chosen.columns)[3:] == ["PC(16:0,18:1)", "SM 18:0"]


def test_sections_keep_their_names(tmp_path: Path) -> None:
    names = np.repeat(["NA", "1E1", "10", "01", "1"], N // 5)
    from_csv = taken(tmp_path, csv(tmp_path / "a.csv", POINTS.assign(section=names)))
    assert from_csv["section"].tolist() == names.tolist()
    POINTS.assign(section=names).to_parquet(tmp_path / "b.parquet")
    assert taken(tmp_path, tmp_path / "b.parquet", "--replace", "true")["section"].tolist() == names.tolist()


def test_a_semicolon_and_decimal_commas(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", POINTS.assign(section=SECTIONS), sep=";", decimal=",")
    np.testing.assert_allclose(taken(tmp_path, path)[list(POINTS)], POINTS, rtol=1e-6)
    words = POINTS.astype(object)
    words.loc[3, "SM 18:0"] = "n.d."  # makes pandas leave the whole column as texts
    found = taken(tmp_path, csv(path, words, sep=";", decimal=","), "--replace", "true")
    assert np.flatnonzero(found["SM 18:0"].isna()).tolist() == [3]


def test_an_index_with_a_name_and_truth_values_with_a_gap_are_no_channels(tmp_path: Path) -> None:
    table = POINTS.assign(kept=[None, *([True, False] * N)[: N - 1]])
    table.index = pandas.Index(RNG.normal(size=N), name="intensity")
    table.to_parquet(tmp_path / "a.parquet")
    assert list(taken(tmp_path, tmp_path / "a.parquet").columns) == list(POINTS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y,z,a\n1,2,3,4\n2,3\n", "line 3 has 2 cells, must have 4"),
        ("x,y,z,a\n1,2,3,4\n2,3,4,5,6\n", "line 3 has 5 cells, must have 4"),
        ("x,y,z,a\n1,5,2,5,3,5,4,5\n", "names 4 columns, the row below has 8 cells"),
        ("1,2,3,4\n2,3,4,5\n", "its first line holds numbers, must name the columns"),
    ],
)
def test_texts_that_cannot_be_meant_so_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    assert message in refused(tmp_path, tmp_path / "a.csv")


def grids(**labels: Any) -> pandas.DataFrame:
    """Three sections with a pixel grid each, the same one, and no z."""
    x, y = np.meshgrid(np.arange(5.0), np.arange(4.0))
    table: Mapping[str, Any] = {"x": np.tile(x.ravel(), 3), "y": np.tile(y.ravel(), 3), "section": SECTIONS}
    return pandas.DataFrame({**table, **labels}).join(LIPIDS)


def test_sections_have_pixel_grids_of_their_own(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", grids())
    found = taken(tmp_path, path)
    assert (len(found), found["z"].unique().tolist()) == (N, [0])
    assert "no column z: all points lie in the plane z = 0" in remarks(tmp_path)


def test_donors_are_groups(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", grids(animal=np.repeat(["01", "02", "03"], N // 3)))
    assert taken(tmp_path, path)["donor"].unique().tolist() == ["01", "02", "03"]
    assert "groups by column 'animal': 3 donors" in remarks(tmp_path)
    assert "donor" not in taken(tmp_path, path, "--replace", "true", "--group-column", "none")


def test_two_donors_are_asked_about(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", grids(donor=np.repeat(["a", "b"], N // 2)))
    assert "names 2 donor(s), too few to be divided" in refused(tmp_path, path)
    assert "donor" not in taken(tmp_path, path, "--group-column", "none")
    assert "holds 2 different names, must be at least 3" in " ".join(
        call(tmp_path, path, "--replace", "true", "--group-column", "donor").stderr.split()
    )


def test_missing_values_are_kept_and_said(tmp_path: Path) -> None:
    table = POINTS.copy()
    table.loc[:5, "SM 18:0"] = np.nan
    table["empty"] = np.nan
    found = taken(tmp_path, csv(tmp_path / "a.csv", table))
    assert np.flatnonzero(found["SM 18:0"].isna()).tolist() == [0, 1, 2, 3, 4, 5]
    # 6 of 180 values; 54 of 60 points are whole
    assert "3.33% of the values are missing, most in 'SM 18:0' (10.0%); 54 of 60 points have" in remarks(tmp_path)


def test_points_stay_however_few_values_one_channel_has_and_that_is_said(tmp_path: Path) -> None:
    table = POINTS.copy()
    table.loc[: N - 10, "SM 18:0"] = np.nan
    path = csv(tmp_path / "a.csv", table)
    said = call(tmp_path, path)
    assert said.code == 0
    assert "9 of 60 points have a value in every channel. All points are kept" in " ".join(said.stdout.split())
    table = taken(tmp_path, path, "--replace", "true")
    assert len(table) == N and table["SM 18:0"].notna().sum() == 9
    assert len(taken(tmp_path, path, "--replace", "true", "--channels", "!SM*")) == N
