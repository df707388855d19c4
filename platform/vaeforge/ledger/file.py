"""File of a ledger: JSON lines, one writer, each line on disk before anyone is told of it, and one tolerant reader.

What is not in the ledger did not happen; what is, survives. Its format: `docs/architecture.md`. Who writes line after
line (`append`) waits for the disk each time; the dispatcher writes what comes (`write`) and waits for it once (`sync`).
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
        written: bytes of the file; `on_disk`: those of them that are known to be there.
        lost: why nothing can be written any more: lines that were written did not come onto the disk.

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
        self.written = self.on_disk = path.stat().st_size
        self.lost: str | None = None
        if self.written:
            os.fdatasync(self._file.fileno())  # the writer before may have been killed between writing and this

    def append(self, event: E) -> E:
        """Write one event, at the present time, and return it as it reads once it is on disk.

        Raises:
            OSError: if the disk is full; the line is then taken back, so that none is half there.
        """
        return self._write(event, on_disk=True)

    def write(self, event: E) -> E:
        """The same, without waiting for the disk: nobody may be told of the event before `on_disk` is beyond it.

        Raises:
            OSError: as `append`, and once earlier lines are `lost`.
        """
        return self._write(event, on_disk=False)

    def _write(self, event: E, on_disk: bool) -> E:
        if self.lost is not None:
            raise OSError(self.lost)
        content = replace(event, time=time.time()).to_json()
        line = (json.dumps(content, separators=(",", ":"), allow_nan=False) + "\n").encode()
        self.written = append_whole(self._file, line, on_disk) + len(line)
        if on_disk:
            self.on_disk = self.written
        written = from_json(content)
        assert isinstance(written, type(event))
        return written

    def sync(self) -> None:
        """Have on disk what has been written until now; another thread may write meanwhile.

        Raises:
            OSError: if that cannot be done; see `take_back`.
        """
        until = self.written
        os.fdatasync(self._file.fileno())
        self.on_disk = max(self.on_disk, until)

    def take_back(self, why: str) -> None:
        """After a `sync` that failed: nobody was told of what was written since, so that it did not happen.

        Whoever wrote it has acted on it, and can write nothing more.
        """
        self.lost = why
        os.ftruncate(self._file.fileno(), self.on_disk)
        self.written = self.on_disk

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
