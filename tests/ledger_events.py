"""Events of a ledger, for tests, from the keys that their lines have."""

from typing import Any

from vaeforge.ledger.events import LedgerEvent, from_json


def event(kind: str, time: float = 0.0, **fields: Any) -> LedgerEvent:
    """The event of a line `{"event": kind, "time": time, **fields}`."""
    return from_json({"event": kind, "time": time, **fields})
