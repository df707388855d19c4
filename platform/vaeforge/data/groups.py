"""Groups of items that belong together: of one person, one slide, one movie; a group never lies in two parts.

`groups.csv` in a data set says which: columns `item` (a file, relative to the data set, or a subject) and `group`. It
is written by `vaeforge import`, or by hand. `group_split.py` divides them.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from vaeforge.errors import ConfigError, DataError
from vaeforge.paths import write_bytes

FILE = "groups.csv"
HEAD = ("item", "group")


def write_groups(folder: Path, groups: Mapping[str, str], name: str = FILE, column: str = HEAD[1]) -> None:
    """Write `groups.csv` of a data set: the group of each item; or another file `name` and its `column`."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((HEAD[0], column))
    writer.writerows(sorted(groups.items()))
    write_bytes(folder / name, text.getvalue().encode())


def read_groups(folder: Path, name: str = FILE, column: str = HEAD[1]) -> dict[str, str]:
    """The group of each item below `folder`, by its path relative to it; empty where no `groups.csv` is there.

    The same of another file `name` and its `column`.

    Raises:
        DataError: if a file cannot be read, or has other columns.
    """
    found: dict[str, str] = {}
    for path in sorted(folder.rglob(name)):
        below = path.parent.relative_to(folder)
        if not any(part.startswith(".") for part in below.parts):
            table = read_table(path, HEAD[0], column)
            found |= {(below / item).as_posix(): group for item, group in table.items()}
    return found


def read_table(path: Path, item: str = HEAD[0], group: str = HEAD[1]) -> dict[str, str]:
    """The columns `item` and `group` of a CSV or TSV.

    Raises:
        DataError: if it cannot be read, lacks a column, or names an item twice with different groups.
    """
    names, rows = table_rows(path)
    missing = [name for name in (item, group) if name not in names]
    if missing:
        raise DataError(f"{path}: has no column {', '.join(missing)}, but {', '.join(names)}")
    found: dict[str, str] = {}
    for row in rows:
        name, value = row[item], row[group]
        if found.setdefault(name, value) != value:
            raise DataError(f"{path}: {name!r} belongs to {found[name]!r} and {value!r}, must be in one group")
    return found


def table_rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns of a small table about items, and its rows by column; cells are texts without space around them.

    Commas, semicolons or tabs lie between cells, whichever the first line holds most of; a byte-order mark is no part
    of the first name. A row without all of its cells has "" for them.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=max("\t,;", key=first.count), restval="")
            rows = [{str(name).strip(): str(value).strip() for name, value in row.items()} for row in reader]
            return [str(name).strip() for name in reader.fieldnames or ()], rows
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a table ({error})") from None


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
