"""Reception of requests' bodies: how many are on their way at a time, how large, how slow, and which one makes room.

A body that is on its way keeps nobody out: only when it is there does its request take one of the places of
`Admission`. Where there are too many, or they are too large together, the one that has sent nothing for the longest
time is told so, unless all of them are busy sending; then it is the newest that is told to come again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from vaeforge.serve.settings import RequestLimits

DRAINED = 4  # times the limit: read and thrown away, so that the client gets to see our answer
AGAIN = {"Retry-After": "1"}
STALLED = 5.0  # seconds without a byte after which a body is given up
IDLE = 1.0  # seconds without a byte after which it makes room for others
PLACES = 4  # times as many as requests that are answered at a time
ROOM = 8  # times as many bytes as one body may have


@dataclass(eq=False)
class Arriving:
    """One body on its way: `scope` ends it when it is due; `newest` is when bytes came last, `size` what is held."""

    scope: asyncio.Timeout
    newest: float
    size: int = 0


class Reception:
    """One server's bodies on their way.

    Args:
        limits: see `RequestLimits`.
    """

    def __init__(self, limits: RequestLimits):
        self.limits = limits
        self._arriving: set[Arriving] = set()

    def __len__(self) -> int:
        return len(self._arriving)

    async def body(self, request: Request) -> bytes:
        """The request's body.

        Raises:
            HTTPException: 413 for one above the limit, 400 for one that is cut off, 408 for one that is too slow, 429
                where there is no room.
        """
        content = bytearray()
        async with self._arrival() as arriving:
            try:
                async for chunk in request.stream():
                    self._note(arriving, len(chunk))
                    if arriving.size <= self.limits.body:
                        content += chunk
                    elif arriving.size > DRAINED * self.limits.body:
                        break
            except ClientDisconnect:
                raise HTTPException(400, "body: is cut off; send it again") from None
        if arriving.size > self.limits.body:
            text = f"body: has more than {self.limits.body} bytes, the limit; send less at a time"
            raise HTTPException(413, text)
        return bytes(content)

    @asynccontextmanager
    async def _arrival(self) -> AsyncIterator[Arriving]:
        now = asyncio.get_running_loop().time()
        self._make_room(len(self._arriving) >= PLACES * self.limits.requests, now)
        try:
            async with asyncio.timeout(STALLED) as scope:
                arriving = Arriving(scope, now)
                self._arriving.add(arriving)
                try:
                    yield arriving
                finally:
                    self._arriving.discard(arriving)
        except TimeoutError:
            text = "body: was too slow, or stopped on its way; send it again, all at once"
            raise HTTPException(408, text, {**AGAIN, "Connection": "close"}) from None

    def _note(self, arriving: Arriving, count: int) -> None:
        now = asyncio.get_running_loop().time()
        arriving.newest, arriving.size = now, arriving.size + count
        arriving.scope.reschedule(now + STALLED)
        held = sum(min(one.size, self.limits.body) for one in self._arriving)
        self._make_room(held > ROOM * self.limits.body, now)

    def _make_room(self, needed: bool, now: float) -> None:
        """End the body that is idle the longest; if none is, refuse whoever needs the room."""
        if not needed:
            return
        slowest = min(self._arriving, key=lambda one: one.newest)
        if now - slowest.newest < IDLE:
            text = f"server: receives {len(self._arriving)} requests, its limit; come again in a second"
            raise HTTPException(429, text, AGAIN)
        slowest.scope.reschedule(now)
        self._arriving.discard(slowest)
