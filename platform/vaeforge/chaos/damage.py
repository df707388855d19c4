"""Damage to files and folders as disks do it: flipped bits, cut ends, read-only folders, files that cannot grow."""

import fcntl
import os
import resource
import struct
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_GET_FLAGS, _SET_FLAGS, _IMMUTABLE = 0x80086601, 0x40086602, 0x10  # ioctl_iflags(2)


def flip_bit(path: Path, place: float) -> None:
    """Turn one bit over, at a share of the file's length between 0 and 1; its size and name stay."""
    content = bytearray(path.read_bytes())
    content[min(int(place * len(content)), len(content) - 1)] ^= 0x10
    path.write_bytes(content)


def cut(path: Path, place: float) -> None:
    """Keep the first share of a file, between 0 and 1."""
    os.truncate(path, int(place * path.stat().st_size))


def add_half_line(path: Path) -> None:
    """What a write leaves that ended in the middle of a line."""
    lines = path.read_bytes().splitlines()
    with path.open("ab") as file:
        file.write(lines[-1][: len(lines[-1]) // 2])


@contextmanager
def no_growth_beyond(pid: int, size: int) -> Iterator[None]:
    """Within the block no file that the process writes can grow beyond `size` bytes, as on a disk that is full."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        if Path(f"/proc/{pid}").exists():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Within the block nothing can be made in the folder or removed from it, not even by root.

    Raises:
        OSError: if this user's rights or the file system do not allow to make it so.
    """
    mode = folder.stat().st_mode
    folder.chmod(0o555)
    try:
        if _is_writable(folder):  # root may write whatever the mode says
            with _immutable(folder):
                yield
        else:
            yield
    finally:
        folder.chmod(mode)


def _is_writable(folder: Path) -> bool:
    probe = folder / f".probe-{uuid.uuid4().hex}"
    try:
        probe.touch()
    except OSError:
        return False
    probe.unlink()
    return True


@contextmanager
def _immutable(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        (flags,) = struct.unpack("l", fcntl.ioctl(descriptor, _GET_FLAGS, struct.pack("l", 0)))
        fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("l", flags | _IMMUTABLE))
        try:
            yield
        finally:
            fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("l", flags))
    finally:
        os.close(descriptor)
