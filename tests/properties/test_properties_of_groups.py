"""Groups: whatever people and classes there are, nobody is in two parts, and no part is empty."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vaeforge.config.prepare import Prepare
from vaeforge.data.group_rules import Grouping
from vaeforge.data.group_split import divide_groups
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
