"""Heartbeat of a rank while it trains: a thread that says how many steps its training has made, and how long they took.

The thread alone proves only that the process lives; that it gets on is what the number of steps proves, which the
training itself counts: optimiser steps, batches of a validation, parts of a checkpoint that were written or uploaded.
`liveness.py` is the other side.
"""

import threading
import time
from collections.abc import Callable
from types import TracebackType

from vaeforge.search.dispatch.liveness import Pulse

HEARTBEAT_SECONDS = 5.0


class Heartbeat:
    """Within `with`, calls `send` with a `Pulse` now and then, from a thread of its own; it must not wait long."""

    def __init__(self, send: Callable[[Pulse], None], seconds: float = HEARTBEAT_SECONDS):
        self._send, self._seconds = send, seconds
        self._steps, self._longest = 0, 0.0
        self._newest: float | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def step(self) -> None:
        """The training has got on by one step; what comes before the first one, or after a wait, is no pause."""
        now = time.monotonic()
        if self._newest is not None:
            self._longest = max(self._longest, now - self._newest)
        self._newest = now
        self._steps += 1

    def wait(self) -> None:
        """The training waits for others, which says nothing of how long its steps take."""
        self._newest = None

    def _beat(self) -> None:
        while not self._over.wait(self._seconds):
            self._send(Pulse(self._steps, self._longest))

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
