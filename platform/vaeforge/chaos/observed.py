"""Ledger of a running search as chaos looks at it: what it says, and that nothing of it is taken back."""

from dataclasses import dataclass, field
from pathlib import Path

from vaeforge.ledger.events import LedgerEvent, TrialFinished, WorkersRegistered
from vaeforge.ledger.file import LedgerReader, read_events
from vaeforge.ledger.history import SearchHistory, TrialRecord


@dataclass(frozen=True)
class LeasedTrial:
    """A worker group's newest processes, and the trial that it trains, if any."""

    pids: tuple[int, ...]
    trial: TrialRecord | None


@dataclass
class ObservedLedger:
    """Everything that was ever read from the ledger at `path`.

    Attributes:
        events: in the order in which they were written.
        history: what they tell.
        groups: the newest processes of each worker group, by number.
    """

    path: Path
    events: list[LedgerEvent] = field(default_factory=list)
    history: SearchHistory = field(init=False)
    groups: dict[int, WorkersRegistered] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._reader = LedgerReader(self.path)
        self.history = SearchHistory(folder=self.path.parent)

    def look(self) -> int:
        """Read what is new; returns how many events are known."""
        if self.path.exists():
            for event in self._reader.read():
                self.events.append(event)
                self.history.apply(event)
                if isinstance(event, WorkersRegistered):
                    self.groups[event.host] = event
        return len(self.events)

    def leased(self) -> list[LeasedTrial]:
        """Worker groups that have registered, with what they train."""
        by_host = {trial.host: trial for trial in self.history.unfinished() if trial.host is not None}
        return [
            LeasedTrial(tuple(process.pid for process in group.processes), by_host.get(host))
            for host, group in self.groups.items()
        ]

    def taken_back(self) -> list[str]:
        """What the ledger said at some time and does not say now: finished trials that were lost, first of all."""
        now = list(read_events(self.path))
        if now[: len(self.events)] == self.events:
            return []
        kept = {event.trial: event for event in now if isinstance(event, TrialFinished)}
        ends = [event for event in self.events if isinstance(event, TrialFinished)]
        lost = [f"the end of trial {event.trial}" for event in ends if kept.get(event.trial) != event]
        return [*lost, f"{len(self.events)} lines were read in passing, and the ledger begins otherwise now"]
