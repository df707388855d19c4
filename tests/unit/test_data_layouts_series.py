"""Time series: no time point in two parts, a gap between parts, statistics of train alone, refusals."""

from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from vaeforge.data.layouts.series import SeriesSettings, read
from vaeforge.errors import DataError
from vaeforge.samples import DataSet

VOXELS = 4
SETTINGS = SeriesSettings(block=20, gap=5)


def series(subject: int, length: int) -> NDArray[np.float32]:
    """The first voxel is the subject, the second the time point, the others noise."""
    matrix = np.random.default_rng(subject).normal(3, 2, (length, VOXELS)).astype(np.float32)
    matrix[:, 0], matrix[:, 1] = subject, np.arange(length)
    return matrix


def write(folder: Path, *lengths: int, **arrays: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    known = {f"sub-{number:02}": series(number, length) for number, length in enumerate(lengths)}
    np.savez(folder / "timeseries.npz", **(known | arrays))
    return folder


def places(data: DataSet) -> list[list[tuple[int, int]]]:
    """The (subject, time point) of each sample of each part; one subject's own voxel is dropped."""
    subjects = data.counts["subjects"] > 1
    return [
        [(int(row[0]), int(row[1])) if subjects else (0, int(row[0])) for row in part.x]
        for part in (data.train, data.validation, data.test)
    ]


def test_no_time_point_is_in_two_parts_and_parts_are_apart(tmp_path: Path) -> None:
    parts = places(read(write(tmp_path, 652, 300), SETTINGS))
    assert max(Counter(place for part in parts for place in part).values()) == 1
    for one, other in ((0, 1), (0, 2), (1, 2)):
        nearest = min(abs(a[1] - b[1]) for a, b in product(parts[one], parts[other]) if a[0] == b[0])
        assert nearest == SETTINGS.gap + 1


def test_what_is_left_out_lies_between_parts(tmp_path: Path) -> None:
    data = read(write(tmp_path, 652), SETTINGS)
    owner = {time: number for number, part in enumerate(places(data)) for _, time in part}
    missing = sorted(set(range(652)) - set(owner))
    assert len(missing) == data.counts["left_out"] and len(missing) % SETTINGS.gap == 0
    for start in missing[:: SETTINGS.gap]:
        assert owner[start - 1] != owner[start + SETTINGS.gap]


def test_652_points_make_32_blocks_of_which_the_test_has_ten(tmp_path: Path) -> None:
    data = read(write(tmp_path, 652), SETTINGS)
    units = data.info["units"]
    assert sum(map(len, units.values())) == 32 and len(units["test"]) == data.counts["test_groups"] == 10
    assert {len(units["train"]), len(units["validation"])} == {16, 6}
    assert sorted(set(data.groups)) == sorted(units["test"])
    for (_, time), group in zip(places(data)[2], data.groups, strict=True):
        assert group == f"sub-00/{min(time // 20, 31)}"  # the last block takes the remainder of 12


def test_shares_without_gaps(tmp_path: Path) -> None:
    data = read(write(tmp_path, 1000), SeriesSettings(block=10, gap=0, validation=0.2, test=0.3))
    assert [len(part) for part in (data.train, data.validation, data.test)] == [500, 200, 300]


def test_from_five_subjects_on_subjects_are_divided(tmp_path: Path) -> None:
    data = read(write(tmp_path, *[30] * 10), SETTINGS)
    train, validation, test = ({subject for subject, _ in part} for part in places(data))
    assert [len(part) for part in (train, validation, test)] == [5, 2, 3]
    assert len(train | validation | test) == 10
    assert data.groups == [f"sub-{subject:02}" for subject, _ in places(data)[2]]
    assert data.counts["left_out"] == 0 and data.info["split"] == "subject"


@pytest.mark.parametrize(("count", "split"), [(4, "time"), (5, "subject")])
def test_what_auto_chooses(tmp_path: Path, count: int, split: str) -> None:
    assert read(write(tmp_path, *[60] * count), SETTINGS).info["split"] == split


def test_the_split_can_be_asked_for(tmp_path: Path) -> None:
    write(tmp_path, *[60] * 5)
    assert read(tmp_path, SeriesSettings(split="time")).info["split"] == "time"
    write(tmp_path, *[60] * 3)
    assert read(tmp_path, SeriesSettings(split="subject")).counts["test_groups"] == 1


def test_the_seed_decides_and_repeats(tmp_path: Path) -> None:
    write(tmp_path, 400)
    first, again, other = (read(tmp_path, SeriesSettings(seed=seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.train.x, again.train.x)
    assert first.groups == again.groups and first.info["units"] != other.info["units"]


def test_statistics_are_of_train_alone_and_in_raw_units(tmp_path: Path) -> None:
    matrix = series(1, 400)
    matrix[:, 2] = 1e4 + np.random.default_rng(9).normal(0, 1, 400)
    data = read(write(tmp_path, subject=matrix), SETTINGS)
    chosen = [time for _, time in places(data)[0]]
    np.testing.assert_array_equal(data.train.x, matrix[chosen][:, 1:])
    expected = matrix[chosen][:, 1:].astype(np.float64)
    np.testing.assert_allclose(data.constants["mean"], expected.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(data.constants["std"], expected.std(axis=0), rtol=1e-6)
    assert all(array.dtype == np.float32 for array in (data.train.x, *data.constants.values()))


def test_voxels_that_do_not_vary_in_train_are_dropped_everywhere(tmp_path: Path) -> None:
    matrix = series(7, 400)
    quiet = read(write(tmp_path, subject=matrix), SETTINGS)
    assert quiet.info["dropped_voxels"] == [0] and quiet.info["voxels"] == 3
    assert (quiet.counts["dropped_voxels"], quiet.counts["voxels"]) == (1, 3)
    in_test = [time for _, time in places(quiet)[2]]
    matrix[:, 3] = 0.1
    matrix[in_test, 3] = 5  # varies, but not where models learn
    data = read(write(tmp_path, subject=matrix), SETTINGS)
    assert data.info["dropped_voxels"] == [0, 3]
    assert {part.x.shape[1] for part in (data.train, data.validation, data.test)} == {2}


def test_short_series_are_blocks_of_their_own(tmp_path: Path) -> None:
    data = read(write(tmp_path, 15, 15, 15), SETTINGS)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [15, 15, 15]


def test_a_file_per_subject(tmp_path: Path) -> None:
    for number in range(5):
        np.savez(tmp_path / f"S{number}.npz", data=series(number, 10 + number))
    data = read(tmp_path, SETTINGS)
    assert data.info["subjects"] == {f"S{number}": 10 + number for number in range(5)}


def test_values_that_are_no_numbers_are_missing_and_no_sample_is_lost(tmp_path: Path) -> None:
    broken = series(8, 100)
    broken[3, 2], broken[4, 2] = np.nan, np.inf
    huge = series(9, 100).astype(np.float64)
    huge[0, 3] = 1e300
    data = read(write(tmp_path, 100, broken=broken, huge=huge), SETTINGS)
    found = {place: row for part in (data.train, data.validation, data.test) for place, row in placed(part.x)}
    for place, voxel in (((8, 3), 2), ((8, 4), 2), ((9, 0), 3)):
        assert np.flatnonzero(np.isnan(found[place])).tolist() == [voxel], place
    assert data.counts["missing_values"] == 3 and not data.quarantined
    whole = read(write(tmp_path, 100, broken=series(8, 100), huge=series(9, 100)), SETTINGS)
    assert data.counts["left_out"] == whole.counts["left_out"] and data.info["units"] == whole.info["units"]


def placed(x: NDArray[np.float32]) -> list[tuple[tuple[int, int], NDArray[np.float32]]]:
    """Samples by subject and time point."""
    return [((int(row[0]), int(row[1])), row) for row in x]


def test_constants_are_of_what_is_observed_in_train(tmp_path: Path) -> None:
    matrix = series(1, 400)
    matrix[::7, 2] = np.nan
    data = read(write(tmp_path, subject=matrix), SETTINGS)
    times = [int(row[0]) for row in data.train.x]  # the first voxel, the subject, is constant and dropped
    observed = [float(matrix[time, 2]) for time in times if time % 7]
    for name, expected in (("mean", np.mean(observed)), ("std", np.std(observed)), ("fill", np.mean(observed))):
        assert data.constants[name][1] == pytest.approx(expected, rel=1e-6), name
    assert "fill" not in read(write(tmp_path, subject=series(1, 400)), SETTINGS).constants


def test_what_has_too_few_values_is_left_out(tmp_path: Path) -> None:
    """Time points first, so that those without values count against no voxel; then voxels of all subjects."""
    rng = np.random.default_rng(0)
    one, other = (rng.normal(size=(100, 6)).astype(np.float32) for _ in range(2))
    one[:, 0], other[:, 0] = np.arange(100), np.arange(100, 200)
    one[:60, 1:] = np.nan  # 60 time points with one value of 6
    one[60:79, 2] = np.nan  # 19 of the 40 others: enough are left
    one[60:81, 3] = np.nan  # 21 of 40
    data = read(write(tmp_path, one=one, other=other), SETTINGS)
    assert data.info["dropped_voxels"] == [3] and data.counts["voxels"] == 5
    rows = [row for part in (data.train, data.validation, data.test) for row in part.x]
    times = {int(row[0]) for row in rows}
    assert min(times) >= 60
    missing = {int(row[0]) for row in rows if np.isnan(row).any()}
    assert missing == times & set(range(60, 79)) and data.counts["missing_values"] == len(missing)
    empty = np.full((100, 6), np.nan, dtype=np.float32)
    empty[:, :2] = 1
    assert read(write(tmp_path, other=other, empty=empty), SETTINGS).quarantined == {
        "empty": "4 of 6 voxels have no value"
    }


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"other": np.ones((60, 5))}, r"got voxels \{'other': 5, 'sub-00': 4\}, must be the same"),
        ({"other": np.ones(60)}, r"other: got float64 \(60,\), must be real numbers \[timepoints, voxels\]"),
        ({"other": np.ones((0, 4))}, r"other: got float64 \(0, 4\)"),
        ({"other": np.ones((60, 4), dtype=complex)}, "other: got complex128"),
        ({"other": np.array([[1, "x"]], dtype=object)}, "cannot be read as an archive without pickled objects"),
        ({"other": series(0, 60)}, r"1 series occur twice.*other = sub-00"),
    ],
)
def test_wrong_archives_are_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(write(tmp_path, 60, **arrays), SETTINGS)


def test_nothing_usable_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no archive"):
        read(tmp_path, SETTINGS)
    np.savez(tmp_path / "timeseries.npz")
    with pytest.raises(DataError, match="holds no arrays"):
        read(tmp_path, SETTINGS)
    write(tmp_path, broken=np.full((60, 4), np.nan))
    with pytest.raises(DataError, match="no usable subject"):
        read(tmp_path, SETTINGS)
    write(tmp_path, flat=np.ones((60, 4)))
    with pytest.raises(DataError, match="none of 4 voxels varies"):
        read(tmp_path, SETTINGS)


def test_too_little_to_divide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"got 2 block\(s\) of time points, must be at least 3; .*block` \(now 20\)"):
        read(write(tmp_path, 59), SETTINGS)
    with pytest.raises(DataError, match=r"got 2 subject\(s\), must be at least 3"):
        read(write(tmp_path, 100, 100), SeriesSettings(split="subject"))


def test_a_subject_in_two_files_and_two_data_sets_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "mine", 60, 60)
    np.savez(tmp_path / "mine/more.npz", **{"sub-01": series(5, 60)})
    with pytest.raises(DataError, match="subject 'sub-01' is in another archive"):
        read(tmp_path, SETTINGS)
    write(tmp_path / "resting", 60)
    with pytest.raises(DataError, match=r"holds 2 data sets \(mine, resting\)"):
        read(tmp_path, SETTINGS)


def test_a_gap_as_long_as_a_block_is_refused() -> None:
    with pytest.raises(ValidationError, match="gap 5 can leave nothing of a block of 5"):
        SeriesSettings(block=5, gap=5)


def test_few_people_with_several_runs_are_divided_as_people(tmp_path: Path) -> None:
    arrays = {f"sub-{person}_run-{run}": series(10 * person + run, 30) for person in range(3) for run in (1, 2)}
    data = read(write(tmp_path, **arrays), SETTINGS)
    assert data.info["split"] == "subject" and data.counts["subjects"] == 3
    assert all(len({name[:5] for name in units}) == 1 and len(units) == 2 for units in data.info["units"].values())


def test_groups_and_parts_of_the_data_set_are_kept(tmp_path: Path) -> None:
    write(tmp_path / "set", 30, 30, 30, 30)
    (tmp_path / "set/groups.csv").write_text("item,group\nsub-00,A\nsub-01,A\nsub-02,B\nsub-03,C\n")
    (tmp_path / "set/parts.csv").write_text("item,part\nsub-00,test\nsub-01,test\nsub-02,train\nsub-03,validation\n")
    data = read(tmp_path, SETTINGS)
    assert data.info["units"] == {"train": ["sub-02"], "validation": ["sub-03"], "test": ["sub-00", "sub-01"]}
    assert set(data.groups) == {"A"}
