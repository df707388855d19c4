"""Kept fold of a ledger: what the trials that have ended amount to, so that a dispatcher that restarts reads little.

The ledger stays the truth. Beside it lies `fold.jsonl`, to which the dispatcher adds the slim record of each trial that
has ended, and after some of them a state: up to which byte of the ledger it goes, the SHA-256 of these bytes, and the
sums over all events until then. The SHA-256 of everything before it closes each state. Whoever reads it takes the
newest state that is whole and belongs to the first bytes of the ledger as it now is, parses of these only the lines of
other trials and of none, and folds what follows. A file that is torn, damaged, newer than its ledger, of other code, or
of a search that lay elsewhere says less or nothing; then more or all of the ledger is folded. Nothing waits for it to
be on disk, and a search whose fold cannot be kept goes on without it.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter

from vaeforge.ledger.events import SearchResumed, TrialEvent, TrialRetried
from vaeforge.ledger.file import LedgerReader
from vaeforge.ledger.history import SearchHistory, Totals, read_history
from vaeforge.ledger.lines import event_of
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.provenance import code_hash

NAME = "fold.jsonl"
EVERY = 32  # ended trials between two states
TRIAL_LINE = re.compile(rb'\{"event":"([a-z]+)","time":[0-9.e+]+,"trial":(\d+)[,}]')  # as `Ledger` writes them
DIGEST_LINE = 2 * sha256().digest_size + 1
RETRIED = TrialRetried.kind.encode()


@dataclass
class KeptRecord:
    """The record of a trial that has ended: the `rank`-th end, as it was after byte `at` of the ledger."""

    rank: int
    at: int
    trial: TrialRecord


@dataclass
class KeptState:
    """What a state says.

    Attributes:
        offset, ledger: bytes of the ledger that it is about, and their SHA-256.
        root: of the checkpoints whose places are in the records.
        reopened: trials whose records are void, as they have been tried again.
    """

    offset: int
    ledger: str
    root: str | None
    totals: Totals
    reopened: list[int]


@dataclass
class _Kept:
    """What could be read of a kept fold: its newest usable state, the records until then, and the bytes of both."""

    state: KeptState
    records: dict[int, KeptRecord]
    content: bytes


_RECORD, _STATE = TypeAdapter(KeptRecord), TypeAdapter(KeptState)


@cache
def _first_line() -> bytes:
    return orjson.dumps({"fold": 1, "code": code_hash()}) + b"\n"


class KeptFold:
    """The slim history of the ledger at `ledger`, and what is kept of it from then on, if `keeps`.

    Attributes:
        history: for whoever writes the ledger to apply its events to.
        restored: how many trials were taken from what was kept.
    """

    def __init__(self, ledger: Path, keeps: bool = True):
        self.ledger, self.path = ledger, ledger.with_name(NAME)
        self.restored = 0
        self._offset, self._digest = 0, sha256()  # of the ledger's bytes that the newest state is about
        self._content = sha256()  # of the kept file
        self._size: int | None = None  # of the kept file; none where it is to be begun anew
        self._ranks: dict[int, int] = {}
        self._next = 0
        self._void: set[int] = set()
        self._keeps = keeps
        self.history = self._restore() or read_history(ledger, slim=True)
        if not self.restored:
            self.keep(EVERY)

    def keep(self, least: int = 1) -> None:
        """Add the trials that have ended since the last state, if they are at least so many, and a new state.

        The history must stand where the ledger ends.
        """
        if self._keeps and len(self.history.ended_trials) - len(self._ranks) >= least:
            try:
                self._write()
            except (OSError, TypeError, ValueError):  # no disk, or what JSON cannot hold: the search goes on without
                self._keeps = False

    def _write(self) -> None:
        touched = self._read_on()
        ends = self.history.ended_trials
        first = len(ends)
        while first and ends[first - 1].number not in self._ranks:
            first -= 1
        for trial in ends[first:]:
            self._ranks[trial.number] = self._next
            self._next += 1
        numbers = [*(n for n in touched if n in self._ranks), *(trial.number for trial in ends[first:])]
        lines = [self._record_line(number) for number in dict.fromkeys(numbers)]
        self._void = {number for number in self._void | touched if number not in self._ranks}
        history = self.history
        state = KeptState(self._offset, self._digest.hexdigest(), history.root, history.totals(), sorted(self._void))
        begun = [] if self._size is not None else [_first_line()]
        content = b"".join([*begun, *lines, _line(state)])
        self._content.update(content)
        closing = self._content.hexdigest().encode() + b"\n"
        self._content.update(closing)
        with self.path.open("wb" if self._size is None else "r+b") as file:
            file.truncate(self._size or 0)  # what was torn or could not be used
            file.seek(self._size or 0)
            file.write(content + closing)
        self._size = (self._size or 0) + len(content) + len(closing)

    def _record_line(self, number: int) -> bytes:
        """Of a trial that has ended.

        Raises:
            ValueError: if it would not come back from JSON as it is.
        """
        kept = KeptRecord(self._ranks[number], self._offset, self.history.trials[number])
        line = _line(kept)
        if _RECORD.validate_python(orjson.loads(line)) != kept:
            raise ValueError(f"trial {number} cannot be kept")
        return line

    def _read_on(self) -> set[int]:
        """Read the ledger on to its end; the trials with a record of whom it says something more."""
        touched: set[int] = set()
        with self.ledger.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    raise ValueError("a line is not finished")
                self._offset += len(line)
                self._digest.update(line)
                if (found := TRIAL_LINE.match(line)) and (number := int(found[2])) in self._ranks:
                    touched.add(number)
                    if found[1] == RETRIED:  # it will end another time
                        del self._ranks[number]
        return touched

    def _restore(self) -> SearchHistory | None:
        """The history by what was kept and the rest of the ledger; none where nothing was kept that fits it."""
        with suppress(OSError, ValueError, LookupError):
            kept = _read(self.path, self.ledger.stat().st_size)
            if kept is not None:
                return self._restored(kept)
        return None

    def _restored(self, kept: _Kept) -> SearchHistory | None:
        history, digest = SearchHistory(slim=True, folder=self.ledger.parent), sha256()
        order: dict[int, None] = {}  # trials as the ledger names them first
        at = resumed = 0
        with self.ledger.open("rb") as file:
            for line in file:
                if at >= kept.state.offset:
                    break
                at += len(line)
                digest.update(line)
                found = TRIAL_LINE.match(line)
                if found and (number := int(found[2])) in kept.records:
                    order[number] = None
                    continue
                with suppress(ValueError):  # a damaged line; they have been counted
                    event = event_of(line)
                    history.apply(event)
                    if isinstance(event, TrialEvent):
                        order[event.trial] = None
                    elif isinstance(event, SearchResumed):
                        resumed = at
        if at != kept.state.offset or digest.hexdigest() != kept.state.ledger or history.root != kept.state.root:
            return None
        records = sorted(kept.records.values(), key=lambda record: record.rank)
        for record in records:
            if record.at < resumed:  # a new session has taken all worker groups away
                record.trial.host = record.trial.generation = None
        history.restore([record.trial for record in records], list(order), kept.state.totals)
        reader = LedgerReader(self.ledger)
        reader.offset, reader.damaged = at, history.damaged
        for event in reader.read():
            history.apply(event)
        history.damaged = reader.damaged
        self._offset, self._digest, self._void = at, digest, set(kept.state.reopened)
        self._content, self._size = sha256(kept.content), len(kept.content)
        self._ranks = {record.trial.number: record.rank for record in records}
        self._next = 1 + max(self._ranks.values(), default=-1)
        self.restored = len(records)
        return history


def slim_history(ledger: Path) -> SearchHistory:
    """The slim history in the ledger at `ledger`, by what is kept of it where that fits; writes nothing."""
    return KeptFold(ledger, keeps=False).history


def _line(content: Any) -> bytes:
    return orjson.dumps(content, default=_as_list, option=orjson.OPT_NON_STR_KEYS) + b"\n"


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, set):
        return sorted(value)
    raise TypeError(f"no JSON: {type(value)}")


def _read(path: Path, size: int) -> _Kept | None:
    """What is kept at `path` for a ledger of at least so many bytes, by a code that is this one."""
    content = path.read_bytes()
    if not content.startswith(_first_line()):
        return None
    digest, end, before, records, found = sha256(), 0, b"", list[bytes](), None
    for line in content.splitlines(keepends=True):
        if len(line) == DIGEST_LINE and not line.startswith(b"{"):
            if line != digest.hexdigest().encode() + b"\n":
                break
            records.pop()  # the state itself
            state, end = _STATE.validate_python(orjson.loads(before)), end + len(line)
            if state.offset > size:
                break
            found = (state, len(records), end)
        else:
            records.append(line)
            end += len(line)
        digest.update(line)
        before = line
    if found is None:
        return None
    state, count, end = found
    newest = {}
    for line in records[1:count]:
        record = _RECORD.validate_python(orjson.loads(line))
        newest[record.trial.number] = record
    for number in state.reopened:
        newest.pop(number, None)
    return _Kept(state, newest, content[:end])
