"""What a snapshot says of trials that one worker group trains at once."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from vaeforge.ledger.events import WorkerProcess
from vaeforge.ledger.file import Ledger
from vaeforge.ledger.history import read_history
from vaeforge.search.dispatch.dispatcher import Dispatcher
from vaeforge.search.dispatch.snapshot import snapshot
from vaeforge.search.dispatch.types import DispatchConfig, Lease, TrialReport


@pytest.fixture
def dispatcher(tmp_path: Path) -> Iterator[Dispatcher]:
    """A group with room for four lanes, and three trials that wait for it."""
    path = tmp_path / "ledger.jsonl"
    with closing(Ledger(path)) as ledger:
        found = Dispatcher(ledger, read_history(path), DispatchConfig(epochs=frozenset()))
        found.register(0, [WorkerProcess(1)], now=0.0)
        found.groups[0].lanes = 4
        for number in range(3):
            found.submit(number, {"optimizer.lr": 0.1 * number}, "linear")
        yield found


def lease(dispatcher: Dispatcher, *known: int) -> Lease:
    found = dispatcher.lease(0, 1, 0.0, known)
    assert found is not None
    return found


def report(*beside: int) -> TrialReport:
    return TrialReport(1, {}, 1.0, "running", 1.0, beside=beside or None)


def test_each_lane_names_its_company_as_long_as_it_is_trained(dispatcher: Dispatcher) -> None:
    first, second = lease(dispatcher), lease(dispatcher, 0)
    dispatcher.report(first, report(1))
    dispatcher.report(second, report(0))
    now = snapshot(dispatcher, None)
    assert now.lanes == 4 and now.counts == {"running": 2, "waiting": 1}
    assert [(one.trial, one.host, one.beside) for one in now.trials] == [(0, 0, (1,)), (1, 0, (0,)), (2, None, ())]
    dispatcher.crash(first, "crash", "")
    again = lease(dispatcher, 1)
    assert again.trial == 0  # nothing is known yet of the company of this attempt
    assert [(one.trial, one.host, one.beside) for one in snapshot(dispatcher, None).trials[:2]] == [
        (0, 0, ()),
        (1, 0, (0,)),
    ]
    dispatcher.stop(1, "on request")
    (ended,) = (one for one in snapshot(dispatcher, None).trials if one.trial == 1)
    assert (ended.beside, ended.lanes) == ((), 2)
