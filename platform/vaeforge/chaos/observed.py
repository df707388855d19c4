"""Ledger of a running search as chaos looks at it: what it says, and that nothing of it is taken back."""

from dataclasses import dataclass, field
from pathlib import Path

from vaeforge.ledger.events import LedgerEvent, TrialFinished, WorkersRegistered
from vaeforge.ledger.file import LedgerReader, read_events
from vaeforge.ledger.history import SearchHistory
from vaeforge.ledger.trial_record import TrialRecord


@dataclass(frozen=True)
class LeasedTrial:
    """A trial that is trained, with the newest processes of its worker group; of each lane of a group there is one."""

    pids: tuple[int, ...]
    trial: TrialRecord


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
        """The trials that worker groups which have registered train, group by group."""
        return [
            LeasedTrial(tuple(process.pid for process in group.processes), trial)
            for host, group in self.groups.items()
            for trial in self.history.unfinished()
            if trial.host == host
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
