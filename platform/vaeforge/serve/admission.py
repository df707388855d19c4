"""Admission of requests: token, concurrency, size, timeout."""

import asyncio
import hmac
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from vaeforge.serve.metrics import Metrics
from vaeforge.serve.settings import RequestLimits

FORM = "multipart/form-data"
DRAINED = 4  # times the limit: read and thrown away, so that the client gets to see our answer
AGAIN = {"Retry-After": "1"}


class Admission:
    """One server's rules.

    Args:
        limits: see `RequestLimits`.
        token: that requests must bear; none asks for nothing.
        metrics: told how many requests there are at a time.
    """

    def __init__(self, limits: RequestLimits, token: str | None, metrics: Metrics):
        self.limits, self.token, self.metrics = limits, token, metrics
        self._inside = 0

    async def require_token(self, request: Request) -> None:
        """Refuse a request without the token, in a time that says nothing of how much of it was right.

        Raises:
            HTTPException: 401.
        """
        if self.token is None:
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode(), self.token.encode())
        if scheme.lower() != "bearer" or not right:
            said = "the wrong one" if given else "none"
            raise HTTPException(
                401,
                f"Authorization: got {said}, must be `Bearer TOKEN` with this server's token",
                {"WWW-Authenticate": "Bearer"},
            )

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """Room for a request, for as long as it may take.

        Raises:
            HTTPException: 429 where there is none, 503 where time ran out.
        """
        if self._inside >= self.limits.requests:
            raise HTTPException(
                429, f"server: is busy with {self._inside} requests, its limit; come again in a second", AGAIN
            )
        self._inside += 1
        self.metrics.in_flight.set(self._inside)
        try:
            async with asyncio.timeout(self.limits.seconds):
                yield
        except TimeoutError:
            text = f"request: took more than {self.limits.seconds:g} s, the limit; send less, or come again"
            raise HTTPException(503, text, AGAIN) from None
        finally:
            self._inside -= 1
            self.metrics.in_flight.set(self._inside)

    async def body(self, request: Request) -> bytes:
        """The request's body.

        Raises:
            HTTPException: 413 for one above the limit, 400 for one that is cut off.
        """
        content, size = bytearray(), 0
        try:
            async for chunk in request.stream():
                size += len(chunk)
                if size <= self.limits.body:
                    content += chunk
                elif size > DRAINED * self.limits.body:
                    break
        except ClientDisconnect:
            raise HTTPException(400, "body: is cut off; send it again") from None
        if size > self.limits.body:
            raise HTTPException(413, f"body: has more than {self.limits.body} bytes, the limit; send less at a time")
        return bytes(content)

    async def files(self, request: Request) -> list[tuple[str, bytes]]:
        """The pictures of a request by name: the files of a form, else the body itself.

        Raises:
            HTTPException: as `body`; 400 for a form that is broken or holds more files than samples are allowed.
        """
        content = await self.body(request)
        if not request.headers.get("content-type", "").lower().startswith(FORM):
            return [("body", content)] if content else []

        async def stream() -> AsyncGenerator[bytes, None]:
            yield content

        most = self.limits.samples
        try:
            form = await MultiPartParser(request.headers, stream(), max_files=most, max_fields=0).parse()
        except (MultiPartException, KeyError, ValueError) as error:
            text = f"form: cannot be read ({error}); send up to {most} files and nothing else"
            raise HTTPException(400, text) from None
        async with form_of(form) as uploads:
            return [(upload.filename or f"file {number}", await upload.read()) for number, upload in enumerate(uploads)]


@asynccontextmanager
async def form_of(form: FormData) -> AsyncIterator[list[UploadFile]]:
    """The files of a form, closed afterwards."""
    try:
        yield [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    finally:
        await form.close()
