"""Large requests, slow bodies, many clients: each is bounded, and others are answered meanwhile; a real server."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from test_serve_app import GREY, SMALL, client_of, model_in, png, refused

from serving import Server, write_bundle
from vaeforge.errors import DataError
from vaeforge.serve.rate_limit import CLIENTS, RateLimit
from vaeforge.serve.reception import IDLE
from vaeforge.serve.request_parsing import take_long
from vaeforge.serve.settings import RequestLimits

JSON = {"Content-Type": "application/json"}
ONE = json.dumps({"inputs": {"x": GREY.tolist()}, "outputs": ["score"]}).encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("server")
    started = Server(root, str(write_bundle(root / "model")), "--max-megapixels", "40")
    yield started
    started.end()


def connect(server: Server) -> http.client.HTTPConnection:
    host, port = server.address.removeprefix("http://").split(":")
    return http.client.HTTPConnection(host, int(port), timeout=120)


def ask(server: Server, method: str, path: str, body: bytes | None = None, headers: Any = None) -> tuple[int, Any, Any]:
    connection = connect(server)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def beside(server: Server, body: bytes, path: str, headers: dict[str, str]) -> tuple[int, list[int]]:
    """The status of a large request, and those of small ones that are asked while it is under way."""
    small: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        large = pool.submit(ask, server, "POST", path, body, headers)
        while not large.done():
            small.append(ask(server, "GET", "/health")[0])
            small.append(ask(server, "POST", "/predict", ONE, JSON)[0])
        return large.result()[0], small


@pytest.mark.slow
def test_thirty_megabytes_of_json_stall_nobody(server: Server) -> None:
    """At least as many small requests are answered meanwhile as a server that stood still could not have."""
    x = np.random.default_rng(0).integers(0, 256, (256, 3, 16, 16)) + 0.123456789012345678
    body = json.dumps({"inputs": {"x": x.tolist()}, "outputs": ["reconstruction"]}).encode()
    body = body[:-1] + b" " * (31 * 2**20 - len(body)) + b"}"
    status, small = beside(server, body, "/predict", JSON)
    assert status == 200 and set(small) == {200} and len(small) >= 20, (status, len(small))


@pytest.mark.slow
def test_pictures_of_many_pixels_stall_nobody_and_have_a_limit(server: Server) -> None:
    picture = png((6000, 6000), 0, "1")
    status, small = beside(server, picture, "/predict/image?outputs=score", {"Content-Type": "image/png"})
    assert status == 200 and set(small) == {200} and len(small) >= 4
    boundary = b"--x\r\nContent-Disposition: form-data; name=files; filename=a.png\r\n\r\n"
    body = b"".join(boundary + picture + b"\r\n" for _ in range(250)) + b"--x--\r\n"
    status, _, told = ask(server, "POST", "/predict/image", body, {"Content-Type": "multipart/form-data; boundary=x"})
    assert (status, b"to 72000000 pixels, must be at most 40000000" in told) == (413, True), told


def half_a_body(server: Server) -> socket.socket:
    host, port = server.address.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=60)
    head = f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    connection.sendall(head.encode() + b'{"inputs": ')
    return connection


@pytest.mark.slow
def test_bodies_that_stop_half_way_keep_nobody_out(server: Server) -> None:
    """128 may be on their way; what has stopped makes room for what comes."""
    stopped = [half_a_body(server) for _ in range(140)]
    time.sleep(1.2 * IDLE)
    assert [ask(server, "POST", "/predict", ONE, JSON)[0] for _ in range(5)] == [200] * 5
    assert stopped[0].recv(65536).startswith(b"HTTP/1.1 408")
    assert stopped[-1].recv(65536).startswith((b"HTTP/1.1 408", b"HTTP/1.1 429"))
    for connection in stopped:
        connection.close()


@pytest.mark.slow
def test_a_request_has_an_id_and_a_line_in_the_log(server: Server) -> None:
    _, headers, _ = ask(server, "GET", "/no%0Awhere?token=secret", headers={"X-Request-ID": "abc-1"})
    assert headers["x-request-id"] == "abc-1"
    _, headers, _ = ask(server, "GET", "/health", headers={"X-Request-ID": "no\tid " + "x" * 100})
    assert len(headers["x-request-id"]) == 32
    deadline = time.monotonic() + 60
    while headers["x-request-id"] not in server.output:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (line,) = [line for line in server.output.splitlines() if "abc-1" in line]
    assert "INFO request abc-1 127.0.0.1 GET /no%0Awhere 404 " in line and line.endswith(" ms")
    assert line[:2] == "20" and "secret" not in server.output


def test_a_form_that_is_cut_is_not_answered_for_a_part_of_it(tmp_path: Path) -> None:
    part = b"--x\r\nContent-Disposition: form-data; name=files; filename=a.png\r\n\r\n"
    whole = part + png() + b"\r\n" + part + png() + b"\r\n" + part + png() + b"\r\n--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    with client_of(model_in(tmp_path)) as client:
        assert len(client.post("/predict/image", content=whole, headers=headers).json()["score"]) == 3
        for cut in (whole[: -len(png()) // 2], whole[:-9], whole[:-5]):
            refused(client.post("/predict/image", content=cut, headers=headers), 400, "closing boundary is missing")


def test_values_that_no_picture_holds_are_scored_with_a_remark(tmp_path: Path) -> None:
    with client_of(model_in(tmp_path)) as client:
        assert "warnings" not in client.post("/predict", json={"inputs": {"x": GREY.tolist()}}).json()
        x = np.concatenate([GREY, GREY * 30])
        (told,) = client.post("/predict", json={"inputs": {"x": x.tolist()}}).json()["warnings"]
        assert told.startswith("values of 1 of 2 samples lie outside of 0 to 255") and "100 to 3000" in told


def test_numbers_may_stand_in_any_json(tmp_path: Path) -> None:
    """Words beside the samples send them through the slow check, which finds nothing."""
    with client_of(model_in(tmp_path)) as client:
        body = json.dumps({"outputs": ["score"], "inputs": {"x": GREY.tolist()}}).replace('"x"', '"\\u0078"')
        assert client.post("/predict", content=body, headers=JSON).json()["score"] == [100]


def test_samples_are_run_some_at_a_time_and_answered_together(tmp_path: Path) -> None:
    levels = np.arange(100.0)
    x = np.broadcast_to(levels[:, None, None, None], (100, 3, 16, 16))
    with client_of(model_in(tmp_path), RequestLimits()) as client:
        body = {"inputs": {"x": x.tolist()}, "outputs": ["score", "reconstruction"]}
        answer = client.post("/predict", json=body).json()  # large: read and written by the process beside
        assert answer["score"] == levels.tolist() and np.array_equal(answer["reconstruction"], x)
        wrong = client.post("/predict", json={"inputs": {"x": x.tolist(), "y": 1}})
        refused(wrong, 422, "unknown key 'y'")


def test_what_takes_long_is_told_by_headers(tmp_path: Path) -> None:
    limits = RequestLimits()
    assert not take_long([("a", png((1000, 1000))), ("b", png((1000, 1000)))], limits)
    assert take_long([("a", png((1500, 3000)))], limits)
    assert take_long([("a", b" " * (2**20 + 1))], limits)
    pages = [Image.new("L", (300, 300)) for _ in range(2)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert take_long([("a", (tmp_path / "a.tif").read_bytes())], limits)
    with pytest.raises(DataError, match=r"^a: cannot be read as PNG"):
        take_long([("a", b"nothing")], limits)


def test_a_client_has_a_rate_and_others_have_theirs() -> None:
    now = [0.0]
    limit = RateLimit(6, clock=lambda: now[0])
    assert [limit.wait("a") for _ in range(7)] == [0] * 6 + [10]
    assert limit.wait("b") == 0
    now[0] += 9.5
    assert limit.wait("a") == 1
    now[0] += 0.5
    assert (limit.wait("a"), limit.wait("a")) == (0, 10)
    for number in range(CLIENTS):
        limit.wait(f"client {number}")
    assert limit.wait("a") == 0  # forgotten


def test_a_client_that_asks_too_often_is_told_when_to_come_again(tmp_path: Path) -> None:
    from dataclasses import replace

    with client_of(model_in(tmp_path), replace(SMALL, rate=2)) as client:
        assert [client.get("/model").status_code for _ in range(2)] == [200, 200]
        answer = client.get("/model")
        refused(answer, 429, "server: takes 2 requests a minute of one client; come again in")
        assert 1 <= int(answer.headers["retry-after"]) <= 30
        assert client.get("/health").status_code == client.get("/ready").status_code == 200


def test_work_that_is_ended_is_said_and_the_next_is_done(tmp_path: Path) -> None:
    """The process beside is killed, as a system that is short of memory does."""
    from vaeforge.serve.app import AppState, build_app
    from vaeforge.serve.reload import ActiveModel

    state = AppState(ActiveModel(model_in(tmp_path)), RequestLimits())
    x = np.full((200, 3, 16, 16), 1.0)
    body = {"inputs": {"x": x.tolist()}, "outputs": ["reconstruction"]}
    with TestClient(build_app(state), raise_server_exceptions=False) as client:
        assert client.post("/predict", json=body).status_code == 200
        process = state.work._process
        assert process is not None
        process.kill()
        process.join()
        refused(client.post("/predict", json=body), 503, "what read this request was ended")
        assert client.post("/predict", json=body).status_code == 200
    assert threading.active_count() < 50
