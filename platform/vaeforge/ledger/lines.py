"""Lines of a ledger as events; those of epochs, which are nearly all of them, without a schema where they are plain.

A search of 10,000 trials has 600,000 of them, and whoever resumes, lists or reports it reads them all. Plain is a line
as `Ledger` writes it, whose values have the very types of their fields. Any other one (of an older build, by hand,
damaged) is read as lines of all other kinds are, by `from_json`, which alone says what is allowed: both ways give the
same event.
"""

import json
from typing import Any, TypeVar

import orjson

from vaeforge.ledger.events import EpochReported, LedgerEvent, from_json
from vaeforge.training.checkpoint_files import Checkpoint

EPOCH = f'{{"event":"{EpochReported.kind}",'.encode()
Record = TypeVar("Record")
FLOATS = frozenset((float, type(None)))  # types of metrics


def event_of(line: bytes) -> LedgerEvent:
    """The event in a line.

    Raises:
        ValueError: if it is no JSON, no event, or lacks what an event of its kind says.
    """
    if line.startswith(EPOCH):
        try:
            event = _plain_epoch(orjson.loads(line))
        except (KeyError, ValueError):  # what is not strict JSON, such as NaN, `json` may read all the same
            event = None
        if event is not None:
            return event
    return from_json(json.loads(line))


def _plain_epoch(content: dict[str, Any]) -> EpochReported | None:
    """The epoch in a parsed line; none where a value has another type than its field.

    Raises:
        KeyError: if a key is missing.
    """
    metrics, notes, beside = content["metrics"], content["notes"], content.get("beside")
    found: dict[str, Any] = {
        "time": content["time"],
        "trial": content["trial"],
        "attempt": content["attempt"],
        "epoch": content["epoch"],
        "metrics": metrics,
        "value": content["value"],
        "outcome": content["outcome"],
        "seconds": content["seconds"],
        "checkpoint": content["checkpoint"],
        "best": content["best"],
        "notes": (),
        "core_seconds": content["core_seconds"],
        "gpu_seconds": content["gpu_seconds"],
        "wall_seconds": content.get("wall_seconds"),
        "beside": None,
    }
    if not (
        content["event"] == EpochReported.kind
        and type(found["time"]) is type(found["seconds"]) is float
        and type(found["trial"]) is type(found["attempt"]) is type(found["epoch"]) is int
        and type(found["core_seconds"]) is type(found["gpu_seconds"]) is float
        and type(found["value"]) in FLOATS
        and type(found["wall_seconds"]) in FLOATS
        and type(found["outcome"]) is str
        and type(metrics) is dict
        and FLOATS.issuperset(map(type, metrics.values()))
    ):
        return None
    if notes != [] or beside is not None:
        if not (_list_of(notes, str) and (beside is None or _list_of(beside, int))):
            return None
        found["notes"], found["beside"] = tuple(notes), None if beside is None else tuple(beside)
    for name in ("checkpoint", "best"):
        state = found[name]
        if state is None:
            continue
        if name == "best" and state == content["checkpoint"]:
            found[name] = found["checkpoint"]  # the very same object: half of the memory
        elif (checkpoint := _plain_checkpoint(state)) is not None:
            found[name] = checkpoint
        else:
            return None
    return _filled(EpochReported, found)


def _list_of(values: Any, kind: type) -> bool:
    return type(values) is list and all(type(value) is kind for value in values)


def _plain_checkpoint(state: Any) -> Checkpoint | None:
    """The checkpoint in parsed JSON; see `_plain_epoch`."""
    if type(state) is not dict:
        return None
    file, digest, epoch = state["file"], state["sha256"], state["epoch"]
    if type(file) is type(digest) is str and type(epoch) is int:
        return _filled(Checkpoint, {"file": file, "sha256": digest, "epoch": epoch})
    return None


def _filled(kind: type[Record], fields: dict[str, Any]) -> Record:
    """A record of a frozen class with all its fields, as its own `__init__` makes it, at a fifth of the time."""
    record = object.__new__(kind)
    object.__setattr__(record, "__dict__", fields)
    return record
