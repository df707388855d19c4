"""Samples as bytes: NumPy files and raw values give what JSON gives, and whatever is none is refused."""

import io
import pickle
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from test_serve_app import GREY, SMALL, classes, client, refused

__all__ = ["classes", "client"]  # fixtures
NPY, RAW = {"Content-Type": "application/x-npy"}, {"Content-Type": "application/octet-stream"}


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def samples(count: int = 3) -> Any:
    return np.random.default_rng(0).integers(0, 256, (count, 3, 16, 16)).astype(np.uint8)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_bytes_give_what_numbers_give(client: TestClient, dtype: str) -> None:
    x = samples().astype(dtype)
    listed = client.post("/predict", json={"inputs": {"x": x.tolist()}}).json()
    assert client.post("/predict", content=npy(x), headers=NPY).json() == listed
    assert client.post("/predict", content=npy(np.asfortranarray(x)), headers=NPY).json() == listed
    raw = x.astype(x.dtype.newbyteorder("<")).tobytes()
    assert client.post(f"/predict?dtype={dtype}", content=raw, headers=RAW).json() == listed
    one = client.post("/predict?outputs=score,reconstruction", content=npy(x[0]), headers=NPY).json()
    assert one["score"] == listed["score"][:1] and np.shape(one["reconstruction"]) == (1, 3, 16, 16)


def test_a_condition_stands_in_the_query(classes: TestClient) -> None:
    x = np.full((2, 1, 16, 16), 90, np.uint8)
    listed = classes.post("/predict", json={"inputs": {"x": x.tolist()}, "condition": "dog"}).json()
    assert classes.post("/predict?condition=dog", content=npy(x), headers=NPY).json() == listed
    refused(classes.post("/predict", content=npy(x), headers=NPY), 422, "condition: is missing")
    refused(classes.post("/predict?condition=cow", content=npy(x), headers=NPY), 422, "must be one of the classes cat")


@pytest.mark.parametrize(
    ("content", "query", "headers", "status", "words"),
    [
        (npy(samples())[:-1], "", NPY, 422, "cannot be read as .npy"),
        (b"", "", NPY, 422, "cannot be read as .npy"),
        (b"PK\3\4 no array", "", NPY, 422, "cannot be read as .npy"),
        (pickle.dumps(GREY), "", NPY, 422, "cannot be read as .npy"),
        (samples().tobytes()[:-1], "?dtype=uint8", RAW, 422, "holds 2303 bytes, must be a multiple of 768"),
        (b"", "", RAW, 422, "holds 0 bytes, must be a multiple of 3072"),
        (samples().tobytes(), "?dtype=int64", RAW, 422, "dtype: got 'int64', must be one of uint8, float32, float64"),
        (npy(samples()), "?dtype=uint8", NPY, 422, "a NumPy file says its own"),
        (npy(samples()), "?outputs=scores", NPY, 422, "outputs: got 'scores'"),
        (npy(samples()[:, :, 1:]), "", NPY, 422, "got shape [3, 3, 15, 16], must be [N, 3, 16, 16]"),
        (npy(np.full((1, 3, 16, 16), np.nan)), "", NPY, 422, "768 of 768 values are NaN or infinite"),
        (npy(np.array(["a"])), "", NPY, 422, "must be numbers"),
        (npy(samples(SMALL.samples + 1)), "", NPY, 413, "must be at most 8 a request"),
        (npy(samples()), "", {"Content-Type": "text/csv"}, 415, "application/x-npy"),
    ],
)
def test_other_bytes_are_refused(
    client: TestClient, content: bytes, query: str, headers: Any, status: int, words: str
) -> None:
    refused(client.post(f"/predict{query}", content=content, headers=headers), status, words)


def test_pickled_objects_are_refused_and_not_loaded(client: TestClient) -> None:
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    refused(client.post("/predict", content=file.getvalue(), headers=NPY), 422, "pickled Python objects")


def test_a_query_beside_json_is_refused(client: TestClient) -> None:
    answer = client.post("/predict?outputs=score", json={"inputs": {"x": GREY.tolist()}})
    refused(answer, 422, "outputs: got 'score' in the query, but a JSON document says it itself")
