"""Files of a data set: which are read, that they belong together, and that nothing occurs twice."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from vaeforge.errors import DataError

LISTED = 10
ALL, READ = 10, 8  # units of the progress of prepare: all, and to read the source
LEAK = "occur twice and could be in train and test at once"


def data_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files below `folder` with one of `suffixes`, sorted; nothing hidden (whose name begins with a dot)."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in suffixes
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def require_no_linked_folders(source: Path, found: Sequence[str]) -> None:
    """Refuse links to folders, `found` below `source`: readers do not follow them, and would drop what they lead to.

    Raises:
        DataError: listing them.
    """
    if found:
        raise DataError(
            f"{source}: {len(found)} link(s) to folders, which are not followed, must be none; put copies of these "
            f"folders there: {listed(found)}"
        )


def linked_folders(folder: Path) -> list[str]:
    """Links to folders below `folder`, by their path relative to it, nothing hidden."""
    below = (path for path in sorted(folder.rglob("*")) if path.is_symlink() and path.is_dir())
    names = (path.relative_to(folder) for path in below)
    return [name.as_posix() for name in names if not any(part.startswith(".") for part in name.parts)]


def require_one_data_set(folder: Path, paths: list[Path]) -> None:
    """Refuse files of several data sets: each folder directly in `folder` is one, and so are the files beside them.

    Raises:
        DataError: naming the data sets.
    """
    names = sorted({path.relative_to(folder).parts[0] if path.parent != folder else "." for path in paths})
    if len(names) > 1:
        raise DataError(
            f"{folder}: holds {len(names)} data sets ({', '.join(names)}), must be one, or they would be mixed; "
            "move the others away"
        )


def reject_duplicates(source: Path, what: str, keyed: Iterable[tuple[str, str]], remedy: str) -> None:
    """Refuse if two items share a key.

    Args:
        source: what is being read.
        what: what two items with one key are, in the plural: `pictures occur twice`.
        keyed: pairs of (key, item).
        remedy: what to do about it.

    Raises:
        DataError: listing the items.
    """
    first: dict[str, str] = {}
    duplicates = []
    for key, item in keyed:
        if key in first:
            duplicates.append(f"{first[key]} = {item}")
        first.setdefault(key, item)
    if duplicates:
        raise DataError(f"{source}: {len(duplicates)} {what}, must be none; {remedy}: {listed(duplicates)}")


def listed(items: Sequence[str]) -> str:
    """The first items, and how many more there are."""
    more = f"; and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return "; ".join(items[:LISTED]) + more
