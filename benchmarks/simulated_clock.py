"""Event loop on a clock of its own: what is computed takes the time that it takes, what is waited for takes none.

A simulated training sleeps for an hour and the loop goes on at once with its clock an hour ahead; while anything is
computed, the clock runs with the CPU time of this thread, so that other work on the machine does not count. So a
thousand hosts that mostly wait need seconds, and how long an answer took is still what the code that gives it needed,
waiting in line behind others included. Threads beside it do their work at once.
"""

import asyncio
import selectors
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class SimulatedLoop(asyncio.SelectorEventLoop):
    """See the module's docstring."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._held: float | None = None
        self.threads = 0
        self._now = self._seconds()
        super().__init__(_Skipping(self))

    def time(self) -> float:
        """Seconds of the simulated clock, as of the last look at it, which itself takes 50 microseconds."""
        return self._now

    def look(self) -> float:
        """Seconds of the simulated clock, now."""
        self._now = self._seconds()
        return self._now

    def _seconds(self) -> float:
        return (time.thread_time() if self._held is None else self._held) + self._ahead

    def skip(self, seconds: float) -> None:
        """Nothing happens for so long."""
        self._ahead += seconds
        self.look()

    @contextmanager
    def elsewhere(self) -> Iterator[list[float]]:
        """What is computed inside is another process's work: the clock stands still; its seconds are in the list."""
        self._held, before = time.thread_time(), time.process_time()
        took: list[float] = []
        try:
            yield took
        finally:
            took.append(time.process_time() - before)
            self._ahead -= time.thread_time() - self._held
            self._held = None
            self.look()

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        """As the loop's own; while a thread works, the clock does not run ahead."""
        self.threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_ended)
        return future

    def _thread_ended(self, future: Any) -> None:
        self.threads -= 1


class _Skipping(selectors.DefaultSelector):
    """Waits for no time that only passes."""

    def __init__(self, loop: SimulatedLoop):
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        self._loop.look()
        if ready or timeout is None or timeout <= 0:
            return ready if ready or timeout is not None else super().select(None)
        if self._loop.threads:
            return super().select(None)
        self._loop.skip(timeout)
        return []
