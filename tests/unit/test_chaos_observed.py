"""What chaos sees of a running search: which trials are trained by which processes, one or several of a group."""

import os
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from ledger_events import event
from vaeforge.chaos.faults import Target, _training
from vaeforge.chaos.observed import ObservedLedger
from vaeforge.ledger.file import Ledger


class Search:
    """A target that is a ledger alone; its groups' processes are this one, or no more there."""

    def __init__(self, folder: Path):
        self.ledger = ObservedLedger(folder / "ledger.jsonl")
        self.write("search", name="s", family="f", space={})

    def write(self, kind: str, **fields: Any) -> None:
        with closing(Ledger(self.ledger.path)) as ledger:
            ledger.append(event(kind, **fields))

    def register(self, host: int, pid: int) -> None:
        self.write("registered", host=host, generation=1, processes=[{"pid": pid}])

    def lease(self, host: int, *trials: int) -> None:
        for trial in trials:
            self.write("submitted", trial=trial, params={})
            self.write("leased", trial=trial, attempt=1, host=host, generation=1)

    def training(self, crashes: int = 1) -> list[int]:
        """Numbers of the trials that a fault may choose from."""
        return [one.trial.number for one in _training(cast(Target, self), crashes)]


def test_each_lane_of_a_group_is_a_trial_in_training(tmp_path: Path) -> None:
    search = Search(tmp_path)
    search.register(0, os.getpid())
    search.register(1, os.getpid())
    search.lease(0, 0, 1, 2)
    search.lease(1, 3)
    search.ledger.look()
    assert [(one.trial.number, one.trial.host) for one in search.ledger.leased()] == [(0, 0), (1, 0), (2, 0), (3, 1)]
    search.write("finished", trial=1, state="completed", epoch=1, seconds=1.0)
    search.register(2, os.getpid())  # has no trial yet
    assert search.training() == [0, 2, 3]


def test_a_group_is_spared_where_one_of_its_lanes_must_not_crash_again(tmp_path: Path) -> None:
    search, gone = Search(tmp_path), 2**22 + 1  # above any process id
    for host, pid in ((0, os.getpid()), (1, os.getppid()), (2, gone)):
        search.register(host, pid)
    search.lease(0, 0, 1)
    search.lease(1, 2, 3)
    search.lease(2, 4)
    for attempt in (1, 2):
        search.write("crashed", trial=1, attempt=attempt, cause="lost")
    assert search.training() == [2, 3]
    assert search.training(crashes=2) == [0, 1, 2, 3]
