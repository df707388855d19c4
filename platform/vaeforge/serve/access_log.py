"""Access log: one line for each request with its id, client, method, path, status and milliseconds."""

import logging
import re
import time
import uuid
from collections.abc import Callable
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-ID"
_USABLE = re.compile(r"[A-Za-z0-9._:-]{1,64}")
logger = logging.getLogger(__name__)


class AccessLogMiddleware:
    """ASGI middleware: gives each request an id, the client's own where it sent a usable one, and logs its end.

    The path is logged without its query, and as it would stand in a URL, so that it cannot write lines of its own.
    """

    def __init__(self, app: ASGIApp, clock: Callable[[], float] = time.perf_counter):
        self.app, self.clock = app, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = self.clock(), 500
        given = Headers(scope=scope).get(HEADER, "")
        identity = given if _USABLE.fullmatch(given) else uuid.uuid4().hex

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = identity
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            client = (scope.get("client") or ("-",))[0]
            told = (identity, client, scope["method"], quote(scope["path"]), status, (self.clock() - began) * 1000)
            logger.info("request %s %s %s %s %d %.1f ms", *told)
