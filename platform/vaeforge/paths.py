"""Paths relative to the project's root, and writing of files so that a crash leaves none half done."""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from vaeforge.errors import DataError, ResourceError

PACKAGE = Path(__file__).parent  # this package's code
IDENTITIES = "identities"  # in the folder of a family's prepared data


class Project:
    """The folders of one project; nothing is created until something is written."""

    def __init__(self, root: Path | str = "."):
        self.root = Path(root).resolve()
        self.artifacts = self.root / "artifacts"

    def data(self, family: str) -> Path:
        return self.root / "data" / family

    def prepared(self, family: str) -> Path:
        return self.artifacts / "prepared" / family

    def prepared_identity(self, family: str, identity: str) -> Path:
        """Of the prepared data of one identity; `data/prepared_places.py`."""
        return self.prepared(family) / IDENTITIES / identity[:16]

    def search(self, name: str) -> Path:
        return self.artifacts / "searches" / name

    def step(self, step: str) -> Path:
        return self.artifacts / step

    @classmethod
    def of_search(cls, folder: Path) -> "Project":
        """The project to which the folder of a search belongs; the file system's root where it lies close to that."""
        above = folder.resolve().parents
        return cls(above[min(2, len(above) - 1)])


def write_atomically(path: Path, write: Callable[[BinaryIO], None]) -> str:
    """Let `write` fill a temporary file beside `path`, fsync it, move it into place; returns its SHA-256.

    Whatever fails (a full disk, a signal, an exception in `write`), `path` holds what it held before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        digest = sha256_of(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    fsync_folder(path.parent)
    return digest


def write_bytes(path: Path, content: bytes) -> str:
    """Write `content` to `path` atomically; returns the file's SHA-256."""

    def write(file: BinaryIO) -> None:
        file.write(content)

    return write_atomically(path, write)


def link_or_copy(source: Path, target: Path) -> None:
    """A hard link, or a copy with the same times where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        write_atomically(target, lambda file: copy_into(source, file))
        shutil.copystat(source, target)


def copy_into(source: Path, file: BinaryIO) -> None:
    """Append the content of `source` to an open file."""
    with source.open("rb") as content:
        shutil.copyfileobj(content, file)


def append_whole(file: io.FileIO, content: bytes, on_disk: bool = True) -> int:
    """Add `content` at the end of an unbuffered file, and have it on disk, unless the caller sees to that.

    One call of the system may write a part of it, for instance where the disk fills up in between: the rest follows.

    Returns:
        Bytes of the file before.

    Raises:
        OSError: if it cannot be written; the file then ends where it did before.
    """
    before = file.seek(0, os.SEEK_END)
    rest = memoryview(content)
    try:
        while rest:
            rest = rest[file.write(rest) or 0 :]
        if on_disk:
            os.fdatasync(file.fileno())
    except OSError:
        os.ftruncate(file.fileno(), before)
        raise
    return before


def is_anothers(path: Path) -> bool:
    """Whether a file or folder belongs to another user, who could have it continued with what they like."""
    return path.exists() and path.stat().st_uid != os.getuid()


def probe_writable(folder: Path) -> None:
    """Write and remove an empty file in `folder`, which is made where it is not there.

    Raises:
        ResourceError: if that cannot be done.
    """
    probe = folder / f".writable.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ResourceError(
            f"{folder}: cannot be written ({error}); choose another project folder or free it"
        ) from None


def fsync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, content: Any) -> str:
    """Write `content` as sorted, indented JSON, atomically; returns the file's SHA-256."""
    return write_bytes(path, (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode())


def read_json(path: Path, remedy: str) -> Any:
    """The JSON document at `path`.

    Raises:
        DataError: if it is missing or not JSON; `remedy` says what to do about it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: not found; {remedy}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not valid JSON ({error}); {remedy}") from None


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of the file at `path`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_of(content: Any) -> str:
    """Hex SHA-256 of a JSON-serialisable value, independent of the order of keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
