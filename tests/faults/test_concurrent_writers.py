"""Processes that write at once: to one MLflow database, in a file or on a server, and to one ledger."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contenders import CONTEXT, tell_ledger, write_ledger
from postgres import PROGRAMS, WITHOUT_POSTGRES, postgres
from project import ROOT
from stores import new_database
from vaeforge.ledger.events import TrialLeased
from vaeforge.ledger.file import LedgerReader
from vaeforge.track.agreement import disagreements

pytestmark = [
    pytest.mark.slow,
    # MLflow's own use of SQLAlchemy, said once while it is imported
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
]
WRITERS, LINES = 16, 20


def at_once(function: Callable[..., None], calls: list[tuple[Any, ...]]) -> None:
    """Each call in a process of its own, all of which begin together; none may fail."""
    gate, failures = CONTEXT.Barrier(len(calls)), CONTEXT.Queue()
    processes = [CONTEXT.Process(target=function, args=(*call, gate, failures)) for call in calls]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0] * len(calls), [
        failures.get() for _ in range(failures.qsize())
    ]


def tell_at_once(folder: Path, uri: str, writers: int) -> None:
    """Have so many searches tell one store what happened, at once; every row must be there."""
    ledgers = []
    first, *others = (ROOT / "tests/ledgers/budget.jsonl").read_text().splitlines(keepends=True)
    for number in range(writers):
        name = f"search-{number}"
        path = folder / f"artifacts/searches/{name}/ledger.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text("".join([json.dumps({**json.loads(first), "name": name}) + "\n", *others]))
        ledgers.append(path)
    at_once(tell_ledger, [(path, uri) for path in ledgers])
    assert {path.parent.name: disagreements(path.parent, uri) for path in ledgers} == {
        path.parent.name: [] for path in ledgers
    }


@pytest.mark.timeout(400)
def test_sixteen_searches_tell_one_database_and_no_row_is_lost(tmp_path: Path) -> None:
    tell_at_once(tmp_path, new_database(tmp_path), WRITERS)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.skipif(not PROGRAMS, reason=WITHOUT_POSTGRES)
def test_thirty_two_searches_tell_one_postgresql_and_no_row_is_lost(tmp_path: Path) -> None:
    with postgres() as running:
        tell_at_once(tmp_path, running.database("mlflow"), 2 * WRITERS)


def test_sixteen_writers_of_one_ledger_come_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    at_once(write_ledger, [(path, number, LINES) for number in range(WRITERS)])
    reader = LedgerReader(path)
    events = [event for event in reader.read() if isinstance(event, TrialLeased)]
    assert reader.damaged == 0
    assert Counter(event.trial for event in events) == dict.fromkeys(range(WRITERS), LINES)
    order = [event.trial for event in events]
    assert order == [trial for trial in dict.fromkeys(order) for _ in range(LINES)]
