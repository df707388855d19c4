"""File of a ledger: JSON lines, one writer, each line on disk before anyone acts on it, and one tolerant reader.

What is not in the ledger did not happen; what is, survives. Its format: `docs/architecture.md`.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from vaeforge.errors import SearchError
from vaeforge.ledger.events import LedgerEvent, from_json
from vaeforge.ledger.lines import event_of
from vaeforge.paths import append_whole

LOCK_SECONDS = 30.0
TAIL_BYTES = 1 << 16  # read at a time in search of the end of the last whole line
E = TypeVar("E", bound=LedgerEvent)


class Ledger:
    """The writer of a ledger. The file is locked, so that there is one at a time, until `close` or the process's end.

    Attributes:
        repaired_bytes: of a last line that was not finished, cut off when the ledger was opened.

    Raises:
        SearchError: if another process keeps it locked for `LOCK_SECONDS`.
    """

    def __init__(self, path: Path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        # the lock is on the ledger itself: never replaced by a marker file where the file system has no locks
        self._lock = FileLock(path, thread_local=False, preserve_lock_file=True, fallback_to_soft=False)
        try:
            self._lock.acquire(timeout=LOCK_SECONDS, poll_interval=0.1)
        except Timeout:
            raise SearchError(f"{path}: another process is writing this search; end it first") from None
        self._file = path.open("ab", buffering=0)
        self.repaired_bytes = repair(path)

    def append(self, event: E) -> E:
        """Write one event, at the present time, and return it as it reads once it is on disk.

        Raises:
            OSError: if the disk is full; the line is then taken back, so that none is half there.
        """
        content = replace(event, time=time.time()).to_json()
        append_whole(self._file, (json.dumps(content, separators=(",", ":"), allow_nan=False) + "\n").encode())
        written = from_json(content)
        assert isinstance(written, type(event))
        return written

    def close(self) -> None:
        self._file.close()
        self._lock.release()


class LedgerReader:
    """The complete lines of a ledger, read from where the last read ended.

    Attributes:
        offset: the byte after the last line that was read.
        damaged: complete lines so far that were no events, such as the remains of a torn write; they are skipped.
    """

    def __init__(self, path: Path):
        self.path = path
        self.offset = 0
        self.damaged = 0

    def read(self, until: int | None = None) -> Iterator[LedgerEvent]:
        """The events that have been added, up to byte `until`; a line without its newline is left for the next read.

        Raises:
            OSError: if the ledger cannot be read.
        """
        with self.path.open("rb") as file:
            file.seek(self.offset)
            for line in file:
                end = self.offset + len(line)
                if not line.endswith(b"\n") or (until is not None and end > until):
                    return
                self.offset = end
                event = self._event(line)
                if event is not None:
                    yield event

    def _event(self, line: bytes) -> LedgerEvent | None:
        if not line.strip():
            return None
        try:
            return event_of(line)
        except ValueError:
            self.damaged += 1
            return None


def read_events(path: Path) -> Iterator[LedgerEvent]:
    """The events of the ledger at `path`, oldest first; nothing if there is no ledger."""
    if path.exists():
        yield from LedgerReader(path).read()


def repair(path: Path) -> int:
    """Cut off a last line that was not finished; returns how many bytes went."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        size = start = file.seek(0, os.SEEK_END)
        sound = 0
        while start and not sound:  # from the end: the whole file may be of gigabytes
            before, start = start, max(0, start - TAIL_BYTES)
            file.seek(start)
            newline = file.read(before - start).rfind(b"\n")
            sound = 0 if newline < 0 else start + newline + 1
    if sound < size:
        os.truncate(path, sound)
    return size - sound
