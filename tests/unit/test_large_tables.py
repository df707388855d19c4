"""Tables of points larger than memory: the same files and arrays as of tables in memory, whatever the blocks."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from vaeforge.data import arrays, large_arrays, missing, parquet_table, points_file
from vaeforge.data.layouts.points import PointSettings, read
from vaeforge.importing.formats import points
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.parsed_source import ImportLog

N, C = 300, 4


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    values: dict[str, Any] = {axis: rng.normal(size=N).astype(np.float32) for axis in ("x", "y", "z")}
    values |= {f"m{number}": rng.gamma(2, 1, N).astype(np.float32) for number in range(C)}
    values["m1"][:7] = np.nan
    values["m2"][3] = np.inf
    values["section"] = [f"s{number % 3}" for number in range(N)]
    values["few"] = np.where(np.arange(N) < 20, 1.5, np.nan)
    pyarrow.parquet.write_table(pyarrow.table(values), tmp_path / "points.parquet")
    return tmp_path / "points.parquet"


def small_blocks(patched: pytest.MonkeyPatch) -> None:
    for module, name, value in (
        (large_arrays, "AT_ONCE", 256),
        (parquet_table, "LARGE", 1),
        (points, "GROUP", 64 * 4 * (C + 4)),
        (points_file, "ROWS", 13),
        (points_file, "LARGE", 1),
        (missing, "LARGE", 100),
        (missing, "BLOCK", 90),
    ):
        patched.setattr(module, name, value)
    room = large_arrays.room
    patched.setattr(points_file, "room", lambda shape, dtype: room(shape, dtype, 1))


@pytest.mark.parametrize("settings", [{}, {"log1p": True, "scaling": "minmax"}, {"reading": "maps"}])
def test_a_set_is_prepared_the_same_in_small_blocks(
    source: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    form = PointSettings(**settings, blocks=3)
    plain = read(source.parent, form)
    small_blocks(monkeypatch)
    again = read(source.parent, form)
    assert (again.counts, again.info, again.groups) == (plain.counts, plain.info, plain.groups)
    for one, other in zip(
        (plain.train, plain.validation, plain.test), (again.train, again.validation, again.test), strict=True
    ):
        np.testing.assert_array_equal(one.stored, other.stored)
        np.testing.assert_array_equal(one.condition, other.condition)
    for name, values in plain.constants.items():
        np.testing.assert_allclose(again.constants[name], values, rtol=1e-6)


def test_an_import_is_the_same_of_mapped_columns(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for number in range(2):
        content = points.read_points(source, ImportOptions(), ImportLog())
        content.write(tmp_path / f"made{number}")
        made.append((content.items, content.counts, tmp_path / f"made{number}/points.parquet"))
        small_blocks(monkeypatch)
    assert made[0][:2] == made[1][:2]
    tables = [pyarrow.parquet.read_table(path) for *_, path in made]
    assert tables[0].equals(tables[1]) or tables[0].to_pandas().equals(tables[1].to_pandas())


def test_a_table_is_written_with_the_bytes_of_pyarrow() -> None:
    rng, count = np.random.default_rng(0), 2**20 + 5
    numbers = {name: rng.random(count, np.float32) for name in "xyzabcdefghi"}
    labels = {"section": np.array(["one", "two", "three"] * count)[:count]}
    expected, made = io.BytesIO(), io.BytesIO()
    form: Any = {"compression": "zstd", "row_group_size": 2**25 // 48, "use_dictionary": ["section"]}
    pyarrow.parquet.write_table(pyarrow.table({**numbers, **labels}), expected, **form)
    points._pack(made, points.ImportedPoints(numbers, labels))
    assert made.getvalue() == expected.getvalue()
    file = pyarrow.parquet.ParquetFile(made)
    assert file.num_row_groups == 2
    assert [file.metadata.row_group(0).column(place).has_dictionary_page for place in (0, 11, 12)] == [0, 0, 1]


def test_memory_does_not_grow_with_the_row_groups(tmp_path: Path) -> None:
    """pyarrow's own batches of a whole file keep what they gave of each row group."""
    count, rows = 40, 2**14
    table = pyarrow.table({f"m{number}": np.random.default_rng(number).random(count * rows) for number in range(4)})
    pyarrow.parquet.write_table(table, tmp_path / "points.parquet", row_group_size=rows, use_dictionary=False)
    size = table.nbytes // count
    del table
    held, before = [], pyarrow.total_allocated_bytes()
    with pyarrow.parquet.ParquetFile(tmp_path / "points.parquet") as file:
        names = file.schema_arrow.names
        for batch in parquet_table.batches_of(file, names, rows, range(count)):
            held.append(pyarrow.total_allocated_bytes() - before)
            assert batch.num_rows == rows
    assert len(held) == count and max(held) < 6 * size


def test_means_and_spreads_of_large_tables_are_those_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit: rows are added one after the other, as NumPy does."""
    monkeypatch.setattr(missing, "LARGE", 100)
    monkeypatch.setattr(large_arrays, "AT_ONCE", 400)
    values = np.random.default_rng(0).normal(3, 2, (1001, 7)).astype(np.float32)
    np.testing.assert_array_equal(missing.mean_of(values), values.mean(axis=0, dtype=np.float64))
    np.testing.assert_array_equal(missing.spread_of(values), values.std(axis=0, dtype=np.float64))
    values[::3, 2] = np.nan
    np.testing.assert_allclose(missing.mean_of(values), np.nanmean(values, axis=0, dtype=np.float64), rtol=1e-14)
    exact = values.astype(np.float64)  # of float32, numpy rounds what is apart from the mean to float32
    np.testing.assert_allclose(missing.spread_of(values), np.nanstd(exact, axis=0), rtol=1e-14)
    whole = np.random.default_rng(1).gamma(0.5, 9, (3, 7001)).astype(np.float32)
    monkeypatch.setattr(missing, "PART", 2**13)
    for lacking in (0, 5):
        whole[0, :lacking] = np.nan
        assert missing.mean_of(whole, None) == np.nanmean(whole, dtype=np.float64)
    low, high = large_arrays.extremes(values)
    np.testing.assert_array_equal(low, np.nanmin(values, axis=0))
    np.testing.assert_array_equal(high, np.nanmax(values, axis=0))


@pytest.mark.parametrize("columns_first", [False, True])
def test_large_members_of_archives_are_mapped(
    columns_first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "LARGE", 100)
    monkeypatch.setattr(arrays, "AT_ONCE", 64)
    values = np.random.default_rng(0).normal(size=(30, 7)).astype(np.float32)
    np.savez_compressed(tmp_path / "a.npz", one=np.asfortranarray(values) if columns_first else values)
    with np.load(tmp_path / "a.npz") as archive:
        found = arrays.member_of(archive, "one")
    np.testing.assert_array_equal(found, values)
    assert found.flags.c_contiguous
