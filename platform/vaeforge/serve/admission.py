"""Admission of requests: token, rate, concurrency, time; and the pictures that come in forms."""

import asyncio
import hmac
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from vaeforge.serve.metrics import Metrics
from vaeforge.serve.rate_limit import RateLimit
from vaeforge.serve.reception import AGAIN, Reception
from vaeforge.serve.settings import RequestLimits

FORM = "multipart/form-data"


class Admission:
    """One server's rules.

    Args:
        limits: see `RequestLimits`.
        token: that requests must bear; none asks for nothing.
        metrics: told how many requests there are at a time.
    """

    def __init__(self, limits: RequestLimits, token: str | None, metrics: Metrics):
        self.limits, self.token = limits, token
        self.reception = Reception(limits)
        self.rate = None if limits.rate is None else RateLimit(limits.rate)
        self._inside = 0
        metrics.in_flight.set_function(lambda: self._inside + len(self.reception))

    async def require_allowed(self, request: Request) -> None:
        """Refuse a client that sends too many requests, and one without the token, in a time that says nothing of how
        much of it was right.

        Raises:
            HTTPException: 429, 401.
        """
        if self.rate is not None:
            wait = self.rate.wait(request.client.host if request.client else "")
            if wait > 0:
                text = f"server: takes {self.limits.rate} requests a minute of one client; come again in {wait} s"
                raise HTTPException(429, text, {"Retry-After": str(wait)})
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
    async def timed(self) -> AsyncIterator[None]:
        """A request's time, for as long as it may take.

        Raises:
            HTTPException: 429 where there is no place for it already, 503 where time ran out.
        """
        self._require_place()
        try:
            async with asyncio.timeout(self.limits.seconds):
                yield
        except TimeoutError:
            text = f"request: took more than {self.limits.seconds:g} s, the limit; send less, or come again"
            raise HTTPException(503, text, AGAIN) from None

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """A place among the requests that are answered.

        Raises:
            HTTPException: 429 where there is none.
        """
        self._require_place()
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    def _require_place(self) -> None:
        if self._inside >= self.limits.requests:
            text = f"server: is busy with {self._inside} requests, its limit; come again in a second"
            raise HTTPException(429, text, AGAIN)

    async def body(self, request: Request) -> bytes:
        """The request's body; see `Reception.body`."""
        return await self.reception.body(request)

    async def files(self, request: Request) -> list[tuple[str, bytes]]:
        """The pictures of a request by name: the files of a form, else the body itself.

        Raises:
            HTTPException: as `body`; 400 for a form that is broken or cut off, or holds more files than samples are
                allowed; 422 where there is no picture.
        """
        content = await self.body(request)
        if not request.headers.get("content-type", "").lower().startswith(FORM):
            if not content:
                raise HTTPException(422, "body: holds no picture; send one as the body, or several as a form")
            return [("body", content)]

        async def stream() -> AsyncGenerator[bytes, None]:
            yield content

        most = self.limits.samples
        try:
            _require_whole(request, content)
            form = await MultiPartParser(request.headers, stream(), max_files=most, max_fields=0).parse()
        except (MultiPartException, KeyError, ValueError) as error:
            text = f"form: cannot be read ({error}); send up to {most} files and nothing else"
            raise HTTPException(400, text) from None
        async with form_of(form) as uploads:
            if not uploads:
                raise HTTPException(422, "body: holds no picture; send one as the body, or several as a form")
            return [(upload.filename or f"file {number}", await upload.read()) for number, upload in enumerate(uploads)]


def _require_whole(request: Request, content: bytes) -> None:
    """Refuse a form without its closing line: the parser leaves out what comes after the last whole part.

    Raises:
        ValueError: if it is cut off.
    """
    boundary = parse_options_header(request.headers["content-type"])[1].get(b"boundary", b"")
    if b"--" + boundary + b"--" not in content[-len(boundary) - 256 :]:
        raise ValueError("it is cut off, its closing boundary is missing")


@asynccontextmanager
async def form_of(form: FormData) -> AsyncIterator[list[UploadFile]]:
    """The files of a form, closed afterwards."""
    try:
        yield [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    finally:
        await form.close()
