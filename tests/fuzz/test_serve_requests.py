"""Requests that schemathesis makes of the server's own description: every answer is one that it documents.

Run by `make fuzz`, which installs schemathesis beside the environment; skipped elsewhere.
"""

import os
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from serving import write_bundle
from vaeforge.package.bundle import Bundle
from vaeforge.registry.fetch import Fetched
from vaeforge.serve.app import AppState, build_app
from vaeforge.serve.model import load
from vaeforge.serve.reload import ActiveModel
from vaeforge.serve.settings import RequestLimits

schemathesis = pytest.importorskip("schemathesis")
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.specs.openapi import checks  # noqa: E402

TOKEN = "0123456789abcdef"
CHECKS = (
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.ignored_auth,
    checks.unsupported_method,
)
REQUESTS = int(os.environ.get("FUZZ_EXAMPLES", "15"))
SETTINGS = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
)


HEADERS = {"Authorization": f"Bearer {TOKEN}"}
OPERATIONS = (
    "GET /health",
    "GET /ready",
    "GET /model",
    "GET /drift",
    "GET /metrics",
    "POST /predict",
    "POST /predict/image",
)


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the description of a server says, by operation; it asks for a token and has classes."""
    folder = write_bundle(
        tmp_path_factory.mktemp("model"),
        shape=(1, 4, 4),
        data="classes",
        classes=("cat", "dog"),
        prepare={"size": 4, "fit": "pad"},
    )
    app = build_app(AppState(ActiveModel(load(Fetched(Bundle(folder)), threads=1)), RequestLimits(), TOKEN))
    described = schemathesis.openapi.from_asgi("/openapi.json", app, headers=HEADERS)
    found = [one.ok() for one in described.get_all_operations()]
    return {one.label: one for one in found}


def answered_as_documented(operation: Any, requests: int) -> None:
    """So many requests that the description allows, and as many that it does not."""
    for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):

        @settings(SETTINGS, max_examples=requests)
        @given(case=operation.as_strategy(generation_mode=mode))
        def answers(case: schemathesis.Case) -> None:
            case.validate_response(case.call(headers=HEADERS), checks=list(CHECKS), headers=HEADERS)

        with suppress(Unsatisfiable):  # nothing can be wrong with a request that has no parts
            answers()


def test_every_operation_is_asked(operations: dict[str, Any]) -> None:
    assert set(operations) == set(OPERATIONS)


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_answers_are_those_of_the_description(operations: dict[str, Any], operation: str) -> None:
    takes_something = operation.startswith("POST")
    answered_as_documented(operations[operation], REQUESTS if takes_something else min(REQUESTS, 50))
