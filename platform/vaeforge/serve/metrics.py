"""Metrics of a server for Prometheus: requests, runs, the version that answers, reloads, drift."""

import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vaeforge.serve.drift import Drift
from vaeforge.serve.reload import ActiveModel

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SAMPLES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
VERDICTS = {"unknown": -1, "stable": 0, "moderate": 1, "drifted": 2}


class Metrics:
    """One server's numbers, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "vaeforge_requests", "requests answered", ("route", "method", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "vaeforge_request_seconds", "from request to answer", ("route",), buckets=SECONDS, registry=self.registry
        )
        self.unlike = Counter(
            "vaeforge_unlike_training",
            "requests whose inputs do not look like the training data",
            registry=self.registry,
        )
        self.samples = Histogram("vaeforge_run_samples", "samples of a run", buckets=SAMPLES, registry=self.registry)
        self.model = Gauge(
            "vaeforge_model_info", "the version that answers", ("model", "version"), registry=self.registry
        )
        self.in_flight = self._gauge("requests_in_flight", "requests that are read, waiting or answered")
        self.reloads = self._gauge("reloads", "versions taken in use after the first")
        self.failures = self._gauge("reload_failures", "looks at the registry, or loads, that failed or took too long")
        self.checked = self._gauge("reload_checked_seconds", "unix time of the last successful look at the registry")
        self.withdrawn = self._gauge("model_withdrawn", "1 where the version was archived, and answers no more")
        self.window = self._gauge("drift_inputs", "inputs that drift is judged by")
        self.verdict = self._gauge("drift_verdict", "-1 unknown, 0 stable, 1 moderate, 2 drifted")
        self.index = self._gauge("drift_score_psi", "population stability index of the score")
        self.statistic = self._gauge("drift_score_ks", "Kolmogorov-Smirnov statistic of the score")
        self.latents = self._gauge("drift_latents", "latent dimensions that have shifted")
        self.anomaly_rate = self._gauge("drift_strange_share", "share of inputs above the threshold")

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"vaeforge_{name}", text, registry=self.registry)

    def text(self, active: ActiveModel, drift: Drift) -> bytes:
        """Everything in Prometheus' text format, the version, reloads and drift as they are now."""
        described = active.model.described
        self.model.clear()
        self.model.labels(described["model"], described["version"] or "").set(1)
        self.reloads.set(active.loaded)
        self.failures.set(active.failed)
        self.checked.set(active.checked or float("nan"))
        self.withdrawn.set(active.withdrawn is not None)
        self._set_drift(drift)
        return generate_latest(self.registry)

    def _set_drift(self, drift: Drift) -> None:
        self.window.set(drift.inputs)
        self.verdict.set(VERDICTS[drift.verdict])
        self.latents.set(sum(shift.level != "stable" for shift in drift.latents))
        unknown = float("nan")
        self.index.set(drift.score.index if drift.score else unknown)
        self.statistic.set(drift.score.statistic if drift.score else unknown)
        self.anomaly_rate.set(drift.anomaly_rate.value if drift.anomaly_rate else unknown)


class MetricsMiddleware:
    """ASGI middleware: counts and times requests by route (`other` where there is none) and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics, clock: Callable[[], float] = time.perf_counter):
        self.app, self.metrics, self.clock = app, metrics, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = self.clock(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            route: Any = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in ("GET", "POST") else "other"
            self.metrics.requests.labels(route, method, str(status)).inc()
            self.metrics.seconds.labels(route).observe(self.clock() - began)
