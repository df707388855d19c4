"""Files of a source, a folder, file or archive, walked without ever leaving it."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from vaeforge.data.foreign_formats import folder_problem
from vaeforge.data.source_files import listed, require_no_linked_folders
from vaeforge.errors import DataError
from vaeforge.importing.archives import is_archive, unpack
from vaeforge.importing.parsed_source import ImportLog, shown

SKIPPED = ("__MACOSX",)  # what macOS adds to its archives


@contextlib.contextmanager
def opened(source: Path, unpacked: Path, log: ImportLog) -> Iterator[Path]:
    """The file or folder to read: `source` itself or, for an archive, `unpacked`, which exists as long as this lasts.

    Raises:
        DataError: if there is no such file, or the archive cannot be unpacked safely.
    """
    if not source.exists():
        raise DataError(f"{source}: not found; give a folder, a file or an archive (zip, tar)")
    if not is_archive(source):
        yield source
        return
    with unpack(source, unpacked, log) as folder:
        try:
            yield _without_wrapper(folder)
        except DataError as error:  # people know the archive, not where it was unpacked
            raise DataError(str(error).replace(str(folder), str(source))) from None


def _without_wrapper(folder: Path) -> Path:
    """The one folder that an archive consists of, if that is all it holds."""
    inner = [path for path in folder.iterdir() if not path.name.startswith(".") and path.name not in SKIPPED]
    return inner[0] if len(inner) == 1 and inner[0].is_dir() else folder


def walk(source: Path, log: ImportLog) -> tuple[list[Path], list[Path]]:
    """The plain files in the folder `source` and its folders that hold nothing, both sorted.

    Hidden names are ignored. What is no plain file, names that are no UTF-8, and folders that are one item of a format
    go into the quarantine.

    Raises:
        DataError: if a link leads out of `source`, or to a folder, or `source` is one item of a format.
    """
    if problem := folder_problem(source):
        raise DataError(f"{source}: {problem}")
    root = source.resolve()
    files: list[Path] = []
    empty: list[Path] = []
    outside: list[str] = []
    linked: list[str] = []

    def unreadable(error: OSError) -> None:
        log.quarantine(shown(Path(str(error.filename)), source), f"cannot be read ({error.strerror})")

    for where, folders, names in os.walk(source, onerror=unreadable):
        here = Path(where)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in SKIPPED)
        entries = sorted(name for name in [*names, *folders] if not name.startswith("."))
        if not entries:
            empty.append(here)
        folders[:] = [
            name for name in folders if not _quarantined(here / name, source, folder_problem(here / name), log)
        ]
        for path in (here / name for name in entries):
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root):
                outside.append(shown(path, source))
            elif path.is_symlink() and path.is_dir():
                linked.append(shown(path, source))
            elif _usable(path, source, log):
                files.append(path)
    if outside:
        raise DataError(
            f"{source}: {len(outside)} link(s) lead out of it, must be none; "
            f"give the folder that they lead to, or copies: {listed(outside)}"
        )
    require_no_linked_folders(source, linked)
    return files, empty


def _quarantined(path: Path, source: Path, problem: str | None, log: ImportLog) -> bool:
    """Whether there is a problem with a file or folder, which is then entered into the quarantine."""
    if problem:
        log.quarantine(shown(path, source), problem)
    return problem is not None


def _usable(path: Path, source: Path, log: ImportLog) -> bool:
    """Whether `path` is a file to read; folders are not, and what cannot be read is entered into the quarantine."""
    return not path.is_dir() and not _quarantined(path, source, _problem(path), log)


def _problem(path: Path) -> str | None:
    try:
        path.name.encode()
        kind = path.stat().st_mode
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    except OSError as error:
        return f"cannot be reached ({error.strerror})"
    return None if stat.S_ISREG(kind) else "is no plain file"
