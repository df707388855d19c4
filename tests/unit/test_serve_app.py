"""Every route and every refusal of the server, in this process; tests/e2e/test_serve.py starts real ones."""

import base64
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from serving import THRESHOLD, write_bundle
from vaeforge.package.bundle import Bundle
from vaeforge.registry.fetch import Fetched
from vaeforge.serve.app import AppState, build_app
from vaeforge.serve.model import ServedModel, load
from vaeforge.serve.reload import ActiveModel
from vaeforge.serve.settings import RequestLimits

SECRET = "0123456789abcdef"
SMALL = RequestLimits(body=200_000, samples=8, requests=2, seconds=60.0)
GREY = np.full((1, 3, 16, 16), 100.0)


def model_in(folder: Path, **changes: Any) -> ServedModel:
    return load(Fetched(Bundle(write_bundle(folder, **changes))), threads=1)


def client_of(model: ServedModel, limits: RequestLimits = SMALL, token: str | None = None) -> TestClient:
    return TestClient(build_app(AppState(ActiveModel(model), limits, token)), raise_server_exceptions=False)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with client_of(model_in(tmp_path / "plain")) as opened:
        yield opened


@pytest.fixture
def classes(tmp_path: Path) -> Iterator[TestClient]:
    changes = {"shape": (1, 16, 16), "data": "classes", "classes": ("cat", "dog")}
    with client_of(model_in(tmp_path / "classes", prepare={"size": 16, "fit": "pad"}, **changes)) as opened:
        yield opened


def png(size: tuple[int, int] = (40, 30), colour: Any = (10, 20, 30), mode: str = "RGB", kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, colour).save(file, kind)
    return file.getvalue()


def packed(array: np.ndarray) -> dict[str, Any]:
    text = base64.b64encode(array.tobytes()).decode()
    return {"base64": text, "shape": list(array.shape), "dtype": str(array.dtype)}


def refused(answer: Any, status: int, *words: str) -> None:
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    for word in words:
        assert word in answer.json()["error"]


def test_its_state_says_what_answers(client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "alive"}
    assert client.get("/ready").json() == {"status": "ready"}
    known = client.get("/model").json()
    assert (known["model"], known["version"]) == ("plain", None)
    assert known["reload"] == {"checked": None, "loaded": 0, "failed": 0, "error": None, "withdrawn": None}
    assert (known["threshold"], known["contract"]["event_shape"], known["card"]) == (THRESHOLD, [3, 16, 16], None)


def test_numbers_are_scored(client: TestClient) -> None:
    x = np.concatenate([GREY, GREY + 50])
    x[:, 1] += 3
    answer = client.post("/predict", json={"inputs": {"x": x.tolist()}})
    assert answer.status_code == 200
    assert answer.json() == {
        "model": "plain",
        "version": None,
        "threshold": THRESHOLD,
        "score": [101, 151],
        "is_anomaly": [False, True],
        "strange": [False, True],
        "mu": [[100, 103, 100], [150, 153, 150]],
        "logvar": [[0, 0, 0], [0, 0, 0]],
    }


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_packed_numbers_are_the_same_as_listed_ones(client: TestClient, dtype: str) -> None:
    x = np.random.default_rng(0).integers(0, 256, (2, 3, 16, 16)).astype(dtype)
    listed, sent = ({"inputs": {"x": form}, "outputs": ["mu", "reconstruction"]} for form in (x.tolist(), packed(x)))
    answer = client.post("/predict", json=sent).json()
    assert answer == client.post("/predict", json=listed).json()
    np.testing.assert_array_equal(answer["reconstruction"], x)


def test_classes_are_named_or_numbered(classes: TestClient) -> None:
    x = np.full((2, 1, 16, 16), 7.0).tolist()
    for condition in ("dog", ["dog", "dog"], [0, 1], [[0, 1], [0, 1]]):
        answer = classes.post("/predict", json={"inputs": {"x": x}, "condition": condition, "outputs": ["score"]})
        assert answer.json()["score"] == [8, 8]
    beside = classes.post("/predict", json={"inputs": {"x": x, "condition": [[1, 0], [0, 1]]}, "outputs": ["score"]})
    assert beside.json()["score"] == [7, 8]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_a_picture_is_scored(client: TestClient, kind: str) -> None:
    type_ = f"image/{kind.lower()}"
    answer = client.post("/predict/image?outputs=mu", content=png(kind=kind), headers={"Content-Type": type_})
    assert answer.status_code == 200, answer.text
    assert answer.json()["names"] == ["body"]
    np.testing.assert_allclose(answer.json()["mu"], [[10, 20, 30]], atol=2)


def test_a_form_brings_several_pictures_in_order(client: TestClient) -> None:
    files = [("files", (f"{level}.png", png(colour=(level,) * 3), "image/png")) for level in (30, 10, 20)]
    answer = client.post("/predict/image?outputs=score", files=files).json()
    assert (answer["names"], answer["score"]) == (["30.png", "10.png", "20.png"], [30, 10, 20])


def test_a_picture_of_a_class(classes: TestClient) -> None:
    content, headers = png(colour=7, mode="L"), {"Content-Type": "image/png"}
    answer = classes.post("/predict/image?label=dog&outputs=score", content=content, headers=headers)
    assert answer.json()["score"] == [8]
    wrong = classes.post("/predict/image?label=dgo", content=content, headers=headers)
    refused(wrong, 422, "label: got 'dgo', must be one of the classes cat, dog; did you mean 'dog'?")
    refused(classes.post("/predict/image", content=content, headers=headers), 422, "label: is missing")


BAD: list[tuple[Any, int, str]] = [
    ({}, 422, "inputs: got None, must be an object with x, condition"),
    ([], 422, "body: got [], must be an object"),
    ({"inputs": {}}, 422, "inputs.x: is missing, must be samples of shape [N, 3, 16, 16]"),
    ({"inputs": {"x": [[1]]}}, 422, "inputs.x: got shape [1, 1], must be [N, 3, 16, 16]"),
    ({"inputs": {"x": [[1], [1, 2]]}}, 422, "inputs.x: is no array of numbers"),
    ({"inputs": {"x": "text"}}, 422, "inputs.x: is no array of numbers (it holds 'text')"),
    ({"inputs": {"x": [[1], [True]]}}, 422, "inputs.x: is no array of numbers (it holds True)"),
    ({"inputs": {"x": GREY.astype(str).tolist()}}, 422, "inputs.x: is no array of numbers (it holds '100.0')"),
    ({"inputs": {"x": {"base64": "AAAA", "shape": [1] * 73, "dtype": "uint8"}}}, 422, "must be [N, 3, 16, 16]"),
    ({"inputs": {"x": None}}, 422, "inputs.x:"),
    ({"inputs": {"x": GREY.tolist()}, "input": 1}, 422, "unknown key 'input', must be one of"),
    ({"inputs": {"x": GREY.tolist()}, "condition": "cat"}, 422, "this model has no condition"),
    ({"inputs": {"x": GREY.tolist()}, "outputs": ["scores"]}, 422, "did you mean 'score'?"),
    ({"inputs": {"x": GREY.tolist()}, "outputs": "score"}, 422, "must be a list of some of"),
    ({"inputs": {"x": GREY.tolist(), "condition": 1}, "condition": 1}, 422, "occurs twice"),
    ({"inputs": {"x": (GREY * 3e36).tolist()}}, 422, "is not finite; its values are out of range"),
    ({"inputs": {"x": packed(np.zeros((9, 3, 16, 16), np.uint8))}}, 413, "got 9 samples, must be at most 8"),
    ({"inputs": {"x": {"base64": "AA", "shape": [3, 16, 16], "dtype": "uint8"}}}, 422, "is not base64"),
    ({"inputs": {"x": {"base64": "AAAA", "shape": [2, 1, 1], "dtype": "uint8"}}}, 422, "holds 3 bytes, must be 2"),
    ({"inputs": {"x": {"base64": "AAAA", "shape": [-1], "dtype": "uint8"}}}, 422, "all at least 1"),
    ({"inputs": {"x": {"base64": "AAAA", "shape": [10**30, 1, 1], "dtype": "uint8"}}}, 422, "holds 3 bytes"),
    ({"inputs": {"x": {"base64": "AAAA", "shape": [3], "dtype": "object"}}}, 422, "must be one of uint8, float32"),
    ({"inputs": {"x": {"base64": 1, "shape": [3, 16, 16], "dtype": "uint8"}}}, 422, "base64: got 1, must be text"),
]


@pytest.mark.parametrize(("document", "status", "message"), BAD)
def test_bad_documents_are_refused(client: TestClient, document: Any, status: int, message: str) -> None:
    refused(client.post("/predict", json=document), status, message)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"inputs": {"x": 1}} trailing'])
def test_what_is_not_json_is_refused(client: TestClient, body: bytes) -> None:
    answer = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    refused(answer, 422, "body: is not JSON")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e400"])
def test_numbers_that_are_none_are_refused(client: TestClient, value: str) -> None:
    body = json.dumps({"inputs": {"x": GREY.tolist()}}).replace("100.0", value, 1)
    answer = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    refused(answer, 422, "inputs.x: 1 of 768 values are NaN or infinite, must be finite numbers")


def test_too_many_samples_and_bytes_are_refused(client: TestClient) -> None:
    refused(client.post("/predict", json={"inputs": {"x": np.zeros((9, 3, 16, 16), int).tolist()}}), 413, "at most 8")
    headers = {"Content-Type": "application/json"}
    refused(client.post("/predict", content=b" " * 200_001, headers=headers), 413, "more than 200000 bytes, the limit")
    files = [("files", (f"{number}.png", png(), "image/png")) for number in range(9)]
    refused(client.post("/predict/image", files=files), 400, "Maximum number of files is 8")


PICTURES: list[tuple[bytes, str, int, str]] = [
    (png()[:50], "image/png", 422, "body: cannot be read as PNG, JPEG, TIFF"),
    (b"", "image/png", 422, "body: holds no picture"),
    (png(kind="GIF", mode="L", colour=0), "image/png", 422, "cannot be read as PNG, JPEG, TIFF"),
    (png((10_000, 10_000), 0, "1"), "image/png", 422, "pixels"),
    (png((9_100, 9_100), 0, "1"), "image/png", 422, "9100 x 9100 pixels, at most 80000000 are read"),
    (png(mode="F", colour=0, kind="TIFF"), "image/tiff", 422, "convert it to 8 or 16 bits"),
    (png(), "text/html", 415, "Content-Type: got text/html, must be one of image/png"),
    (b"--x\r\n", "multipart/form-data", 400, "form: cannot be read"),
    (b"nothing", "multipart/form-data; boundary=x", 400, "form: cannot be read"),
]


@pytest.mark.parametrize(("content", "type_", "status", "message"), PICTURES)
def test_bad_pictures_are_refused(client: TestClient, content: bytes, type_: str, status: int, message: str) -> None:
    refused(client.post("/predict/image", content=content, headers={"Content-Type": type_}), status, message)


def test_bad_questions_about_pictures_are_refused(client: TestClient) -> None:
    headers = {"Content-Type": "image/png"}
    post: Callable[[str], Any] = lambda query: client.post(f"/predict/image?{query}", content=png(), headers=headers)  # noqa: E731
    refused(post("outputs=scor"), 422, "did you mean 'score'?")
    refused(post("prepared=yes"), 422, "must be true or false")
    refused(post("prepared=true"), 422, "body: picture: got 40 x 30 pixels, must be 16 x 16")


def test_other_paths_methods_and_types_are_refused(client: TestClient) -> None:
    refused(client.get("/predictions"), 404, "path: got /predictions, which is none of this server's")
    refused(client.get("/predict"), 405, "method: got GET for /predict")
    refused(client.post("/predict", content=b"{}", headers={"Content-Type": "text/plain"}), 415, "application/json")


def test_a_token_is_asked_for_but_not_for_health(tmp_path: Path) -> None:
    with client_of(model_in(tmp_path), token=SECRET) as client:
        body = {"inputs": {"x": GREY.tolist()}}
        assert client.get("/health").status_code == client.get("/ready").status_code == 200
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {SECRET}"}):
            answer = client.post("/predict", json=body, headers=headers)
            refused(answer, 401, "Authorization: got", "must be `Bearer TOKEN`")
            assert answer.headers["www-authenticate"] == "Bearer"
            assert SECRET not in answer.text
            for path in ("/model", "/drift", "/metrics", "/openapi.json"):
                assert client.get(path, headers=headers).status_code == 401
        right = {"Authorization": f"Bearer {SECRET}"}
        assert client.post("/predict", json=body, headers=right).status_code == 200
        assert client.get("/metrics", headers=right).status_code == 200
        described = client.get("/openapi.json", headers=right).json()
        assert described["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
        asks = {path for path, methods in described["paths"].items() for one in methods.values() if "security" in one}
        assert asks == set(described["paths"]) - {"/health", "/ready"}


def test_a_token_that_is_not_ascii_is_wrong(tmp_path: Path) -> None:
    with client_of(model_in(tmp_path), token=SECRET) as client:
        refused(client.get("/model", headers={"Authorization": "Bearer ключ".encode()}), 401, "the wrong one")


class Slow:
    """A session that takes its time, and tells when it began."""

    def __init__(self, session: Any, seconds: float):
        self.session, self.seconds, self.began = session, seconds, threading.Event()

    def run(self, *arguments: Any) -> Any:
        self.began.set()
        time.sleep(self.seconds)
        return self.session.run(*arguments)


@pytest.mark.slow
def test_more_requests_than_allowed_are_told_to_come_again(tmp_path: Path) -> None:
    model = model_in(tmp_path)
    slow = Slow(model.session, 0.5)
    with client_of(replace(model, session=slow)) as client, ThreadPoolExecutor(8) as pool:
        send = lambda _: client.post("/predict", json={"inputs": {"x": GREY.tolist()}})  # noqa: E731
        answers = list(pool.map(send, range(8)))
        found = [answer.status_code for answer in answers]
        assert set(found) == {200, 429} and found.count(200) >= 2
        busy = next(answer for answer in answers if answer.status_code == 429)
        refused(busy, 429, "server: is busy with 2 requests, its limit")
        assert busy.headers["retry-after"] == "1"
        assert send(0).status_code == 200


def test_a_request_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    model = model_in(tmp_path)
    slow = replace(model, session=Slow(model.session, 0.6))
    with client_of(slow, replace(SMALL, seconds=0.2)) as client:
        answer = client.post("/predict", json={"inputs": {"x": GREY.tolist()}})
        refused(answer, 503, "request: took more than 0.2 s, the limit")
        assert answer.headers["retry-after"] == "1"
        assert client.get("/ready").status_code == 200


class Broken:
    """A session that fails."""

    def run(self, *_: Any) -> Any:
        raise RuntimeError("out of memory")


def test_a_failure_of_ours_is_said_without_its_insides(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with client_of(replace(model_in(tmp_path), session=Broken())) as client:
        refused(client.post("/predict", json={"inputs": {"x": GREY.tolist()}}), 500, "no fault of the request")
        assert client.get("/ready").status_code == 200
    assert "out of memory" in caplog.text


def test_drift_is_judged_by_what_was_asked(tmp_path: Path) -> None:
    with client_of(model_in(tmp_path), replace(SMALL, body=10**7, samples=256)) as client:
        assert client.get("/drift").json()["verdict"] == "unknown"
        levels = np.random.default_rng(5).normal(170, 10, (60, 3, 1, 1))
        x = np.broadcast_to(levels, (60, 3, 16, 16)).astype(np.float32)
        assert client.post("/predict", json={"inputs": {"x": packed(np.ascontiguousarray(x))}}).status_code == 200
        found = client.get("/drift").json()
        assert (found["verdict"], found["inputs"], found["reference"]) == ("drifted", 60, 200)
        assert found["anomaly_rate"]["value"] == 1 and found["strange"] == found["anomaly_rate"]
        metrics = client.get("/metrics").text
        assert "vaeforge_drift_verdict 2.0" in metrics and "vaeforge_drift_inputs 60.0" in metrics
        assert "vaeforge_drift_latents 3.0" in metrics


def test_metrics_count_requests_and_runs(client: TestClient) -> None:
    client.post("/predict", json={"inputs": {"x": np.zeros((3, 3, 16, 16)).tolist()}})
    client.post("/predict", json={})
    client.get("/nowhere")
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    for line in (
        'vaeforge_requests_total{method="POST",route="/predict",status="200"} 1.0',
        'vaeforge_requests_total{method="POST",route="/predict",status="422"} 1.0',
        'vaeforge_requests_total{method="GET",route="other",status="404"} 1.0',
        'vaeforge_request_seconds_count{route="/predict"} 2.0',
        "vaeforge_run_samples_sum 3.0",
        'vaeforge_model_info{model="plain",version=""} 1.0',
        "vaeforge_requests_in_flight 0.0",
        "vaeforge_drift_score_psi NaN",
    ):
        assert line in answer.text.splitlines(), line


def test_the_documentation_describes_bodies(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {
        "/health", "/ready", "/model", "/drift", "/metrics", "/openapi.json", "/predict", "/predict/image"
    }  # fmt: skip
    body = described["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == {"inputs", "condition", "outputs"}
    assert {"image/png", "multipart/form-data"} <= set(
        described["paths"]["/predict/image"]["post"]["requestBody"]["content"]
    )
    assert set(described["paths"]["/metrics"]["get"]["responses"]["200"]["content"]) == {"text/plain"}
    assert {"400", "405", "408"} <= set(described["paths"]["/predict"]["post"]["responses"])
    assert "securitySchemes" not in described.get("components", {})
    refused(client.get("/docs"), 404, "/openapi.json lists them")  # a page would load scripts from elsewhere


def test_the_address_alone_says_what_there_is(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.json()["description"] == "/openapi.json"
    for path in ("/model", "/health", "/ready"):
        assert path in answer.text
        assert client.get(path).status_code == 200


def test_pictures_unlike_the_training_data_are_answered_and_warned_of(tmp_path: Path) -> None:
    """A model whose training pictures were red; a grey one is scored all the same."""
    folder = write_bundle(tmp_path / "red")
    contract = json.loads((folder / "contract.json").read_text())
    ranges = {"colour": {"least": 80.0, "most": 120.0, "mean": 100.0, "low": 50.0, "high": 150.0}}
    ranges["shorter side"] = {"least": 40.0, "most": 40.0, "mean": 40.0, "low": 20.0, "high": 80.0}
    contract["statistics"] = {"samples": 100, "share": 0.5, "measures": ranges}
    (folder / "contract.json").write_text(json.dumps(contract))
    with client_of(load(Fetched(Bundle(folder)), threads=1)) as client:

        def answer(**picture: Any) -> Any:
            return client.post("/predict/image", content=png(**picture), headers={"Content-Type": "image/png"}).json()

        assert "warnings" not in answer(size=(40, 40), colour=(110, 10, 10))
        (told,) = answer(size=(40, 40), colour=(60, 60, 60))["warnings"]
        assert "1 of 1 lie outside of its range (colour 0, training 80 to 120)" in told
        (told,) = answer(size=(10, 30), colour=(110, 10, 10))["warnings"]
        assert "(shorter side 10, training 40)" in told
        assert "vaeforge_unlike_training_total 2.0" in client.get("/metrics").text


def test_a_model_without_statistics_warns_of_nothing(client: TestClient) -> None:
    answer = client.post("/predict/image", content=png(colour=(0, 0, 0)), headers={"Content-Type": "image/png"})
    assert answer.status_code == 200 and "warnings" not in answer.json()
