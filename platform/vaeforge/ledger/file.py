"""The append-only record of a search: JSON lines, one writer, each line on disk before anyone acts on it.

What is not in the ledger did not happen; what is, survives. README of the format: `docs/architecture.md`.
"""

import fcntl
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vaeforge.errors import SearchError

Event = dict[str, Any]
WRITER_PATIENCE = 30.0


class Ledger:
    """Writes events; the file is locked, so that there is one writer at a time.

    Raises:
        SearchError: if another process keeps it locked for `WRITER_PATIENCE` seconds.
    """

    def __init__(self, path: Path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._lock()
        self.repaired_bytes = repair(path)

    def _lock(self) -> None:
        deadline = time.monotonic() + WRITER_PATIENCE
        while True:
            try:
                fcntl.flock(self._file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    self._file.close()
                    raise SearchError(f"{self.path}: another process is writing this search; end it first") from None
                time.sleep(0.1)

    def append(self, event: str, **fields: Any) -> Event:
        """Write one event and return it once it is on disk.

        Raises:
            OSError: if the disk is full; the line is then taken back, so that none is half there.
        """
        line = {"event": event, "time": time.time(), **_finite(fields)}
        before = self._file.seek(0, os.SEEK_END)
        try:
            self._file.write((json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n").encode())
            os.fdatasync(self._file.fileno())
        except OSError:
            os.ftruncate(self._file.fileno(), before)
            raise
        return line

    def close(self) -> None:
        self._file.close()


def _finite(value: Any) -> Any:
    """`value` with null for numbers that JSON has no word for."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def repair(path: Path) -> int:
    """Cut off a last line that was not finished; returns how many bytes went."""
    if not path.exists():
        return 0
    content = path.read_bytes()
    sound = content.rfind(b"\n") + 1
    if sound < len(content):
        os.truncate(path, sound)
    return len(content) - sound


def read_events(path: Path) -> Iterator[Event]:
    """The finished lines of the ledger at `path`, oldest first; nothing if there is no ledger."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)
