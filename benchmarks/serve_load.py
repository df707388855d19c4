"""Load on `vaeforge serve` beside `mlflow models serve` with the same version, and while its alias moves.

    python benchmarks/serve_load.py [--clients 8] [--seconds 15] [--samples 1]

A registry of its own holds two versions of an untrained endoscopy model (3 x 96 x 96, default settings), which cost as
much as trained ones. Each client sends its next request when the last one is answered, over one connection that is kept
open. Both servers get the same JSON, `{"inputs": {"x": …}}`, and answer with reconstruction, mu, logvar and score; ours
is measured again as it answers by default, without the reconstruction, and with the samples as a NumPy file and as raw
bytes, one and sixteen a request: the latter beside the graph alone, run in this process on one thread. At last the
alias is moved while clients send. Prints requests a second, p50, p95 and p99 in milliseconds, how many requests failed,
and how many seconds each server took until it answered; exits with 1 if a request failed. With `--source` the server is
that of another checkout.
"""

import argparse
import asyncio
import io
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [str(ROOT / name) for name in ("platform", "models", "tests")]
PACKAGES = ("mlflow", "onnxruntime", "uvicorn", "fastapi")
SHAPE, NAME, WARM_UP, MOVES = (3, 96, 96), "vaeforge-endoscopy", 1.0, 6
MANY = 16  # samples of a large request


class Load:
    """What clients have seen: seconds of each answer, and what was not 200, by status."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.failed: dict[str, int] = {}

    def row(self, wall: float) -> dict[str, float]:
        """Requests a second over `wall` seconds, percentiles in milliseconds, failures."""
        quantiles = np.quantile(self.seconds, [0.5, 0.95, 0.99]) * 1000 if self.seconds else [float("nan")] * 3
        p50, p95, p99 = (round(float(value), 1) for value in quantiles)
        failed = sum(self.failed.values())
        return {"requests/s": round(len(self.seconds) / wall, 1), "p50": p50, "p95": p95, "p99": p99, "failed": failed}


JSON = "application/json"


@dataclass(frozen=True)
class Body:
    """What clients send, of which type, to which path."""

    content: bytes
    path: str = "/predict"
    kind: str = JSON


async def send(port: int, body: Body, load: Load, until: float) -> None:
    """One client, on one connection as long as the server keeps it."""
    head = f"POST {body.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {body.kind}\r\n"
    message = f"{head}Content-Length: {len(body.content)}\r\n\r\n".encode() + body.content
    while time.perf_counter() < until:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**26)
            while time.perf_counter() < until:
                began = time.perf_counter()
                writer.write(message)
                status = await answer(reader)
                if status != "200":
                    load.failed[status] = load.failed.get(status, 0) + 1
                else:
                    load.seconds.append(time.perf_counter() - began)
            writer.close()
        except (OSError, asyncio.IncompleteReadError) as error:
            load.failed[type(error).__name__] = load.failed.get(type(error).__name__, 0) + 1


async def answer(reader: asyncio.StreamReader) -> str:
    """The status of one answer, its body read and thrown away."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next(int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length"))
    await reader.readexactly(length)
    return head.split()[1]


async def measure(port: int, body: Body, clients: int, seconds: float, beside: Any = None) -> dict[str, float]:
    """A row of `Load`, a second of warming up left out; `beside` runs at the same time."""
    until = time.perf_counter() + WARM_UP
    await asyncio.gather(*(send(port, body, Load(), until) for _ in range(clients)))
    load, began = Load(), time.perf_counter()
    sending = [send(port, body, load, began + seconds) for _ in range(clients)]
    await asyncio.gather(*sending, *([beside()] if beside else []))
    return load.row(time.perf_counter() - began)


def write_model(folder: Path, seed: int) -> Path:
    """An untrained model as `vaeforge export` leaves it, but for parity."""
    import torch

    from vaeforge.config.experiment import Experiment
    from vaeforge.package.bundle import open_session
    from vaeforge.package.contract_writer import ExportedGraph, graph_file
    from vaeforge.package.export import export
    from vaeforge.paths import write_json
    from vaeforge.records import to_json
    from vaeforge_models.vae import DataSpec, build_seeded

    experiment = Experiment.model_validate({"family": "endoscopy"})
    model = build_seeded(experiment.definition.build, experiment.model, DataSpec(SHAPE), seed=seed).eval()
    path = export(model, folder)["model"]
    x = np.random.default_rng(0).integers(0, 256, (64, *SHAPE)).astype(np.float32)
    mu, score = open_session(path).run(["mu", "score"], {"x": x})
    np.savez(folder / "reference.npz", score=score, mu=mu)
    contract = {"family": "endoscopy", "task": "anomaly", "data": "pictures", "condition": [], "channels": []}
    contract |= {
        "prepare": experiment.prepare.model_dump(mode="json"),
        "event_shape": SHAPE,
        "quantile": 0.95,
        "cut": False,
    }
    contract |= {"latent_dim": model.latent_dim, "threshold": float(np.quantile(score, 0.95))}
    write_json(folder / "contract.json", contract | {"graphs": {"model": to_json(graph_file(ExportedGraph(path)))}})
    torch.set_num_threads(1)
    return folder


def start(command: list[str], root: Path, uri: str, source: Path = ROOT) -> "subprocess.Popen[bytes]":
    """A server, of the code in `source`; what it says goes to a file."""
    path = os.pathsep.join(str(source / name) for name in ("platform", "models"))
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "PYTHONPATH": path}
    environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with (root / "servers.log").open("ab") as log:
        return subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log, start_new_session=True)


def wait_for(port: int, process: "subprocess.Popen[bytes]", seconds: float = 120) -> float:
    """Until something listens at `port`; the seconds that it took."""
    began = time.monotonic()
    deadline = began + seconds
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return time.monotonic() - began
        time.sleep(0.02)
    raise SystemExit(f"nothing listens at port {port}; see servers.log with --keep")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end(process: "subprocess.Popen[bytes]") -> None:
    """The server and the workers that it started."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(15)


def run(root: Path, given: argparse.Namespace) -> dict[str, Any]:
    """All measurements, one server at a time."""
    from serving import register_bundle
    from vaeforge.track.store import open_store

    uri = f"sqlite:///{root}/mlflow.db"
    client: Any = open_store(uri)
    versions = [register_bundle(client, write_model(root / str(seed), seed), root) for seed in (0, 1)]
    client.set_registered_model_alias(NAME, "champion", versions[0])
    x = np.random.default_rng(1).integers(0, 256, (max(given.samples, MANY), *SHAPE))
    numbers = x[: given.samples].tolist()
    short = Body(json.dumps({"inputs": {"x": numbers}}).encode())
    full = Body(json.dumps({"inputs": {"x": numbers}, "outputs": ["reconstruction", "mu", "logvar", "score"]}).encode())
    invoked = Body(short.content, "/invocations")
    packed = {f"… {kind}, {count}": binary(x[:count], kind) for count in (1, MANY) for kind in ("npy", "raw")}

    async def move() -> None:
        for turn in range(1, MOVES + 1):
            await asyncio.sleep(given.seconds / (MOVES + 1))
            await asyncio.to_thread(client.set_registered_model_alias, NAME, "champion", versions[turn % 2])

    rows: dict[str, Any] = {f"session.run alone, {MANY}": alone(root / "0" / "model.onnx", x[:MANY], given.seconds)}
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{NAME}/1", "-p", str(port)]
    process = start([*command, "-h", "127.0.0.1", "--env-manager", "local"], root, uri)
    try:
        rows["seconds until mlflow listens"] = round(wait_for(port, process), 2)
        rows["mlflow models serve"] = asyncio.run(measure(port, invoked, given.clients, given.seconds))
    finally:
        end(process)
    port = free_port()
    command = [sys.executable, "-m", "vaeforge", "serve", f"models:/{NAME}@champion", "--port", str(port)]
    process = start([*command, "--poll", "0.5"], root, uri, given.source)
    try:
        rows["seconds until vaeforge listens"] = round(wait_for(port, process), 2)
        rows["vaeforge serve"] = asyncio.run(measure(port, full, given.clients, given.seconds))
        rows["… by default"] = asyncio.run(measure(port, short, given.clients, given.seconds))
        for name, body in packed.items():
            rows[name] = asyncio.run(measure(port, body, given.clients, given.seconds))
        rows["… alias moved"] = asyncio.run(measure(port, short, given.clients, given.seconds, move))
        rows["versions taken in use"] = taken(port)
    finally:
        end(process)
    return rows


def binary(x: Any, kind: str) -> Body:
    """Samples as a NumPy file or as raw bytes, both of a byte a value."""
    if kind == "raw":
        return Body(x.astype(np.uint8).tobytes(), "/predict?dtype=uint8", "application/octet-stream")
    file = io.BytesIO()
    np.save(file, x.astype(np.uint8))
    return Body(file.getvalue(), kind="application/x-npy")


def alone(path: Path, x: Any, seconds: float) -> dict[str, float]:
    """Runs of the graph without any server, one after the other on one thread."""
    from vaeforge.package.bundle import OUTPUTS, open_session

    session, feeds = open_session(path), {"x": x.astype(np.float32)}
    session.run(list(OUTPUTS), feeds)
    runs, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        session.run(list(OUTPUTS), feeds)
        runs += 1
    return {"requests/s": round(runs / (time.perf_counter() - began), 1), "failed": 0}


def taken(port: int) -> int:
    """How many times the server has swapped versions."""
    import urllib.request

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/model", timeout=10) as told:
        return int(json.load(told)["reload"]["loaded"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--samples", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the registry and the servers' output; unset: removed")
    parser.add_argument("--source", type=Path, default=ROOT, help="checkout of the server; this one")
    given = parser.parse_args()
    sys.path[:0] = SOURCES
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        rows = run(folder, given)
    libraries = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {libraries}")
    print(f"{given.clients} clients, {given.seconds:g} s, {given.samples} sample(s) of {SHAPE} a request")
    for name, row in rows.items():
        print(f"{name:24}", row)
    ours, theirs = rows["vaeforge serve"], rows["mlflow models serve"]
    rate, tail = ours["requests/s"] / theirs["requests/s"], theirs["p99"] / ours["p99"]
    print(f"vaeforge / mlflow: {rate:.2f} times the requests, p99 {tail:.2f} times as short")
    graph = rows[f"session.run alone, {MANY}"]["requests/s"]
    for kind in ("npy", "raw"):
        print(f"{MANY} samples as {kind} / session.run alone: {rows[f'… {kind}, {MANY}']['requests/s'] / graph:.2f}")
    raise SystemExit(1 if any(row["failed"] for row in rows.values() if isinstance(row, dict)) else 0)


if __name__ == "__main__":
    main()
