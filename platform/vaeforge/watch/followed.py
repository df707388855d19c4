"""Followed search: its ledger read as it grows, and how it stands, as the live table of the search itself shows it."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vaeforge.ledger.events import SearchHeader, SearchResumed
from vaeforge.ledger.file import LedgerReader
from vaeforge.ledger.history import SearchHistory
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.search.dispatch.snapshot import RECENT, BestSoFar, Snapshot, TrialStatus, status_of
from vaeforge.search.requests import holder
from vaeforge.search.results.ranking import best_so_far
from vaeforge.search.space.objective import SINGLE, Objective
from vaeforge.search.space.objective_form import objective_of
from vaeforge.watch.waiting import waits_for

GONE = "its process ended without a word; `vaeforge tune --resume` continues it"
REMOVED, NOTHING = "it was removed", "nothing was started"


@dataclass(frozen=True)
class Standing:
    """How a followed search stands.

    Attributes:
        over: how it ended, in words; none while it runs.
        waits: what it waits for; empty where it is over.
    """

    snapshot: Snapshot
    over: str | None
    waits: str


class FollowedSearch:
    """A search in `folder`, which another process runs or has run.

    Attributes:
        history: of all lines until the newest look.
        clock: unix seconds.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time):
        self.folder, self.clock = folder, clock
        self.history = SearchHistory(folder=folder)
        self._reader = LedgerReader(folder / "ledger.jsonl")
        self._asked: int | None = None

    @property
    def objective(self) -> Objective:
        """Of the search; the usual one until its first line is there."""
        return objective_of(self.history) if self.history.header else SINGLE

    @property
    def total(self) -> int:
        """How many trials it is to have, as the newest session was asked."""
        return max(self._asked or 0, len(self.history.trials))

    @property
    def epochs(self) -> int:
        """Of a full training; 0 until the first line is there."""
        fidelity = self.history.header.space.get("fidelity", {}) if self.history.header else {}
        return int(fidelity.get("max", 0)) if isinstance(fidelity, dict) else 0

    @property
    def damaged(self) -> int:
        """Lines of the ledger that could not be read."""
        return self._reader.damaged

    def look(self, recent: int = RECENT) -> Standing:
        """Read what was added, and say how it stands.

        Args:
            recent: how many of the trials that have ended are told of, the newest.

        Raises:
            OSError: if the ledger cannot be read.
        """
        held = holder(self.folder) is not None  # before reading: whoever is gone now has written its last line
        there = self._read()
        over = None if held else self._end(there)
        return Standing(self._snapshot(recent), over, "" if over else waits_for(self.history, self.clock()))

    def _read(self) -> bool:
        """Whether there is a ledger."""
        try:
            for event in self._reader.read():
                if isinstance(event, SearchHeader | SearchResumed) and event.trials is not None:
                    self._asked = event.trials
                self.history.apply(event)
        except FileNotFoundError:
            return False
        return True

    def _end(self, there: bool) -> str | None:
        """How it ended, where nobody here holds its lock; none where it may run on another machine without locks."""
        if self.history.ended is not None:
            return self.history.ended.reason
        if self.history.phase == "interrupted":
            return f"interrupted ({self.history.signal})" if self.history.signal else "interrupted"
        if not there:
            return REMOVED if self.history.newest else NOTHING
        return None if self._elsewhere() else GONE

    def _elsewhere(self) -> bool:
        """Whether the newest session was begun on another machine, whose locks may not be seen from here."""
        try:
            host = (self.folder / "lock").read_text(encoding="utf-8").rpartition(" on ")[2].strip()
        except OSError:
            return False
        return host not in ("", socket.gethostname())

    def _snapshot(self, recent: int) -> Snapshot:
        history = self.history
        best = best_so_far(history, self.objective) if history.header else None
        shown = [*history.unfinished(), *history.ended_trials[max(0, len(history.ended_trials) - recent) :]]
        shown += [] if best is None or best in shown else [best]
        return Snapshot(
            trials=tuple(_status(trial) for trial in shown),
            counts=_counts(history),
            ended=len(history.ended_trials),
            best=None if best is None or best.value is None else BestSoFar(best.number, best.value),
            hosts=frozenset(history.groups),
            lanes=max((trial.lanes for trial in history.trials.values()), default=0),
        )


def _counts(history: SearchHistory) -> dict[str, int]:
    counts = history.counts()
    running = sum(trial.host is not None for trial in history.unfinished())
    split = {"running": running, "waiting": counts.get("running", 0) - running}
    return {state: count for state, count in {**counts, **split}.items() if count}


def _status(trial: TrialRecord) -> TrialStatus:
    return status_of(trial, "waiting" if trial.host is None else "running", None if trial.state else trial.host)
