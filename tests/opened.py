"""Files of a folder that any process opens, as the Linux kernel tells it."""

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OPENED, CREATED, REMOVED = 0x20, 0x100, 0x200
NONBLOCKING = os.O_NONBLOCK | os.O_CLOEXEC
EVENT = struct.Struct("iIII")


@contextmanager
def watched(root: Path) -> Iterator[list[str]]:
    """A list that holds, at the end, the names of what was opened, made or removed below `root` meanwhile."""
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = library.inotify_init1(NONBLOCKING)
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
    watches = {
        library.inotify_add_watch(descriptor, os.fsencode(folder), OPENED | CREATED | REMOVED): folder
        for folder in folders
    }
    assert min(watches) > 0, os.strerror(ctypes.get_errno())
    found: list[str] = []
    try:
        yield found
        while content := _read(descriptor):
            while content:
                watch, _, _, length = EVENT.unpack_from(content)
                name = os.fsdecode(content[EVENT.size : EVENT.size + length].rstrip(b"\0"))
                found.append(str(watches.get(watch, root) / name))
                content = content[EVENT.size + length :]
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except BlockingIOError:
        return b""
