"""Rate limit: how many requests a minute one client may send, by its address, in a token bucket for each."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

MINUTE = 60.0
CLIENTS = 10_000  # remembered; the one that was seen least recently is forgotten first


class RateLimit:
    """Buckets of `rate` requests that fill up within a minute.

    Args:
        rate: requests a minute of one client.
        clock: in seconds.
    """

    def __init__(self, rate: int, clock: Callable[[], float] = time.monotonic):
        self.rate, self.clock = rate, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # requests left, and when that was

    def wait(self, client: str) -> int:
        """0 where a request of `client` is within its rate, which it then has used; else whole seconds to wait."""
        now = self.clock()
        left, then = self._left.pop(client, (float(self.rate), now))
        left = min(float(self.rate), left + (now - then) * self.rate / MINUTE)
        allowed = left >= 1
        self._left[client] = (left - allowed, now)
        if len(self._left) > CLIENTS:
            self._left.popitem(last=False)
        return 0 if allowed else math.ceil((1 - left) * MINUTE / self.rate)
