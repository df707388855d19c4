"""Groups: whatever people and classes there are, nobody is in two parts, and no part is empty."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
from hypothesis import given
from hypothesis import strategies as st

from vaeforge.config.prepare import Prepare
from vaeforge.data.group_rules import Grouping
from vaeforge.data.group_split import divide_groups
from vaeforge.data.layouts import points
from vaeforge.data.layouts.series import SeriesSettings, read


@given(st.lists(st.integers(0, 12), min_size=3, max_size=60).filter(lambda groups: len(set(groups)) > 2), st.data())
def test_no_group_is_in_two_parts_and_no_part_is_empty(groups: list[int], data: st.DataObject) -> None:
    items = [f"item {number}" for number in range(len(groups))]
    classes = data.draw(st.lists(st.integers(0, 2), min_size=len(items), max_size=len(items)))
    sizes = np.eye(3, dtype=np.int64)[classes][:, sorted(set(classes))]
    grouping = Grouping(dict(zip(items, map(str, groups), strict=True)), "")
    parts = divide_groups(items, grouping, sizes, Prepare(seed=data.draw(st.integers(0, 9))))
    assert set(parts.tolist()) == {0, 1, 2}
    assert len({(group, part) for group, part in zip(groups, parts.tolist(), strict=True)}) == len(set(groups))


@given(st.lists(st.integers(1, 4), min_size=5, max_size=12), st.integers(0, 9))
def test_no_person_is_in_two_parts_of_series(runs: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    names = [f"sub-{person:02}_run-{run}" for person, count in enumerate(runs) for run in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        values = {name: random.normal(size=(random.integers(2, 9), 3)).astype(np.float32) for name in names}
        np.savez(Path(folder) / "timeseries.npz", **values)
        data = read(Path(folder), SeriesSettings(seed=seed))
    people = [{name[:6] for name in units} for units in data.info["units"].values()]
    assert sum(map(len, people)) == len(runs) == len(set.union(*people))
    assert set(data.groups) == people[2] and data.counts["test_groups"] == len(people[2])


@given(st.lists(st.integers(2, 5), min_size=3, max_size=12), st.integers(0, 9), st.booleans(), st.booleans())
def test_no_donor_and_no_section_is_in_two_parts_of_points(
    counts: list[int], seed: int, by_section: bool, holed: bool
) -> None:
    """Points of donors, or of sections, in any number and order, some without a value, and one without a label."""
    random = np.random.default_rng(seed)
    owners = random.permutation(np.repeat([f"d{number}" for number in range(len(counts))], counts))
    values = random.normal(size=(len(owners), 3)).astype(np.float32)
    values[::3, 1] = np.nan if holed else 0
    labels = [None if holed and not number else name for number, name in enumerate(owners.tolist())]
    table = dict(zip(("x", "y", "z"), random.normal(size=(3, len(owners))), strict=True))
    table |= {"a": values[:, 0], "b": values[:, 1], "section" if by_section else "donor": labels}
    with tempfile.TemporaryDirectory() as folder:
        pyarrow.parquet.write_table(pyarrow.table(table), Path(folder) / "points.parquet")
        data = points.read(Path(folder), points.PointSettings(seed=seed, sections=by_section))
    known = {(float(np.float32(x)), name) for x, name in zip(table["x"], labels, strict=True) if name is not None}
    people = [
        {name for x, name in known if x in part.condition[:, 0].tolist()}
        for part in (data.train, data.validation, data.test)
    ]
    assert sum(map(len, people)) == len(counts) == len(set.union(*people)) and all(people)
    assert set(data.groups) == people[2]
