"""Groups of items that belong together: of one person, one slide, one movie; a group never lies in two parts.

`groups.csv` in a data set says which: columns `item` (a file, relative to the data set, or a subject) and `group`. It
is written by `vaeforge import`, or by hand.

Shapes: N items; parts int64 [N], 0 train, 1 validation, 2 test.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vaeforge.errors import ConfigError, DataError
from vaeforge.paths import write_bytes

FILE = "groups.csv"
HEAD = ("item", "group")


def write_groups(folder: Path, groups: Mapping[str, str]) -> None:
    """Write `groups.csv` of a data set: the group of each item."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEAD)
    writer.writerows(sorted(groups.items()))
    write_bytes(folder / FILE, text.getvalue().encode())


def read_groups(folder: Path) -> dict[str, str]:
    """The group of each item below `folder`, by its path relative to it; empty where no `groups.csv` is there.

    Raises:
        DataError: if a file cannot be read, or has other columns.
    """
    found: dict[str, str] = {}
    for path in sorted(folder.rglob(FILE)):
        below = path.parent.relative_to(folder)
        if not any(part.startswith(".") for part in below.parts):
            found |= {(below / item).as_posix(): group for item, group in read_table(path).items()}
    return found


def read_table(path: Path, item: str = HEAD[0], group: str = HEAD[1]) -> dict[str, str]:
    """The columns `item` and `group` of a CSV or TSV.

    Raises:
        DataError: if it cannot be read, lacks a column, or names an item twice with different groups.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    rows = csv.DictReader(io.StringIO(text), delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    missing = [name for name in (item, group) if name not in (rows.fieldnames or ())]
    if missing:
        raise DataError(f"{path}: has no column {', '.join(missing)}, but {', '.join(rows.fieldnames or ())}")
    found: dict[str, str] = {}
    for row in rows:
        name, value = (row[item] or "").strip(), (row[group] or "").strip()
        if found.setdefault(name, value) != value:
            raise DataError(f"{path}: {name!r} belongs to {found[name]!r} and {value!r}, must be in one group")
    return found


def grouped_by(pattern: str, names: Iterable[str]) -> dict[str, str]:
    """The group of each name by a regular expression: its group `group`, its first group, or all that it matches.

    Raises:
        ConfigError: if the pattern is none, or does not match every name.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"--groups: got {pattern!r}, no regular expression ({error})") from None
    found, wrong = {}, []
    for name in names:
        match = compiled.search(name)
        if match is None:
            wrong.append(name)
            continue
        named = match.groupdict()
        found[name] = named.get("group") or next(filter(None, match.groups()), match[0])
    if wrong:
        listed = ", ".join(wrong[:3])
        raise ConfigError(f"--groups: {pattern!r} matches {len(found)} names, must match all; not {listed}")
    return found


def merged(*labelings: Sequence[Hashable]) -> NDArray[np.int64]:
    """The number of each item's group, int64 [N]: items with one label in any of the labelings belong together."""
    count = len(labelings[0])
    parent = list(range(count))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for labels in labelings:
        first: dict[Hashable, int] = {}
        for item, label in enumerate(labels):
            parent[root(item)] = root(first.setdefault(label, item))
    roots = [root(item) for item in range(count)]
    numbers = {found: number for number, found in enumerate(dict.fromkeys(roots))}
    return np.array([numbers[found] for found in roots], dtype=np.int64)


def divided(groups: Sequence[Hashable], wanted: Sequence[int], rng: np.random.Generator) -> NDArray[np.int64]:
    """The part of each item, whole groups at a time.

    Groups are drawn in a random order; each goes to the part that lacks most items of what is `wanted`, in proportion.
    With one item a group the parts have exactly the wanted sizes.

    Args:
        groups: of each item.
        wanted: items of each part, which sum to their number.
        rng: draws the order.

    Returns:
        int64 [N], numbers of parts.
    """
    sizes = Counter(groups)
    order = list(sizes)
    order = [order[place] for place in rng.permutation(len(order))]
    order.sort(key=lambda name: -sizes[name])  # large ones first, or none fits in the end; stable
    left = np.array(wanted, dtype=np.float64)
    part_of: dict[Hashable, int] = {}
    for name in order:
        part = int(np.argmax(left))
        part_of[name] = part
        left[part] -= sizes[name]
    return np.array([part_of[name] for name in groups], dtype=np.int64)
