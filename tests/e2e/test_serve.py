"""Real servers in processes of their own: a registry's alias followed under load, tokens, and how they end."""

import asyncio
import datetime
import http.client
import ipaddress
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi.testclient import TestClient

from project import CODE_PATH
from serving import NAME, Server, register_bundle, write_bundle
from stores import new_database
from vaeforge.paths import Project
from vaeforge.registry.fetch import ARCHIVED, fetch
from vaeforge.serve.app import AppState, build_app
from vaeforge.serve.model import load
from vaeforge.serve.reload import ActiveModel, RegistryWatcher
from vaeforge.serve.settings import RequestLimits
from vaeforge.track.store import open_store

# MLflow warns while it is imported: of SQLAlchemy, and of its own type hints.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]

SECRET = "0123456789abcdef"
BODY = json.dumps({"inputs": {"x": np.full((1, 3, 16, 16), 100).tolist()}, "outputs": ["score"]}).encode()


class Registry:
    """A project whose registry holds versions 1, 2, 3 that add 0, 1000, 2000 to the score; `champion` is 1."""

    def __init__(self, root: Path):
        self.root, self.uri = root, new_database(root)
        self.client: Any = open_store(self.uri)
        for number in range(3):
            register_bundle(self.client, write_bundle(root / f"exported-{number}", offset=1000.0 * number), root)
        self.point(1)

    def point(self, version: int) -> None:
        self.client.set_registered_model_alias(NAME, "champion", str(version))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return Registry(tmp_path_factory.mktemp("registry"))


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """Starts servers, and ends them with the test."""
    servers: list[Server] = []

    def starting(*arguments: Any, **environment: str) -> Server:
        servers.append(Server(*arguments, **environment))
        return servers[-1]

    yield starting
    for server in servers:
        server.end()


def call(address: str, body: bytes | None = None, token: str = "") -> tuple[int, dict[str, Any]]:
    """Status and JSON of one request on a connection of its own."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body, headers), timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def wait_until(ready: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_alias_is_followed_under_load_and_no_request_fails(registry: Registry, start: Callable[..., Server]) -> None:
    registry.point(1)
    server = start(registry.root, f"models:/{NAME}@champion", "--poll", "0.2", MLFLOW_TRACKING_URI=registry.uri)
    address, stop = server.address, threading.Event()
    answers: list[tuple[int, dict[str, Any]]] = []

    def load_it() -> None:
        while not stop.is_set():
            answers.append(call(f"{address}/predict", BODY))

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(load_it)
        for version in ("2", "3", "1"):
            wait_until(lambda: len(answers) > 5)
            registry.point(int(version))
            wait_until(lambda version=version: call(f"{address}/model")[1]["version"] == version)
        stop.set()
    found = {(status, body.get("version"), body["score"][0]) for status, body in answers}
    assert found == {(200, "1", 100), (200, "2", 1100), (200, "3", 2100)}
    assert call(f"{address}/model")[1]["reload"]["loaded"] == 3
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(15) in (0, 143, -signal.SIGTERM), server.output
    assert "Traceback" not in server.output


def test_a_version_that_cannot_be_loaded_leaves_the_old_one(
    registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registry.point(1)
    reference, project = f"models:/{NAME}@champion", Project(tmp_path)
    active = ActiveModel(load(fetch(reference, project, registry.uri), 1))
    told: list[str | None] = []
    watcher = RegistryWatcher(active, reference, project, registry.uri, 1, lambda: told.append(active.model.version))
    asyncio.run(watcher.poll_once())
    assert (active.error, active.loaded, told) == (None, 0, []) and active.checked
    folder = project.artifacts / "models" / NAME / "2"
    fetch(f"models:/{NAME}/2", project, registry.uri)
    (folder / "extra_files" / "contract.json").write_text("{}")
    registry.point(2)
    asyncio.run(watcher.poll_once())
    assert (active.model.version, active.failed) == ("1", 1)
    assert active.error is not None and "is no contract of a model" in active.error
    registry.client.set_model_version_tag(NAME, "3", ARCHIVED, "true")
    registry.point(3)
    asyncio.run(watcher.poll_once())
    assert (active.model.version, active.failed) == ("1", 2)
    assert active.error is not None and "version 3: is archived" in active.error
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2 and all(line.endswith("version 1 stays as it is") for line in lines), lines
    asyncio.run(watcher.poll_once())
    assert active.failed == 3 and len(caplog.records) == 2  # what stays is logged once
    registry.client.delete_model_version_tag(NAME, "3", ARCHIVED)
    asyncio.run(watcher.poll_once())
    assert (active.model.version, active.error, active.loaded, told) == ("3", None, 1, ["3"])


def test_a_version_that_is_archived_under_its_alias_answers_no_more(
    registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registry.point(2)
    reference, project = f"models:/{NAME}@champion", Project(tmp_path)
    active = ActiveModel(load(fetch(reference, project, registry.uri), 1))
    watchers = [RegistryWatcher(active, one, project, registry.uri, 1) for one in (reference, f"models:/{NAME}/2")]
    with TestClient(build_app(AppState(active, RequestLimits()))) as client:

        def answers() -> tuple[int, ...]:
            body = {"Content-Type": "application/json"}
            found = client.post("/predict", content=BODY, headers=body), client.get("/ready"), client.get("/health")
            return tuple(answer.status_code for answer in found)

        for watcher in watchers:  # a version that is served by its number, too
            assert answers() == (200, 200, 200)
            registry.client.set_model_version_tag(NAME, "2", ARCHIVED, "true")
            asyncio.run(watcher.poll_once())
            assert answers() == (503, 503, 200)
            assert "version 2 was archived" in client.get("/ready").json()["error"]
            assert "vaeforge_model_withdrawn 1.0" in client.get("/metrics").text
            registry.client.delete_model_version_tag(NAME, "2", ARCHIVED)
            asyncio.run(watcher.poll_once())
        assert answers() == (200, 200, 200)
    assert "was archived, and archived models are not used" in caplog.text and "is used again" in caplog.text


def test_a_registry_that_hangs_is_said_and_asked_once(registry: Registry, tmp_path: Path) -> None:
    """A server that takes connections and never answers, as one behind a broken network does."""
    registry.point(1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        active = ActiveModel(load(fetch(f"models:/{NAME}@champion", Project(tmp_path), registry.uri), 1))
        watcher = RegistryWatcher(active, f"models:/{NAME}@champion", Project(tmp_path), uri, 1, patience=0.2)

        async def looking() -> None:
            await watcher.poll_once()
            first = watcher._look
            await watcher.poll_once()
            assert first is not None and watcher._look is first

        asyncio.run(looking())
    assert (active.failed, active.model.version) == (2, "1")
    assert active.error is not None and "the registry has not answered for 0.2 s" in active.error


def test_a_request_in_flight_is_answered_before_the_end(tmp_path: Path, start: Callable[..., Server]) -> None:
    server = start(tmp_path, str(write_bundle(tmp_path / "model")))
    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        head = f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY[:100])
        wait_until(lambda: in_flight(server) == 1)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert server.process.poll() is None
        connection.sendall(BODY[100:])
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        status, body = answer.status, json.load(answer)
    assert (status, body["score"]) == (200, [100.0])
    assert server.process.wait(15) in (0, 143, -signal.SIGTERM), server.output


def in_flight(server: Server) -> float:
    with urllib.request.urlopen(f"{server.address}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("vaeforge_requests_in_flight")))


def test_a_token_is_asked_for_and_not_told(tmp_path: Path, start: Callable[..., Server]) -> None:
    folder = str(write_bundle(tmp_path / "model"))
    refused = start(tmp_path, folder, "--host", "0.0.0.0")
    assert refused.process.wait(60) == 2
    assert "--host: got '0.0.0.0', which other machines may reach" in refused.output
    server = start(tmp_path, folder, "--host", "0.0.0.0", VAEFORGE_TOKEN=SECRET)
    address = server.address.replace("0.0.0.0", "127.0.0.1")
    assert call(f"{address}/health") == (200, {"status": "alive"})
    assert call(f"{address}/predict", BODY)[0] == call(f"{address}/predict", BODY, "wrong")[0] == 401
    assert call(f"{address}/predict", BODY, SECRET)[0] == 200
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(15)
    assert SECRET not in server.output


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate of this machine's own address, signed by its own key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "vaeforge test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = tmp_path / "certificate.pem", tmp_path / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    formats = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *formats))
    paths[1].chmod(0o600)
    return paths


def test_it_speaks_tls(tmp_path: Path, certificate: tuple[Path, Path], start: Callable[..., Server]) -> None:
    folder, options = str(write_bundle(tmp_path / "model")), ("--certificate", str(certificate[0]), "--key")
    server = start(tmp_path, folder, *options, str(certificate[1]))
    address = server.address
    assert address.startswith("https://127.0.0.1")
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    request = urllib.request.Request(f"{address}/predict", BODY, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30, context=trusting) as answer:
        assert json.load(answer)["score"] == [100]
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(request, timeout=30)
    with pytest.raises((urllib.error.URLError, ConnectionError, http.client.HTTPException)):
        urllib.request.urlopen(address.replace("https", "http"), timeout=30)
    certificate[1].chmod(0o644)
    refused = start(tmp_path, folder, *options, str(certificate[1]))
    assert refused.process.wait(60) == 2 and "mode 0644, must be 0600" in " ".join(refused.output.split())


def test_limits_hold_on_the_wire(tmp_path: Path, start: Callable[..., Server]) -> None:
    arguments = ("--max-body-mb", "0.1", "--max-samples", "4", "--timeout", "1")
    server = start(tmp_path, str(write_bundle(tmp_path / "model")), *arguments)
    status, body = call(f"{server.address}/predict", b" " * 300_000)
    assert (status, "more than 104857 bytes" in body["error"]) == (413, True)
    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:  # a body that never comes
        head = f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 503")
    assert call(f"{server.address}/predict", BODY)[0] == 200


def test_serving_a_folder_needs_no_torch(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "model")
    program = (
        "import sys\n"
        "from fastapi.testclient import TestClient\n"
        "from vaeforge.paths import Project\n"
        "from vaeforge.serve import server\n"
        "from vaeforge.serve.app import AppState, build_app\n"
        "from vaeforge.serve.settings import RequestLimits\n"
        "active = server.ActiveModel(server.load(server.fetch(sys.argv[1], Project(), ''), 1))\n"
        "with TestClient(build_app(AppState(active, RequestLimits()))) as client:\n"
        "    print(client.post('/predict', content=sys.argv[2], headers={'Content-Type': 'application/json'}).text)\n"
        "    assert client.get('/metrics').status_code == 200\n"
        "print({'torch', 'mlflow', 'ray'} & set(sys.modules))\n"
    )
    environment = {"PYTHONPATH": CODE_PATH}
    command = [sys.executable, "-c", program, str(folder), BODY.decode()]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert '"score":[100.0]' in done.stdout and done.stdout.splitlines()[-1] == "set()"
