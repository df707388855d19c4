"""Unpacking of untrusted archives: nothing is written outside of the folder, and no more than fits.

An archive with a single unsafe member is refused whole, before anything is unpacked: absolute paths, `..`, links,
devices, the same name twice, encrypted members.
"""

import contextlib
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from vaeforge.data.source_files import listed
from vaeforge.errors import DataError
from vaeforge.importing.parsed_source import ImportLog
from vaeforge.importing.zip_names import name_members

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
BYTES_LIMIT = 64 * 2**30
MEMBERS_LIMIT = 1_000_000
DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError),
    *(RuntimeError, KeyError, IndexError, OverflowError),
)


@dataclass(frozen=True)
class ArchiveMember:
    """A member of an archive: its name, its size in bytes unpacked, and why it is unsafe, if it is."""

    name: str
    size: int
    folder: bool
    problem: str | None


def is_archive(path: Path) -> bool:
    """Whether `path` is a file with a suffix of an archive."""
    return path.is_file() and path.name.lower().endswith(SUFFIXES)


@contextlib.contextmanager
def unpack(archive: Path, folder: Path, log: ImportLog) -> Iterator[Path]:
    """`folder`, new, with the members of `archive` in it; removed at the end. `log` notes names that had to be guessed.

    Raises:
        DataError: if a member is unsafe, the archive is damaged, or there is no room for it.
    """
    folder.mkdir(parents=True)
    try:
        try:
            if archive.name.lower().endswith(".zip"):
                _unzip(archive, folder, log)
            else:
                _untar(archive, folder)
        except DAMAGE as error:
            raise DataError(f"{archive}: cannot be unpacked ({error or type(error).__name__})") from None
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unzip(archive: Path, folder: Path, log: ImportLog) -> None:
    with zipfile.ZipFile(archive) as opened:
        infos = opened.infolist()
        note = name_members(infos)
        log.notes += [note] if note else []
        members = [ArchiveMember(info.filename, info.file_size, info.is_dir(), _zip_problem(info)) for info in infos]
        _refuse_unsafe(archive, members, folder)
        for info in (info for info in infos if not info.is_dir()):
            with opened.open(info) as content:
                _write(content, folder / info.filename, info.file_size)


def _zip_problem(info: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    return "is encrypted" if info.flag_bits & 1 else _name_problem(info.filename)


def _untar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as opened:
        infos: list[tarfile.TarInfo] = []
        size = 0
        for info in opened:  # stops before what a bomb's header announces is decompressed
            infos.append(info)
            size += info.size
            if len(infos) > MEMBERS_LIMIT or size > BYTES_LIMIT:
                raise DataError(f"{archive}: has more than {MEMBERS_LIMIT} members or {BYTES_LIMIT} bytes")
        _require_end(opened)
        _refuse_unsafe(archive, [ArchiveMember(i.name, i.size, i.isdir(), _tar_problem(i)) for i in infos], folder)
        for info in (info for info in infos if info.isfile()):
            content = opened.extractfile(info)
            if content is not None:
                with content:
                    _write(content, folder / info.name, info.size)


def _require_end(opened: tarfile.TarFile) -> None:
    """Refuse a tar without the zeros at its end: cut off between two members it would look whole, only smaller."""
    if opened.fileobj is None:
        raise ValueError("is closed")
    opened.fileobj.seek(opened.offset)
    if opened.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise ValueError("is cut off: its end is missing")


def _tar_problem(info: tarfile.TarInfo) -> str | None:
    if not (info.isfile() or info.isdir()):
        return "is a link or a device"
    return _name_problem(info.name)


def _name_problem(name: str) -> str | None:
    path = PurePosixPath(name)
    if path.is_absolute() or "\\" in name or (len(name) > 1 and name[1] == ":"):
        return "has an absolute path, a drive or a backslash"
    return "has .. in its path" if ".." in path.parts else None


def _refuse_unsafe(archive: Path, members: list[ArchiveMember], folder: Path) -> None:
    unsafe = [f"{member.name!r} {member.problem}" for member in members if member.problem]
    if unsafe:
        raise DataError(f"{archive}: {len(unsafe)} unsafe member(s), must be none; pack it anew: {listed(unsafe)}")
    names = Counter(PurePosixPath(member.name).as_posix() for member in members if not member.folder)
    twice = sorted(name for name, count in names.items() if count > 1)
    if twice:
        raise DataError(f"{archive}: {len(twice)} name(s) occur twice, must be unique: {listed(twice)}")
    size, free = sum(member.size for member in members), shutil.disk_usage(folder).free
    if len(members) > MEMBERS_LIMIT or size > min(BYTES_LIMIT, free):
        raise DataError(
            f"{archive}: has {len(members)} members of {size} bytes, must be at most {MEMBERS_LIMIT} of "
            f"{BYTES_LIMIT} bytes, and {free} are free; unpack it yourself and give the folder"
        )


def _write(content: IO[bytes], path: Path, size: int) -> None:
    """Write a member, never more than the `size` that it declares; folders are made as they are needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    left = size
    with path.open("xb") as file:
        while chunk := content.read(min(2**20, left + 1)):
            left -= len(chunk)
            if left < 0:
                raise ValueError(f"{path.name} is larger than it says")
            file.write(chunk)
    if left:
        raise ValueError(f"{path.name} is cut off")
