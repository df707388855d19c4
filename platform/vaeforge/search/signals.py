"""Signals as requests to end cleanly: the first one asks, a second SIGINT leaves at once."""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class InterruptHandler:
    """Within its block, SIGINT and SIGTERM only set `signal`; restores the former handlers at the end.

    `mlflow run` sends SIGTERM a quarter of a second after Ctrl-C: that is the same request.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.requested = threading.Event()
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "InterruptHandler":
        self._former = {number: signal.getsignal(number) for number in SIGNALS}
        self.install()
        return self

    def install(self) -> None:
        """Take the signals, again where a library has taken them meanwhile."""
        for number in SIGNALS:
            signal.signal(number, self._handle)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            os._exit(128 + number)
        if self.signal is None:
            self.signal = signal.Signals(number)
            self.requested.set()

    def request(self) -> None:
        """The same as a SIGTERM, asked for in another way."""
        self._handle(signal.SIGTERM, None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
