"""Lines of epochs are read without a schema where they are plain: whatever a line holds, both ways say the same."""

import json
from pathlib import Path
from typing import Any

import pytest

from vaeforge.ledger.events import EpochReported, LedgerEvent, from_json
from vaeforge.ledger.lines import EPOCH, event_of

KEPT = sorted((Path(__file__).parents[1] / "ledgers").glob("*.jsonl"))
STATE = {"file": "a/epoch-00003.pt", "sha256": "ab" * 32, "epoch": 3}
PLAIN: dict[str, Any] = {
    "event": "reported",
    "time": 1.5,
    "trial": 0,
    "attempt": 2,
    "epoch": 3,
    "metrics": {"val/nelbo": 2.5, "val/mse": None},
    "value": 2.5,
    "outcome": "running",
    "seconds": 1.0,
    "checkpoint": STATE,
    "best": STATE,
    "notes": ["slow"],
    "core_seconds": 2.0,
    "gpu_seconds": 0.0,
    "wall_seconds": 9.0,
    "beside": [4, 5],
}
ODD: tuple[Any, ...] = (
    *(None, True, 7, 2**70, -0.0, 1e300, "7", "seven", "", [], {}, [7], ["7"], [True], [None], {"a": 1}, {"a": "1.5"}),
    *({"a": "b"}, {"a": True}, {"file": "a"}),
    *(STATE, STATE | {"epoch": "4"}, STATE | {"epoch": 4.5}, STATE | {"more": 1}),
    float("nan"),
    float("inf"),
)


def plainly(line: bytes) -> LedgerEvent | None:
    try:
        return from_json(json.loads(line))
    except ValueError:
        return None


def quickly(line: bytes) -> LedgerEvent | None:
    try:
        return event_of(line)
    except ValueError:
        return None


def require_same(line: bytes) -> None:
    found, wanted = quickly(line), plainly(line)
    assert type(found) is type(wanted)
    assert repr(found) == repr(wanted)  # types, order and numbers that equal nothing included
    assert (None if found is None else found.to_json()) == (None if wanted is None else wanted.to_json())


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_lines_of_kept_ledgers(path: Path) -> None:
    for line in path.read_bytes().splitlines(keepends=True):
        require_same(line)


@pytest.mark.parametrize("key", PLAIN)
def test_an_epoch_with_any_one_value_odd_or_missing(key: str) -> None:
    for value in ODD:
        require_same(json.dumps(PLAIN | {key: value}, separators=(",", ":")).encode())
    require_same(json.dumps({k: v for k, v in PLAIN.items() if k != key}, separators=(",", ":")).encode())


def test_a_line_that_is_cut_or_changed_at_any_byte() -> None:
    line = json.dumps(PLAIN, separators=(",", ":")).encode() + b"\n"
    assert line.startswith(EPOCH)
    for place in range(len(line)):
        require_same(line[:place])
        require_same(line[:place] + b"\xff" + line[place + 1 :])
        require_same(line[:place] + b'"' + line[place:])


def test_odd_texts_and_a_second_kind_in_the_same_line() -> None:
    line = json.dumps(PLAIN, separators=(",", ":")).encode()
    require_same(line[:-1] + b',"event":"resumed"}')
    require_same(line.replace(b"running", rb"\ud800"))
    require_same(line.replace(b"running", "épöch ☃".encode()))
    require_same(b"\xef\xbb\xbf" + line)


def test_one_state_is_one_object() -> None:
    event = event_of(json.dumps(PLAIN, separators=(",", ":")).encode())
    assert isinstance(event, EpochReported) and event.best is event.checkpoint
