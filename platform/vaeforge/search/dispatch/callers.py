"""Callers of the dispatcher that wait for what has not happened yet, each for its own trial or for any trial at all.

Only those are woken whom a change concerns: with a thousand worker groups a thousand calls wait at any time, and asking
each of them after every message would take longer than the messages come.
"""

import asyncio
from collections.abc import Callable, Iterable

ANY_TRIAL = -1  # what an idle worker group waits for
STARTED_PROCESS = -2  # what a trial's end waits for


class Callers:
    """Waiting calls, by the number of the trial that each waits for."""

    def __init__(self, patience: float):
        """
        Args:
            patience: seconds that a call waits at most; callers ask again.
        """
        self._patience = patience
        self._waiting: dict[int, dict[asyncio.Future[None], None]] = {}

    def count(self, trial: int) -> int:
        """How many calls wait for `trial`."""
        return len(self._waiting.get(trial, ()))

    async def until(self, trial: int, ready: Callable[[], bool]) -> None:
        """Wait until `ready`, which is asked again whenever something happens to `trial`."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._patience
        while not ready() and (left := end - loop.time()) > 0:
            woken = loop.create_future()
            self._waiting.setdefault(trial, {})[woken] = None
            try:
                await asyncio.wait_for(woken, left)
            except TimeoutError:
                return
            finally:
                self._leave(trial, woken)

    def wake(self, trials: Iterable[int], most: int | None = None) -> None:
        """Ask those that wait for `trials` again; of each the `most` that have waited longest, if it is given."""
        for trial in trials:
            for woken in list(self._waiting.get(trial, ()))[:most]:
                self._leave(trial, woken)
                if not woken.done():
                    woken.set_result(None)

    def wake_all(self) -> None:
        """Ask everybody again."""
        self.wake(list(self._waiting))

    def _leave(self, trial: int, woken: "asyncio.Future[None]") -> None:
        waiting = self._waiting.get(trial, {})
        waiting.pop(woken, None)
        if not waiting:
            self._waiting.pop(trial, None)
