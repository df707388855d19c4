"""A ledger's file: what its one reader takes, leaves for later and counts as damaged."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vaeforge.ledger.events import SearchResumed
from vaeforge.ledger.file import LedgerReader, read_events
from vaeforge.ledger.history import read_history

SEARCH = {"event": "search", "time": 0.0, "name": "s", "family": "endoscopy", "space": {}}


def line(**content: Any) -> str:
    return json.dumps(content) + "\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def test_a_torn_last_line_is_left_for_the_next_read(path: Path) -> None:
    whole, torn = line(**SEARCH), line(event="resumed", time=1.0)
    path.write_text(whole + torn[:10])
    reader = LedgerReader(path)
    assert [event.kind for event in reader.read()] == ["search"]
    assert reader.offset == len(whole)
    path.write_text(whole + torn)
    assert [event.kind for event in reader.read()] == ["resumed"]
    assert list(reader.read()) == [] and reader.offset == len(whole + torn)


def test_reading_up_to_a_byte_takes_only_lines_that_end_before_it(path: Path) -> None:
    one = line(event="resumed", time=1.0)
    path.write_text(3 * one)
    reader = LedgerReader(path)
    assert len(list(reader.read(until=2 * len(one) - 1))) == 1
    assert len(list(reader.read(until=2 * len(one)))) == 1
    assert reader.offset == 2 * len(one)


@pytest.mark.parametrize(
    "damage",
    [
        b'{"event": "reported", "ti',
        b"[1, 2]",
        b'{"event": "resumed"}',
        b'{"event": "resumed", "time": "now"}',
        b'{"event": "leased", "time": 1.0, "trial": 0}',
        b'{"event": "finished", "time": 1.0, "trial": "first", "state": "failed", "epoch": 0, "seconds": 0}',
        b"\xff\xfe",
    ],
)
def test_a_complete_line_that_is_no_event_is_counted_and_skipped(path: Path, damage: bytes) -> None:
    path.write_bytes(line(**SEARCH).encode() + damage + b"\n" + line(event="resumed", time=2.0).encode())
    reader = LedgerReader(path)
    assert [event.kind for event in reader.read()] == ["search", "resumed"]
    assert reader.damaged == read_history(path).damaged == 1


def test_where_there_is_no_ledger_nothing_has_happened(path: Path) -> None:
    assert list(read_events(path)) == [] and read_history(path).header is None
    with pytest.raises(FileNotFoundError):
        list(LedgerReader(path).read())


FILLS_UP = """
import resource, sys
from pathlib import Path
from vaeforge.ledger.events import SearchResumed
from vaeforge.ledger.events import SearchResumed
from vaeforge.ledger.file import Ledger

path, room = Path(sys.argv[1]), int(sys.argv[2])
ledger = Ledger(path)
ledger.append(SearchResumed(project_run_id=None, trials=1))
size = path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, resource.RLIM_INFINITY))
try:
    ledger.append(SearchResumed(project_run_id="r" * 200, trials=2))
except OSError as error:
    print("refused:", error.strerror, path.stat().st_size - size)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
ledger.append(SearchResumed(project_run_id=None, trials=3))
"""


@pytest.mark.parametrize("room", [0, 1, 40])
def test_a_line_that_the_disk_takes_a_part_of_is_taken_back(path: Path, room: int) -> None:
    """The system writes `room` bytes of it, says so, and refuses the rest: the next line stands by itself."""
    done = subprocess.run(
        [sys.executable, "-c", FILLS_UP, str(path), str(room)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "refused: File too large 0\n"
    reader = LedgerReader(path)
    assert [event.trials for event in reader.read() if isinstance(event, SearchResumed)] == [1, 3]
    assert reader.damaged == 0
