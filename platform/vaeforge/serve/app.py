"""HTTP interface of `vaeforge serve`: the routes, what each answers, and one form for all errors.

`server.py` builds the app and runs it; `reload.py` replaces the active model while requests are answered, so that a
request takes `active.model` once and keeps it. An error is `{"error": "where: got X, must be Y"}` with its status.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

import numpy as np
import pydantic_core
from fastapi import Depends, FastAPI, Query
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from vaeforge.errors import VaeforgeError
from vaeforge.serve import schema
from vaeforge.serve.admission import FORM, Admission
from vaeforge.serve.drift import Drift
from vaeforge.serve.metrics import Metrics, MetricsMiddleware
from vaeforge.serve.model import Arrays, ServedModel
from vaeforge.serve.reload import ActiveModel
from vaeforge.serve.request_parsing import (
    PredictRequest,
    TooMuchError,
    flag_of,
    names_of,
    outputs_of,
    read_numbers,
    read_pictures,
    stated_reading,
)
from vaeforge.serve.settings import RequestLimits
from vaeforge.version import __version__

JSON = "application/json"
PICTURES = ("image/png", "image/jpeg", "image/tiff", "application/octet-stream", FORM)
ROUTING_ERRORS = {
    404: "path: got {path}, which is none of this server's; /docs lists them",
    405: "method: got {method} for {path}, which takes another; /docs lists them",
}
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
        # one reader: a request may be large once decoded (pixels, numbers), and only one at a time is held so
        self.reader = ThreadPoolExecutor(1, thread_name_prefix="reader")
        # one runner: onnxruntime uses its own threads, and several runs at a time would compete for the cores
        self.runner = ThreadPoolExecutor(1, thread_name_prefix="runner")
        self._drift: tuple[ServedModel, int, Drift] | None = None

    async def answer(self, read: Callable[[], PredictRequest], model: ServedModel) -> Response:
        """Read the request, run the model, and write its answer as JSON."""
        loop = asyncio.get_running_loop()
        request = await loop.run_in_executor(self.reader, read)
        outputs = await loop.run_in_executor(self.runner, model.run, request.x, request.condition)
        warnings = await asyncio.to_thread(model.warnings, request.x, request.sizes)
        self.metrics.samples.observe(len(request.x))
        self.metrics.unlike.inc(len(warnings))
        model.window.add(outputs["score"], outputs["mu"])
        return Response(await asyncio.to_thread(_written, model, request, outputs, warnings), media_type=JSON)

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
    app = FastAPI(title="vaeforge", version=__version__, lifespan=_lifespan(state, background), redoc_url=None)
    app.add_middleware(MetricsMiddleware, metrics=state.metrics)
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
            for pool in (state.reader, state.runner):
                pool.shutdown(wait=False, cancel_futures=True)

    return lifespan


def _add_health_routes(app: FastAPI, state: AppState) -> None:
    @app.get("/health", tags=["state"])
    async def health() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "alive"}

    @app.get("/ready", tags=["state"])
    async def ready() -> dict[str, Any]:
        """Which version answers, and how its last reload went; after a failed one the old version still answers."""
        active = state.active
        told = {"checked": active.checked, "loaded": active.loaded, "failed": active.failed, "error": active.error}
        described = active.model.described
        return {"status": "ready", "model": described["model"], "version": described["version"], "reload": told}


def _add_model_routes(app: FastAPI, state: AppState) -> None:
    protected = [Depends(state.admission.require_token)]

    @app.get("/model", tags=["model"], dependencies=protected)
    async def model() -> Response:
        """Name, version, threshold, contract and card of the version that answers."""
        return _json(state.active.model.described)

    @app.get("/drift", tags=["model"], dependencies=protected)
    async def drift() -> Response:
        """Whether the last 2,000 inputs resemble the validation samples; see `vaeforge drift`."""
        return _json((await state.drift()).plain())

    @app.get("/metrics", tags=["state"], dependencies=protected)
    async def metrics() -> Response:
        """The server's numbers for Prometheus."""
        return Response(state.metrics.text(state.active, await state.drift()), media_type=PROMETHEUS)


def _add_predict_routes(app: FastAPI, state: AppState) -> None:
    protected = [Depends(state.admission.require_token)]

    @app.post("/predict", tags=["predict"], dependencies=protected, openapi_extra=schema.NUMBERS)
    async def predict(request: Request) -> Response:
        """Score samples that are given as numbers."""
        async with state.admission.admitted():
            _require_type(request, (JSON,))
            content, model = await state.admission.body(request), state.active.model
            return await state.answer(lambda: read_numbers(content, model.contract, state.limits.samples), model)

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
        async with state.admission.admitted():
            _require_type(request, PICTURES)
            ready, names = flag_of("prepared", prepared), outputs_of(names_of(outputs))
            files, model = await state.admission.files(request), state.active.model
            reading = stated_reading(model.contract, white, black, pages, channels)
            return await state.answer(lambda: read_pictures(files, model.contract, label, ready, names, reading), model)


def _require_type(request: Request, allowed: tuple[str, ...]) -> None:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in allowed:
        raise HTTPException(415, f"Content-Type: got {given or 'none'}, must be one of {', '.join(allowed)}")


def _written(model: ServedModel, request: PredictRequest, outputs: Arrays, warnings: list[str]) -> bytes:
    """The outputs that were asked for, as JSON, and warnings where there are some.

    Raises:
        HTTPException: 422 where an output is not finite, which JSON cannot hold; inputs far from any data lead to it.
    """
    is_anomaly = outputs["score"] > model.contract.threshold
    outputs = {**outputs, "is_anomaly": is_anomaly, "strange": is_anomaly}
    wanted = {name: outputs[name] for name in request.outputs}
    for name, array in wanted.items():
        wrong = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))
        if len(wrong):
            text = f"inputs.x: of sample {wrong[0]} the model's {name} is not finite; its values are out of range"
            raise HTTPException(422, text)
    described = model.described
    content = {name: described[name] for name in ("model", "version", "threshold")}
    if request.names:
        content["names"] = list(request.names)
    if warnings:
        content["warnings"] = warnings
    return pydantic_core.to_json(content | {name: array.tolist() for name, array in wanted.items()})


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
    return _error(413 if isinstance(error, TooMuchError) else 422, str(error))


async def _internal_error(_: Request, error: Exception) -> Response:
    logger.error("a request failed", exc_info=error)
    return _error(500, "server: failed to answer, which is no fault of the request; its log says why")
