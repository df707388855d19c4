"""Groups: whatever people and classes there are, nobody is in two parts, and no part is empty."""

import csv
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from vaeforge.config.prepare import Prepare
from vaeforge.data.group_rules import Grouping
from vaeforge.data.group_split import divide_groups
from vaeforge.data.layouts import classes, pictures, points
from vaeforge.data.layouts.series import SeriesSettings, read
from vaeforge.errors import DataError


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


SIDE = 16


@contextmanager
def pictures_of_people(owners: list[tuple[str, str]], seed: int) -> Iterator[tuple[Path, dict[bytes, str]]]:
    """A data set of a picture of noise for each (class, person), of a sample's size, and whose each picture is."""
    random, owner = np.random.default_rng(seed), dict[bytes, str]()
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for number, (label, person) in enumerate(owners):
            pixels = random.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
            (Path(folder) / label).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(Path(folder) / label / f"{number}.png")
            rows.append((f"{label}/{number}.png", person))
            owner[pixels.tobytes()] = person
        with (Path(folder) / "groups.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("item", "group"), *rows])
        yield Path(folder), owner


def people_in(x: NDArray[np.uint8], owner: dict[bytes, str]) -> set[str]:
    """Whose pictures [N, C, 16, 16] are, by their first channel."""
    return {owner[np.ascontiguousarray(image[0]).tobytes()] for image in x}


PEOPLE = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 7)), min_size=12, max_size=40)


@given(PEOPLE, st.integers(0, 9))
def test_no_person_is_in_two_parts_of_normal_and_anomalous_pictures(drawn: list[tuple[int, int]], seed: int) -> None:
    """People have normal and anomalous pictures in any number; whoever trains or validates is not tested."""
    owners = [(("normal", "polyp")[label], f"p{person}") for label, person in drawn]
    with pictures_of_people(owners, seed) as (folder, owner):
        try:
            data = pictures.read(folder, pictures.PictureSettings(size=SIDE, margin=0, seed=seed))
        except DataError:  # too few people for three parts, or all anomalous ones train
            return
    parts = [people_in(part.x, owner) for part in (data.train, data.validation, data.test)]
    assert all(parts) and sum(map(len, parts)) == len(set.union(*parts))
    assert set(data.groups) == parts[2]
    tested = [owner[np.ascontiguousarray(image[0]).tobytes()] for image in data.test.x]
    assert tested == data.groups


@given(PEOPLE, st.integers(0, 9))
def test_no_person_is_in_two_parts_of_pictures_of_classes(drawn: list[tuple[int, int]], seed: int) -> None:
    owners = [(("round", "long")[label], f"p{person}") for label, person in drawn]
    with pictures_of_people(owners, seed) as (folder, owner):
        try:
            data = classes.read(folder, classes.ClassSettings(size=SIDE, seed=seed))
        except DataError:  # too few people for three parts
            return
    parts = [people_in(part.x, owner) for part in (data.train, data.validation, data.test)]
    assert all(parts) and sum(map(len, parts)) == len(set.union(*parts)) == len(set(owner.values()))
    assert set(data.groups) == parts[2]
