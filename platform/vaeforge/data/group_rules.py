"""Rules that find the groups of a source's items, such as the runs of a person, and the parts that a source has.

Items are pictures by their path in the source (`class/patient/07.png`), series by theirs (`sub-01_run-2.npz`), points
by the value in their column. Which group an item is in follows, in this order, from what the user says (a pattern, or a
column of a table), from BIDS names (`sub-01_ses-2_run-1` is of person `sub-01`), or from a `participants.tsv` whose
`participant_id` the names begin with. A data set carries groups as `groups.csv` and, where the source was divided
already and that is kept, parts as `parts.csv`.

BIDS: https://bids-specification.readthedocs.io, "Entities" and "Participants file".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vaeforge.data.block_split import PARTS
from vaeforge.data.groups import FILE, grouped_by, read_groups, table_rows, write_groups
from vaeforge.data.repeated_names import REPEATS, differing
from vaeforge.data.source_files import listed
from vaeforge.errors import ConfigError, DataError, nearest

PARTS_FILE, PART = "parts.csv", "part"
PARTICIPANTS = "participants.tsv"
BY_ITSELF = "each by itself"
ALONE = "none"  # of `--groups`: each item by itself
FOLDERS = "folders"  # of `--split`: by folders called train, validation, test
SUBJECT = re.compile(r"(?:^|[/_])(sub-[A-Za-z0-9]+)(?=[/_.]|$)")
SHOWN = 3  # names of a group
PART_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
KEYS = ("item", "participant_id", "file", "filename", "file_name", "image", "path", "name", "subject")
GROUP_COLUMNS = ("group", "patient", "subject", "person", "donor", "case")
TABLES = (".csv", ".tsv")
PART_COLUMNS = ("part", "split", "set", "subset", "partition")


@dataclass(frozen=True, kw_only=True)
class GroupRequest:
    """What the user says about groups and parts; empty: nothing.

    Attributes:
        pattern: a regular expression that finds the group in an item's name: its first parenthesis, or all it matches;
            what folders mean, as `class/patient/image` (see `folder_levels`); a file with the columns item and group;
            `none`: each item is a group of its own.
        column: of a table of the source.
        split: `folders`, a file with the columns item and part, or a column of a table of the source.
    """

    pattern: str = ""
    column: str = ""
    split: str = ""


@dataclass(frozen=True)
class Grouping:
    """The group of each item.

    Attributes:
        groups: by item.
        rule: by which they were found.
        parts: of each item, where parts that the source has are kept.
        question: what the user should say, where the rule is assumed; empty where it is sure.
        assumed: what the rule assumes then.
    """

    groups: Mapping[str, str]
    rule: str
    parts: Mapping[str, str] | None = None
    question: str = ""
    assumed: str = ""

    @property
    def told(self) -> bool:
        """Whether anything said more than that each item is by itself."""
        return self.rule != BY_ITSELF or self.parts is not None

    @property
    def count(self) -> int:
        """How many groups there are."""
        return len(set(self.groups.values()))

    @property
    def joins(self) -> bool:
        """Whether a group has several items."""
        return self.count < len(self.groups)

    def renamed(self, names: Mapping[str, str]) -> "Grouping":
        """The same groups of the same items under other names, one that has only itself called like its item."""
        groups = {names[item]: names.get(group, group) for item, group in self.groups.items()}
        parts = {names[item]: part for item, part in self.parts.items()} if self.parts else None
        return replace(self, groups=groups, parts=parts)

    def described(self, items: str) -> str:
        """One sentence for people; `items` says what the items are, in the plural."""
        kept = "; the source's parts are kept" if self.parts else ""
        return f"{len(self.groups)} {items} are {self.count} groups ({self.rule}); a group is in one part only{kept}"


def group_items(items: Sequence[str], request: GroupRequest, tables: Sequence[Path] = ()) -> Grouping:
    """The groups of a source's items.

    Args:
        items: their names, all different.
        request: what the user says.
        tables: files of the source that say something about items, such as `participants.tsv`.

    Raises:
        ConfigError: if pattern, column or split cannot be meant so.
        DataError: if an item is in no group, or a group is in two parts.
    """
    if request.pattern and request.column:
        raise ConfigError("--groups and --group-column: both given, must be one of them; leave one away")
    grouping = _asked(items, request, tables) or _found(items, tables)
    parts = _kept_parts(items, request.split, tables) if request.split else None
    return checked(replace(grouping, parts=parts))


def automatic(items: Sequence[str]) -> Grouping:
    """The groups that BIDS names tell; each item without one is a group of its own."""
    matches = {item: SUBJECT.search(item) for item in items}
    groups = {item: match[1] if match else item for item, match in matches.items()}
    told = any(matches.values())
    return Grouping(groups, "by sub-… in their names" if told else BY_ITSELF)


def checked(grouping: Grouping) -> Grouping:
    """`grouping`, unless a group is in two parts.

    Raises:
        DataError: naming the groups and their parts.
    """
    where: dict[str, set[str]] = {}
    for item, part in (grouping.parts or {}).items():
        where.setdefault(grouping.groups[item], set()).add(part)
    torn = [f"{group} in {' and '.join(sorted(parts))}" for group, parts in where.items() if len(parts) > 1]
    if torn:
        raise DataError(
            f"--split: {len(torn)} group(s) are in two parts, must be in one ({grouping.rule}): {listed(torn)}; give "
            "other parts, or leave --split away, so that groups are divided anew"
        )
    return grouping


def write_grouping(folder: Path, grouping: Grouping) -> None:
    """Write `groups.csv` into a data set's folder and, where parts are kept, `parts.csv`."""
    write_groups(folder, grouping.groups)
    if grouping.parts:
        write_groups(folder, grouping.parts, PARTS_FILE, PART)


def read_grouping(folder: Path, items: Sequence[str]) -> Grouping:
    """The groups of items of the data set in `folder`: those in its `groups.csv`, else what their names tell.

    Raises:
        DataError: if a file lacks an item, or a group is in two parts.
    """
    groups = read_groups(folder)
    found = Grouping(_of_all(items, groups, folder / FILE), f"by {FILE}") if groups else automatic(items)
    told = read_groups(folder, PARTS_FILE, PART)
    if not told:
        return found
    parts = _of_all(items, told, folder / PARTS_FILE)
    return checked(Grouping(found.groups, found.rule, _parts(parts, PARTS_FILE)))


def _of_all(items: Sequence[str], values: Mapping[str, str], path: Path) -> dict[str, str]:
    missed = [item for item in items if not values.get(item)]
    if missed:
        raise DataError(f"{path}: says nothing of {len(missed)} item(s), must name all: {listed(missed)}")
    return {item: values[item] for item in items}


def _asked(items: Sequence[str], request: GroupRequest, tables: Sequence[Path]) -> Grouping | None:
    if request.pattern == ALONE:
        return Grouping({item: item for item in items}, "each by itself, as was asked")
    levels = folder_levels(request.pattern)
    if levels:
        return Grouping({item: _of_folders(item, levels) for item in items}, f"by folders {request.pattern}")
    if Path(request.pattern).suffix.lower() in TABLES:
        table = Path(request.pattern)
        return Grouping(
            _looked_up(items, table, table_rows(table)[1], _column(table, GROUP_COLUMNS)), f"by {table.name}"
        )
    if request.pattern:
        return Grouping(grouped_by(request.pattern, items), f"by --groups {request.pattern}")
    if request.column:
        table, rows = _table_with(tables, request.column, "--group-column")
        return Grouping(_looked_up(items, table, rows, request.column), f"by {request.column} of {table.name}")
    return None


def folder_levels(pattern: str) -> list[str]:
    """What the levels of folders mean where `pattern` says so, as `class/patient/image`; else none.

    All levels but `class` and `image` together name the group, wherever the class stands.

    Raises:
        ConfigError: if it says so without one level `class`.
    """
    levels = pattern.split("/")
    if len(levels) < 3 or levels[-1] != "image" or not all(level.isidentifier() for level in levels):
        return []
    if levels.count("class") != 1:
        raise ConfigError(f"--groups: got {pattern!r}, must have one level `class`, for example class/patient/image")
    return levels


def without_part_folders(folders: Sequence[str]) -> tuple[str, ...]:
    """The folders of an item that are called like no part (train, validation, test)."""
    return tuple(folder for folder in folders if folder.lower() not in PART_NAMES)


def _of_folders(item: str, levels: Sequence[str]) -> str:
    """The names of all levels but the class and the file."""
    folders: Sequence[str] = item.split("/")[:-1]
    if len(folders) >= len(levels):
        folders = without_part_folders(folders)
    return "/".join(folder for folder, level in zip(folders, levels, strict=False) if level != "class")


def _found(items: Sequence[str], tables: Sequence[Path]) -> Grouping:
    grouping = automatic(items)
    if grouping.rule != BY_ITSELF:
        return grouping
    for table in (path for path in tables if path.name == PARTICIPANTS):
        known = {row.get("participant_id", "").removeprefix("sub-") for row in table_rows(table)[1]} - {""}
        owners = {item: _owner(item, known) for item in items}
        if all(owners.values()):
            return Grouping({item: owner or "" for item, owner in owners.items()}, f"by participant_id of {table.name}")
    return _repeats(items) or grouping


def _owner(item: str, known: set[str]) -> str | None:
    """The longest participant's name that an item's file name begins with."""
    name = item.rsplit("/", 1)[-1]
    begun = [one for one in known if name == one or (name.startswith(one) and not name[len(one)].isalnum())]
    return max(begun, key=len, default=None)


def _repeats(items: Sequence[str]) -> Grouping | None:
    """Names that differ in a number of run, session or visit alone, or the like, are assumed to belong together.

    It is asked about: whose they are changes the division. None where there are no such names.
    """
    for kind in REPEATS:
        stems = differing(items, kind)
        joined = [_alike(members) for members in stems.values() if len(members) > 1]
        if joined:
            question = f"{len(joined)} group(s) of names differ in {kind.what} only: {listed(joined)}; {kind.asked}"
            groups = {item: stem if len(members) > 1 else item for stem, members in stems.items() for item in members}
            rule = f"by names that differ in {kind.what} only"
            return Grouping({item: groups[item] for item in items}, rule, question=question, assumed=kind.assumed)
    return None


def _alike(members: Sequence[str]) -> str:
    """The first of some names, and how many there are where it is not all."""
    more = f" = … ({len(members)})" if len(members) > SHOWN else ""
    return " = ".join(members[:SHOWN]) + more


def _kept_parts(items: Sequence[str], split: str, tables: Sequence[Path]) -> dict[str, str]:
    if split == FOLDERS:
        named = {item: [PART_NAMES.get(part.lower(), "") for part in item.split("/")[:-1]] for item in items}
        found = {item: next(filter(None, parts), "") for item, parts in named.items()}
        return _parts(found, "folders")
    if Path(split).is_file():
        table, rows = Path(split), table_rows(Path(split))[1]
        column = _column(table, PART_COLUMNS)
    else:
        column = split
        table, rows = _table_with(tables, split, "--split")
    return _parts(_looked_up(items, table, rows, column), f"{table.name}, column {column}")


def _parts(found: Mapping[str, str], where: str) -> dict[str, str]:
    """Parts by item under their canonical names; train and test must both be there."""
    parts = {item: PART_NAMES.get(part.strip().lower(), "") for item, part in found.items()}
    wrong = [f"{item} ({found[item] or 'nothing'})" for item, part in parts.items() if not part]
    if wrong:
        raise DataError(
            f"--split: {len(wrong)} item(s) are in no part of {where}, must be in one of {', '.join(PARTS)}: "
            f"{listed(wrong)}"
        )
    lacking = {"train", "test"} - set(parts.values())
    if lacking:
        raise DataError(f"--split: no item is in {' or '.join(sorted(lacking))} ({where}), must be some")
    return parts


def _table_with(tables: Sequence[Path], column: str, option: str) -> tuple[Path, list[dict[str, str]]]:
    seen: list[str] = []
    for table in tables:
        names, rows = table_rows(table)
        if rows and column in names:
            return table, rows
        seen += [f"{table.name}: {', '.join(names)}"]
    hint = nearest(column, [name for row in seen for name in row.split(": ", 1)[-1].split(", ")])
    raise DataError(
        f"{option}: no table of the source has a column {column!r}{hint}; found {listed(seen) or 'no table'}"
    )


def _column(table: Path, names: Sequence[str]) -> str:
    """The first of `names` that is a column of the table."""
    columns, _ = table_rows(table)
    found = next((name for name in names if name in columns), "")
    if not found:
        raise DataError(f"{table}: has no column {', '.join(names)}, but {', '.join(columns)}; name one of them so")
    return found


def _looked_up(items: Sequence[str], table: Path, rows: Sequence[Mapping[str, str]], column: str) -> dict[str, str]:
    """The value of `column` for each item; a row is found by the item's name, its file's, or its BIDS subject."""
    key = next((name for name in KEYS if rows and name in rows[0] and name != column), None)
    if key is None:
        raise DataError(f"{table}: has no column that names items, must have one of {', '.join(KEYS)}")
    values = {row[key]: row[column] for row in rows}
    found = {item: next((values[name] for name in _names(item) if values.get(name)), "") for item in items}
    missed = [item for item, value in found.items() if not value]
    if missed:
        raise DataError(f"{table}: column {column} has no value for {len(missed)} item(s): {listed(missed)}")
    return found


def _names(item: str) -> list[str]:
    """What a table may call an item, the most exact first."""
    file = item.rsplit("/", 1)[-1]
    subject = SUBJECT.search(item)
    return [item, file, file.split(".", 1)[0], *([subject[1], subject[1].removeprefix("sub-")] if subject else [])]
