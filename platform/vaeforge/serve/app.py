"""HTTP interface of `vaeforge serve`: the routes, what each answers, and one form for all errors.

`server.py` builds the app and runs it; `reload.py` replaces the active model while requests are answered, so that a
request takes `active.model` once and keeps it. An error is `{"error": "where: got X, must be Y"}` with its status.

Nothing that takes long runs where it would keep the event loop, or Python's lock, from other requests: small bodies are
read in a thread, large ones in a process (`work_process.py`), and the model runs some samples at a time.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
import pydantic_core
from fastapi import Depends, FastAPI, Query
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from vaeforge.errors import DataError, ResourceError, VaeforgeError
from vaeforge.serve import schema
from vaeforge.serve.access_log import AccessLogMiddleware
from vaeforge.serve.admission import FORM, Admission
from vaeforge.serve.answer import Arrays, size_of, written
from vaeforge.serve.binary_bodies import NPY, RAW, BinaryQuestion, read_binary
from vaeforge.serve.drift import Drift
from vaeforge.serve.json_numbers import with_array
from vaeforge.serve.metrics import Metrics, MetricsMiddleware
from vaeforge.serve.model import ServedModel
from vaeforge.serve.reload import ActiveModel
from vaeforge.serve.request_parsing import (
    LIGHT_BYTES,
    QUICK_BYTES,
    PictureQuestion,
    PredictRequest,
    TooMuchError,
    flag_of,
    names_of,
    outputs_of,
    read_numbers,
    read_pictures,
    stated_reading,
    take_long,
)
from vaeforge.serve.settings import RequestLimits
from vaeforge.serve.work_process import WorkProcess
from vaeforge.version import __version__

JSON = "application/json"
PICTURES = ("image/png", "image/jpeg", "image/tiff", "application/octet-stream", FORM)
ROUTING_ERRORS = {
    404: "path: got {path}, which is none of this server's; /openapi.json lists them",
    405: "method: got {method} for {path}, which takes another; /openapi.json lists them",
}
SMALL_NUMBERS, LIGHT_NUMBERS = 5_000, 100_000  # of an answer, written at once, or in a thread
RUN = 32  # samples that the model gets at a time, so that other requests come in between
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"

Background = Callable[[], Coroutine[Any, Any, None]]
logger = logging.getLogger(__name__)


class AppState:
    """What all routes share.

    Args:
        active: the model version that answers.
        limits: see `RequestLimits`.
        token: required of requests, if there is one.
    """

    def __init__(self, active: ActiveModel, limits: RequestLimits, token: str | None = None):
        self.active, self.limits = active, limits
        self.metrics = Metrics()
        self.admission = Admission(limits, token, self.metrics)
        self.work = WorkProcess()
        # one reader: a request may be large once decoded (pixels, numbers), and only one at a time is held so
        self.reader = ThreadPoolExecutor(1, thread_name_prefix="reader")
        # one runner: onnxruntime uses its own threads, and several runs at a time would compete for the cores
        self.runner = ThreadPoolExecutor(1, thread_name_prefix="runner")
        self._drift: tuple[ServedModel, int, Drift] | None = None

    async def answer(self, read: "partial[PredictRequest]", large: bool, model: ServedModel) -> Response:
        """Read the request, run the model, and write its answer as JSON.

        Args:
            read: gives the request; can be pickled.
            large: reading takes long.
            model: that answers.
        """
        loop = asyncio.get_running_loop()
        request = await (self.work.run(read) if large else loop.run_in_executor(self.reader, read))
        # beside the model, which leaves Python's lock alone
        looked = loop.run_in_executor(self.reader, _looked_at, model, request)
        outputs, looks = await asyncio.gather(self._outputs(model, request), looked)
        write = partial(written, model.answered, outputs, request.outputs, request.names, looks.warnings)
        content = await self._written(write, size_of(outputs, request.outputs))
        self.metrics.samples.observe(len(request.x))
        self.metrics.unlike.inc(looks.unlike)
        model.window.add(outputs["score"], outputs["mu"])
        return Response(content, media_type=JSON)

    async def _written(self, write: "partial[bytes]", numbers: int) -> bytes:
        """The answer, of so many numbers; a change of threads costs as much as a small one."""
        if numbers <= SMALL_NUMBERS:
            return write()
        if numbers <= LIGHT_NUMBERS:
            return await asyncio.get_running_loop().run_in_executor(self.runner, write)
        return await self.work.run(write)

    async def read_quickly(self, content: bytes, model: ServedModel) -> dict[str, Any] | None:
        """A document of middle size, where it holds arrays of numbers: sooner read here than sent to another process.

        None where it does not, or is small, or large.
        """
        if not LIGHT_BYTES < len(content) <= QUICK_BYTES:
            return None
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.reader, with_array, content, model.contract.event_shape)

    async def _outputs(self, model: ServedModel, request: PredictRequest) -> Arrays:
        """The model's outputs by name, of a few samples at a time."""
        loop, condition, parts = asyncio.get_running_loop(), request.condition, list[Arrays]()
        for first in range(0, len(request.x), RUN):
            some = slice(first, first + RUN)
            given = None if condition is None else condition[some]
            parts.append(await loop.run_in_executor(self.runner, model.run, request.x[some], given))
        return parts[0] if len(parts) == 1 else {n: np.concatenate([part[n] for part in parts]) for n in parts[0]}

    async def drift(self) -> Drift:
        """Drift of the inputs that the active version has seen; computed anew only after new ones."""
        model = self.active.model
        total = model.window.total
        if self._drift is None or self._drift[:2] != (model, total):
            found = await asyncio.to_thread(model.drift, model.window.held())
            self._drift = (model, total, found)
        return self._drift[2]


def build_app(state: AppState, background: Background | None = None) -> FastAPI:
    """The server's application; `background` runs as long as it does."""
    lifespan = _lifespan(state, background)
    # no page of documentation: it would load scripts from elsewhere; the description itself asks for the token
    app = FastAPI(
        title="vaeforge", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.add_middleware(MetricsMiddleware, metrics=state.metrics)
    app.add_middleware(AccessLogMiddleware)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(VaeforgeError, _invalid_request)
    app.add_exception_handler(Exception, _internal_error)
    _add_health_routes(app, state)
    _add_model_routes(app, state)
    _add_predict_routes(app, state)
    return app


def _lifespan(state: AppState, background: Background | None) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(background()) if background else None
        try:
            yield
        finally:
            if task:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            state.work.close()
            for pool in (state.reader, state.runner):
                pool.shutdown(wait=False, cancel_futures=True)

    return lifespan


def _add_health_routes(app: FastAPI, state: AppState) -> None:
    @app.get("/", include_in_schema=False)
    async def start() -> dict[str, str]:
        """What this is and where to read on, for whoever opens the address in a browser."""
        return {
            "server": f"vaeforge {__version__}",
            "description": "/openapi.json",
            "model": "/model",
            "predict": "POST /predict, POST /predict/image",
            "state": "/health, /ready, /drift, /metrics",
        }

    @app.get("/health", tags=["state"], responses=schema.REFUSED_ROUTING)
    async def health() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "alive"}

    @app.get("/ready", tags=["state"], responses=schema.READINESS)
    async def ready() -> dict[str, str]:
        """Whether predictions are answered; `/model` says by which version, and how its last reload went."""
        _require_in_use(state)
        return {"status": "ready"}


def _add_model_routes(app: FastAPI, state: AppState) -> None:
    protected = [Depends(state.admission.require_allowed)]

    @app.get("/model", tags=["model"], dependencies=protected, responses=schema.DESCRIBED)
    async def model() -> Response:
        """Name, version, threshold, contract and card of the version that answers, and how its last reload went.

        After one that failed the old version still answers.
        """
        active = state.active
        told = {"checked": active.checked, "loaded": active.loaded, "failed": active.failed, "error": active.error}
        return _json(active.model.described | {"reload": told | {"withdrawn": active.withdrawn}})

    @app.get("/drift", tags=["model"], dependencies=protected, responses=schema.DESCRIBED)
    async def drift() -> Response:
        """Whether the last 2,000 inputs resemble the validation samples; see `vaeforge drift`."""
        return _json((await state.drift()).plain())

    @app.get(
        "/metrics", tags=["state"], dependencies=protected, responses=schema.METRICS, response_class=PlainTextResponse
    )
    async def metrics() -> Response:
        """The server's numbers for Prometheus."""
        return Response(state.metrics.text(state.active, await state.drift()), media_type=PROMETHEUS)

    @app.get("/openapi.json", tags=["state"], dependencies=protected, responses=schema.DESCRIBED)
    async def description() -> Response:
        """This description."""
        return _json(schema.secured(app.openapi(), state.admission.token is not None))


def _add_predict_routes(app: FastAPI, state: AppState) -> None:
    protected = [Depends(state.admission.require_allowed)]
    admission, limits = state.admission, state.limits

    @app.post("/predict", tags=["predict"], dependencies=protected, openapi_extra=schema.NUMBERS)
    async def predict(
        request: Request,
        dtype: Annotated[str | None, Query(description="of raw values: uint8, float32 (default) or float64")] = None,
        condition: Annotated[
            str | None, Query(description="of all samples in bytes: a class, or numbers separated by commas")
        ] = None,
        outputs: Annotated[str | None, Query(description="for samples in bytes: names, separated by commas")] = None,
    ) -> Response:
        """Score samples that are given as numbers, in JSON or as bytes."""
        async with admission.timed():
            _require_in_use(state)
            kind = _require_type(request, (JSON, NPY, RAW))
            given = {"dtype": dtype, "condition": condition, "outputs": outputs}
            asked = BinaryQuestion(dtype or "", condition, outputs_of(names_of(outputs)))
            content = await admission.body(request)
            async with admission.admitted():
                model = state.active.model
                if kind != JSON:
                    packed = partial(read_binary, content, kind, model.contract, asked, limits.samples)
                    return await state.answer(packed, False, model)
                _require_none(given)
                quick = await state.read_quickly(content, model)
                read = partial(read_numbers, content, model.contract, limits.samples, quick)
                return await state.answer(read, quick is None and len(content) > LIGHT_BYTES, model)

    @app.post("/predict/image", tags=["predict"], dependencies=protected, openapi_extra=schema.PICTURES)
    async def predict_image(
        request: Request,
        label: Annotated[str | None, Query(description="class of the pictures, for models with classes")] = None,
        prepared: Annotated[str | None, Query(description="true: each picture is a sample already")] = None,
        outputs: Annotated[str | None, Query(description="names, separated by commas")] = None,
        white: Annotated[str | None, Query(description="value that is white in pictures of more than 8 bits")] = None,
        black: Annotated[str | None, Query(description="value that is black in them")] = None,
        pages: Annotated[str | None, Query(description="what pages are: frames, first, max, mean or channels")] = None,
        channels: Annotated[str | None, Query(description="channels taken, by number or name, with commas")] = None,
    ) -> Response:
        """Score pictures, made into samples as the model's data were."""
        async with admission.timed():
            _require_in_use(state)
            _require_type(request, PICTURES)
            ready, names = flag_of("prepared", prepared), outputs_of(names_of(outputs))
            files = await admission.files(request)
            async with admission.admitted():
                model = state.active.model
                reading = stated_reading(model.contract, white, black, pages, channels)
                asked = PictureQuestion(label, ready, names, reading)
                read = partial(read_pictures, files, model.contract, asked, limits)
                return await state.answer(read, await asyncio.to_thread(take_long, files, limits), model)


@dataclass(frozen=True)
class _Looks:
    """What there is to say of a request's inputs, and how many of the warnings are of unlike ones."""

    warnings: tuple[str, ...]
    unlike: int


def _looked_at(model: ServedModel, request: PredictRequest) -> _Looks:
    unlike = model.warnings(request.x, request.sizes)
    return _Looks((*unlike, *model.remarks(request.x)), len(unlike))


def _require_in_use(state: AppState) -> None:
    if state.active.withdrawn is not None:
        raise HTTPException(503, state.active.withdrawn)


def _require_type(request: Request, allowed: tuple[str, ...]) -> str:
    """The media type of the body, one of `allowed`."""
    given: str = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in allowed:
        raise HTTPException(415, f"Content-Type: got {given or 'none'}, must be one of {', '.join(allowed)}")
    return given


def _require_none(query: Mapping[str, str | None]) -> None:
    """Refuse parameters of the query beside a JSON document, which holds all that is asked."""
    for name, value in query.items():
        if value is not None:
            raise DataError(f"{name}: got {value!r} in the query, but a JSON document says it itself; leave it out")


def _json(content: Any) -> Response:
    return Response(pydantic_core.to_json(content, inf_nan_mode="null"), media_type=JSON)


def _error(status: int, message: str, headers: Any = None) -> Response:
    return Response(pydantic_core.to_json({"error": message}), status, headers, JSON)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = ROUTING_ERRORS.get(error.status_code, "{detail}")
    asked = {"path": request.url.path, "method": request.method, "detail": error.detail}
    return _error(error.status_code, text.format(**asked), error.headers)


async def _invalid_request(_: Request, error: Exception) -> Response:
    statuses = {TooMuchError: 413, ResourceError: 503}
    return _error(next((code for kind, code in statuses.items() if isinstance(error, kind)), 422), str(error))


async def _internal_error(_: Request, error: Exception) -> Response:
    logger.error("a request failed", exc_info=error)
    return _error(500, "server: failed to answer, which is no fault of the request; its log says why")
