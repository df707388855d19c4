"""Bodies of requests that are nearly right: an answer or a refusal in JSON, never an internal error."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import strategies as st
from PIL import Image

from fuzz.format_parsers import changed
from fuzz.mutations import as_json, changed_bytes, changed_documents, changed_numbers
from fuzz.parsers import pictures
from fuzz.running import each
from serving import write_bundle
from vaeforge.package.bundle import Bundle
from vaeforge.registry.fetch import Fetched
from vaeforge.serve.app import AppState, build_app
from vaeforge.serve.model import load
from vaeforge.serve.reload import ActiveModel
from vaeforge.serve.settings import RequestLimits

SHAPE = (1, 4, 4)
X = np.arange(32, dtype=np.float32).reshape(2, *SHAPE)
ANSWERS = (200, 400, 413, 422)
FORM = "multipart/form-data; boundary=part"
Request = tuple[str, str]  # path with its query, media type


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def form() -> list[bytes]:
    """Two pictures in one body."""
    found = []
    for seed in range(2):
        file = io.BytesIO()
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (5, 4, 3), np.uint8)).save(file, "png")
        head = f'--part\r\nContent-Disposition: form-data; name="file"; filename="{seed}.png"\r\n\r\n'
        found.append(head.encode() + file.getvalue() + b"\r\n")
    return [b"".join(found) + b"--part--\r\n", found[0] + b"--part--\r\n"]


def documents() -> st.SearchStrategy[bytes]:
    packed = {"base64": base64.b64encode(X.tobytes()).decode(), "shape": list(X.shape), "dtype": "float32"}
    trees: list[Any] = [
        {"inputs": {"x": X.tolist()}, "condition": ["cat", "dog"]},
        {"inputs": {"x": X.tolist(), "condition": [[1, 0], [0, 1]]}, "outputs": ["score", "mu"]},
        {"inputs": {"x": packed}, "condition": "cat"},
    ]
    texts = [json.dumps(tree).encode() for tree in trees]
    return changed_documents(trees, as_json) | changed_bytes(texts) | changed_numbers(texts)


BODIES: dict[str, tuple[Request, st.SearchStrategy[bytes]]] = {
    "numbers": (("/predict", "application/json"), documents()),
    "npy": (
        ("/predict?condition=cat", "application/x-npy"),
        changed([npy(X), npy(X.astype(np.uint8)), npy(np.asfortranarray(X[0]))], 128),
    ),
    "raw values": (
        ("/predict?condition=cat&dtype=float64", "application/octet-stream"),
        changed_bytes([X.astype("<f8").tobytes()]) | st.binary(max_size=400),
    ),
    "picture": (("/predict/image?label=cat", "application/octet-stream"), changed_bytes(pictures())),
    "form of pictures": (("/predict/image?label=cat", FORM), changed_bytes(form())),
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A server's app, whose model has classes."""
    folder = write_bundle(
        tmp_path_factory.mktemp("model"),
        shape=SHAPE,
        data="classes",
        classes=("cat", "dog"),
        prepare={"size": 4, "fit": "pad"},
    )
    state = AppState(ActiveModel(load(Fetched(Bundle(folder)), threads=1)), RequestLimits(samples=8))
    with TestClient(build_app(state), raise_server_exceptions=False) as opened:
        yield opened


@pytest.mark.timeout(7200)
@pytest.mark.slow
@pytest.mark.parametrize("what", BODIES)
def test_a_body_is_answered_or_refused_in_json(client: TestClient, what: str) -> None:
    (path, kind), contents = BODIES[what]

    def answered(content: bytes) -> None:
        answer = client.post(path, content=content, headers={"Content-Type": kind})
        assert answer.status_code in ANSWERS, (answer.status_code, answer.text)
        found = answer.json()
        assert answer.status_code == 200 or (set(found) == {"error"} and found["error"])

    each(contents, answered)


def test_sound_bodies_are_answered(client: TestClient, tmp_path: Path) -> None:
    sound = {"npy": npy(X), "raw values": X.astype("<f8").tobytes(), "form of pictures": form()[0]}
    for what, content in sound.items():
        path, kind = BODIES[what][0]
        assert client.post(path, content=content, headers={"Content-Type": kind}).status_code == 200, what
