"""Points and maps: blocks are divided whole, statistics are of train alone, refusals; and dividing in general."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.csv
import pyarrow.parquet
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from vaeforge.data.block_split import TEST, divide, grid_blocks
from vaeforge.data.layouts.points import PointSettings, read
from vaeforge.errors import DataError
from vaeforge.samples import DataSet

COUNT = 3000
SETTINGS = PointSettings()


def columns(count: int = COUNT) -> dict[str, NDArray[Any]]:
    """Points in a box of 10 x 20 x 5 whose first channel is their number."""
    random = np.random.default_rng(0)
    places = random.uniform(-1, 1, (count, 3)) * np.array([5, 10, 2.5])
    return {
        **dict(zip("xyz", places.T.astype(np.float32), strict=True)),
        "section": np.floor((places[:, 1] + 10) / 2).astype(np.int64),  # ten slabs along y
        "hemisphere": np.where(places[:, 0] < 0, "L", "R"),
        "number": np.arange(count, dtype=np.float32),
        "curvature": random.normal(3, 0.5, count).astype(np.float32),
        "thickness": random.exponential(1, count).astype(np.float32),
        "myelin": random.normal(0, 1, count).astype(np.float32),
    }


def write(folder: Path, values: dict[str, Any], name: str = "points.parquet") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table(values)
    if name.endswith(".csv"):
        pyarrow.csv.write_csv(table, folder / name)
    else:
        pyarrow.parquet.write_table(table, folder / name)
    return folder


def numbers(data: DataSet) -> list[NDArray[np.int64]]:
    return [part.x[:, 0].astype(np.int64) for part in (data.train, data.validation, data.test)]


def test_every_point_is_in_exactly_one_part(tmp_path: Path) -> None:
    data = read(write(tmp_path, columns()), SETTINGS)
    assert sorted(np.concatenate(numbers(data)).tolist()) == list(range(COUNT))
    assert data.train.x.dtype == data.train.condition.dtype == np.float32
    assert data.info["channels"] == ["number", "curvature", "thickness", "myelin"]


def test_no_block_is_in_two_parts(tmp_path: Path) -> None:
    table = columns()
    data = read(write(tmp_path, table), SETTINGS)
    # by hand: the box is divided into six along each axis
    places = np.stack([table[axis] for axis in "xyz"], axis=1).astype(np.float64)
    low, high = places.min(axis=0), places.max(axis=0)
    cells = np.minimum(np.floor((places - low) / (high - low) * 6), 5).astype(int)
    blocks = [{tuple(cell) for cell in cells[part].tolist()} for part in numbers(data)]
    assert not (blocks[0] & blocks[1] or blocks[0] & blocks[2] or blocks[1] & blocks[2])
    assert len(blocks[2]) == data.counts["test_groups"] == len(set(data.groups)) >= 10
    assert data.groups == ["/".join(map(str, cells[number])) for number in numbers(data)[2].tolist()]


def test_shares_fit_by_the_number_of_points(tmp_path: Path) -> None:
    data = read(write(tmp_path, columns()), PointSettings(validation=0.15, test=0.25))
    shares = [len(part) / COUNT for part in (data.train, data.validation, data.test)]
    np.testing.assert_allclose(shares, [0.6, 0.15, 0.25], atol=0.01)  # a block has 1/216 of the points


def test_whole_sections(tmp_path: Path) -> None:
    table = columns()
    data = read(write(tmp_path, table), PointSettings(sections=True))
    held = [set(table["section"][part].tolist()) for part in numbers(data)]
    assert sorted(map(len, held)) == [2, 3, 5] and len(set.union(*held)) == 10
    assert data.groups == [str(table["section"][number]) for number in numbers(data)[2]]
    assert data.info["sections"] == sorted(map(str, range(10)))


def test_the_seed_decides_and_repeats(tmp_path: Path) -> None:
    write(tmp_path, columns())
    first, again, other = (read(tmp_path, PointSettings(seed=seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.train.x, again.train.x)
    assert first.groups == again.groups and first.info["units"] != other.info["units"]


def test_conditions_are_the_coordinates_of_the_file(tmp_path: Path) -> None:
    table = columns()
    data = read(write(tmp_path, table), SETTINGS)
    for part, chosen in zip((data.train, data.validation, data.test), numbers(data), strict=True):
        np.testing.assert_array_equal(part.condition, np.stack([table[axis][chosen] for axis in "xyz"], axis=1))
        np.testing.assert_array_equal(part.x[:, 1], table["curvature"][chosen])


def test_constants_are_of_train_alone(tmp_path: Path) -> None:
    data = read(write(tmp_path, columns()), SETTINGS)
    x, places, constants = data.train.x.astype(np.float64), data.train.condition, data.constants
    np.testing.assert_allclose(constants["mean"], x.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(constants["std"], x.std(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(constants["minimum"], data.train.x.min(axis=0))
    np.testing.assert_array_equal(constants["maximum"], data.train.x.max(axis=0))
    unit = (places - constants["centre"]) / constants["scale"]
    np.testing.assert_allclose([unit.min(axis=0), unit.max(axis=0)], [[-1] * 3, [1] * 3], atol=1e-5)
    assert {array.dtype for array in constants.values()} == {np.dtype(np.float32)}


def test_minmax_maps_train_onto_0_to_1(tmp_path: Path) -> None:
    data = read(write(tmp_path, columns()), PointSettings(scaling="minmax"))
    scaled = (data.train.x - data.constants["mean"]) / data.constants["std"]
    np.testing.assert_allclose([scaled.min(axis=0), scaled.max(axis=0)], [[0] * 4, [1] * 4], atol=1e-6)


def test_log1p(tmp_path: Path) -> None:
    table = columns()
    table["myelin"] = np.abs(table["myelin"])
    plain, logs = read(write(tmp_path, table), SETTINGS), read(tmp_path, PointSettings(log1p=True))
    np.testing.assert_allclose(logs.train.x, np.log1p(plain.train.x), rtol=1e-6)
    np.testing.assert_allclose(logs.constants["mean"], np.log1p(plain.train.x).mean(axis=0), rtol=1e-4)


def test_log1p_of_what_has_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"needs values > -1, got down to: myelin \(-"):
        read(write(tmp_path, columns()), PointSettings(log1p=True))


def test_rows_without_a_number_are_dropped_and_counted(tmp_path: Path) -> None:
    table = columns()
    table["curvature"][[3, 4]], table["x"][5], table["myelin"][6] = np.nan, np.nan, np.inf
    maps = read(write(tmp_path, table), PointSettings(reading="maps"))
    assert (maps.counts["rows"], maps.counts["dropped_rows"], maps.counts["points"]) == (COUNT, 1, COUNT - 1)
    assert maps.counts["missing_values"] == 3
    data = read(tmp_path, SETTINGS)
    assert (data.counts["dropped_rows"], data.counts["missing_values"]) == (1, 3)
    assert set(range(COUNT)) - set(np.concatenate(numbers(data)).tolist()) == {5}


def test_statistics_are_of_what_is_there_and_the_training_mean_fills_what_is_not(tmp_path: Path) -> None:
    table = columns()
    lacking = np.random.default_rng(1).random(COUNT) < 0.3
    table["myelin"][lacking] = np.nan
    data = read(write(tmp_path, table), PointSettings(scaling="minmax"))
    train = data.train.x[:, 3]
    assert np.isnan(data.train.x[:, :3]).sum() == 0 and 0.2 < np.isnan(train).mean() < 0.4
    observed = train[~np.isnan(train)].astype(np.float64)
    found = {name: float(data.constants[name][3]) for name in ("minimum", "maximum", "fill", "mean", "std")}
    expected = {"minimum": observed.min(), "maximum": observed.max(), "fill": observed.mean()}
    assert found == pytest.approx(expected | {"mean": observed.min(), "std": np.ptp(observed)}, rel=1e-5)
    assert "fill" not in read(write(tmp_path, columns()), SETTINGS).constants


def test_channels_and_points_without_a_value_are_dropped(tmp_path: Path) -> None:
    table = columns()
    names = ("curvature", "thickness", "myelin")
    in_test = numbers(read(write(tmp_path, table), SETTINGS))[2]
    for name in (*names, "number"):
        table[name][0] = np.nan  # a point with nothing
    table["myelin"][in_test] = np.nan
    data = read(write(tmp_path, table), SETTINGS)
    assert data.info["dropped_channels"] == ["myelin"] and data.counts["dropped_rows"] == 1


def test_rows_without_a_section_are_dropped_where_sections_divide(tmp_path: Path) -> None:
    table: dict[str, Any] = columns()
    table["section"] = [None, *table["section"].tolist()[1:]]
    write(tmp_path, table)
    assert read(tmp_path, PointSettings(sections=True)).counts["dropped_rows"] == 1
    assert read(tmp_path, SETTINGS).counts["dropped_rows"] == 0


def test_channels_that_do_not_vary_in_train_are_dropped(tmp_path: Path) -> None:
    data = read(write(tmp_path, columns() | {"flat": np.full(COUNT, 0.1)}), SETTINGS)
    assert data.info["dropped_channels"] == ["flat"] and data.counts["dropped_channels"] == 1
    assert data.train.x.shape[1] == data.test.x.shape[1] == len(data.constants["std"]) == 4


def test_a_channel_that_varies_in_the_test_alone_is_dropped(tmp_path: Path) -> None:
    table = columns()
    in_test = numbers(read(write(tmp_path, table), SETTINGS))[2]
    late = np.zeros(COUNT, dtype=np.float32)
    late[in_test] = in_test
    data = read(write(tmp_path, table | {"late": late}), SETTINGS)
    assert data.info["dropped_channels"] == ["late"] and (data.constants["std"] > 0).all()


def test_csv_and_other_spellings(tmp_path: Path) -> None:
    spelled = {{"x": "X", "section": "Section"}.get(name, name): column for name, column in columns().items()}
    parquet = read(write(tmp_path / "a", columns()), SETTINGS)
    csv = read(write(tmp_path / "b", {"": np.arange(COUNT), **spelled}, "points.csv"), SETTINGS)
    assert csv.info == parquet.info and csv.groups == parquet.groups
    np.testing.assert_allclose(csv.train.x, parquet.train.x, rtol=1e-6)


def test_csv_beside_parquet_and_hidden_files_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "cortex", columns())
    (tmp_path / "cortex/.import").mkdir()
    for name in ("statistics.csv", "LICENSE", ".import/summary.csv", ".import/old.parquet"):
        (tmp_path / "cortex" / name).write_text("text")
    assert read(tmp_path, SETTINGS).counts["rows"] == COUNT


def test_a_plane_has_one_layer_of_blocks(tmp_path: Path) -> None:
    data = read(write(tmp_path, columns() | {"z": np.zeros(COUNT)}), SETTINGS)
    assert {name.split("/")[2] for name in data.groups} == {"0"}
    assert data.constants["scale"][2] == 1


def test_points_without_a_value_in_training_maps_are_left_out_of_maps(tmp_path: Path) -> None:
    """Of 3,000 points three have a value in the maps that do not train alone."""
    units = read(write(tmp_path / "all", columns()), PointSettings(reading="maps")).info["units"]
    table = columns()
    for name in units["train"]:
        table[name][[7, 8, 9]] = np.nan
    data = read(write(tmp_path / "some", table), PointSettings(reading="maps"))
    assert (data.counts["points"], data.counts["dropped_rows"]) == (2997, 3)
    assert "missing_values" not in data.counts and "fill" not in data.constants


def test_maps_divide_channels(tmp_path: Path) -> None:
    table = columns()
    data = read(write(tmp_path, table), PointSettings(reading="maps"))
    assert [part.x.shape for part in (data.train, data.validation, data.test)] == [(2, COUNT), (1, COUNT), (1, COUNT)]
    units = data.info["units"]
    assert sorted(map(len, units.values())) == [1, 1, 2]
    assert {*units["train"], *units["validation"], *units["test"]} == {"number", "curvature", "thickness", "myelin"}
    assert data.groups == units["test"] and data.test.condition.shape == (1, 0)
    np.testing.assert_array_equal(data.constants["coordinates"], np.stack([table[axis] for axis in "xyz"], axis=1))
    offset, factor = data.info["scales"][data.groups[0]]
    np.testing.assert_allclose(data.test.x[0] * factor + offset, table[data.groups[0]], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("scaling", "low", "high"), [("standard", None, None), ("minmax", 0, 1)])
def test_each_map_is_scaled_by_itself(tmp_path: Path, scaling: Any, low: float | None, high: float | None) -> None:
    data = read(write(tmp_path, columns()), PointSettings(reading="maps", scaling=scaling))
    for part in (data.train, data.validation, data.test):
        for image in part.x.astype(np.float64):
            if low is None:
                np.testing.assert_allclose([image.mean(), image.std()], [0, 1], atol=1e-4)
            else:
                np.testing.assert_allclose([image.min(), image.max()], [low, high], atol=1e-6)


def test_two_maps_are_refused(tmp_path: Path) -> None:
    table = columns()
    del table["number"], table["myelin"]
    with pytest.raises(DataError, match=r"got 2 channel\(s\) that vary, must be at least 3"):
        read(write(tmp_path, table | {"flat": np.ones(COUNT)}), PointSettings(reading="maps"))


def test_sections_of_maps_are_refused() -> None:
    with pytest.raises(ValidationError, match="sections: true divides points, reading: maps divides channels"):
        PointSettings(reading="maps", sections=True)


def test_points_at_one_place_are_refused_with_a_list(tmp_path: Path) -> None:
    table = columns()
    for axis, value in zip("xyz", (1.5, 2.5, 0.25), strict=True):
        table[axis][[7, 700, 70]] = value
    table["section"][:] = 1
    with pytest.raises(DataError, match=r"2 point\(s\) are at the place of another .*: 1\.5, 2\.5, 0\.25$"):
        read(write(tmp_path, table), SETTINGS)


def without(*names: str) -> dict[str, Any]:
    return {name: column for name, column in columns().items() if name not in names}


@pytest.mark.parametrize(
    ("table", "settings", "message"),
    [
        (without("z"), SETTINGS, r"must have x, y, z and at least one channel; missing \['z'\]"),
        (without("section"), PointSettings(sections=True), r"missing \['section'\]"),
        (without("number", "curvature", "thickness", "myelin"), SETTINGS, "missing a channel"),
        (columns() | {"name": ["a"] * COUNT}, SETTINGS, "column 'name' holds string, must be numbers"),
        (columns() | {"x": ["a"] * COUNT}, SETTINGS, "column 'x' holds string"),
        (
            without("curvature", "thickness", "myelin") | {"number": [None] * COUNT},
            SETTINGS,
            "none of 3000 rows has a number in every column",
        ),
        (
            without("number", "curvature", "thickness") | {"myelin": np.ones(COUNT)},
            SETTINGS,
            r"none of 1 channel\(s\) varies",
        ),
        (
            columns() | {"section": [1, 2] * (COUNT // 2)},
            PointSettings(sections=True),
            r"got 2 section\(s\) with points",
        ),
        (
            columns(20) | {"x": np.r_[0:0.001:19j, 1], "y": np.zeros(20), "z": np.zeros(20)},
            SETTINGS,
            r"got 2 block\(s\) with points, must be at least 3; raise `prepare\.blocks` \(now 6\)",
        ),
    ],
)
def test_wrong_tables_are_refused(tmp_path: Path, table: dict[str, Any], settings: PointSettings, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(write(tmp_path, table), settings)


def test_files_that_are_no_tables_and_several_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"got 0 tables \(no \.parquet, no \.csv\), must be 1"):
        read(tmp_path, SETTINGS)
    (tmp_path / "points.parquet").write_text("no table")
    with pytest.raises(DataError, match=r"points\.parquet: cannot be read"):
        read(tmp_path, SETTINGS)
    write(tmp_path / "mine", columns())
    with pytest.raises(DataError, match=r"got 2 tables \(mine/points\.parquet, points\.parquet\)"):
        read(tmp_path, SETTINGS)


def test_columns_that_are_there_twice_are_refused(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("x,y,z,a,a\n1,2,3,4,5\n")
    with pytest.raises(DataError, match=r"columns \['a'\] occur twice"):
        read(tmp_path, SETTINGS)
    (tmp_path / "points.csv").write_text("x,y,z,X,a\n1,2,3,4,5\n")
    with pytest.raises(DataError, match=r"columns \['x'\] occur twice"):
        read(tmp_path, SETTINGS)


def test_blocks_of_a_grid_by_hand() -> None:
    places = np.array([[0, 0], [4, 0], [3.9, 1], [8, 2]], dtype=np.float32)
    members, names = grid_blocks(places, 2)
    assert [names[member] for member in members] == ["0/0", "1/0", "0/1", "1/1"]


@pytest.mark.parametrize("sizes", [[1, 1, 1], [10, 1, 1], [1] * 7, [50, 3, 2, 900, 1]])
@pytest.mark.parametrize("seed", range(5))
def test_dividing_leaves_no_part_empty(sizes: list[int], seed: int) -> None:
    assert set(divide(np.array(sizes), 0.1, 0.1, seed).tolist()) == {0, 1, 2}


def test_the_test_has_ten_units_where_that_can_be() -> None:
    sizes = np.array([40] * 5 + [10] * 40)  # 600 members, the test's 120 fit three large units or twelve small ones
    for seed in range(10):
        parts = divide(sizes, 0.2, 0.2, seed)
        assert (parts == TEST).sum() >= 10
        assert abs(sizes[parts == TEST].sum() - 120) <= 10


@pytest.mark.parametrize("seed", range(20))
def test_no_donor_is_in_two_parts(tmp_path: Path, seed: int) -> None:
    """Whatever the structure of groups, also where donors lie over one another and `sections` is asked for."""
    random = np.random.default_rng(seed)
    donors = random.integers(0, random.integers(3, 12), COUNT)
    donors[:3] = [0, 1, 2]
    table = columns() | {"donor": [f"p{number}" for number in donors]}
    data = read(write(tmp_path, table), PointSettings(sections=bool(seed % 2), seed=seed))
    sides = [set(donors[own].tolist()) for own in numbers(data)]
    assert all(sides) and not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    assert sum(map(len, numbers(data))) == COUNT
    assert data.groups == [f"p{donors[own]}" for own in numbers(data)[2]]


def test_sections_may_have_points_at_one_place(tmp_path: Path) -> None:
    table = columns()
    for axis in "xyz":
        table[axis][1] = table[axis][0]
    table["section"][:2] = [1, 2]
    data = read(write(tmp_path, table), SETTINGS)
    sides = [own.tolist() for own in numbers(data)]
    assert [0 in side for side in sides] == [1 in side for side in sides]  # one place, one block, one part
    with pytest.raises(DataError, match=r"1 point\(s\) are at the place of another of the same section"):
        read(write(tmp_path, table | {"section": np.ones(COUNT, dtype=np.int64)}), SETTINGS)


def test_channels_with_too_few_values_are_dropped_by_name(tmp_path: Path) -> None:
    myelin = columns()["myelin"]
    myelin[np.arange(COUNT) % 20 != 0] = np.nan  # 5 %
    data = read(write(tmp_path, columns() | {"myelin": myelin}), SETTINGS)
    assert (data.info["dropped_channels"], data.counts["dropped_channels"]) == (["myelin"], 1)
    assert (data.counts["dropped_rows"], sum(map(len, numbers(data)))) == (0, COUNT)
