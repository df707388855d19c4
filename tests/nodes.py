"""Ray nodes on this machine that tests add and lose, and what they do to processes there."""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil

from project import CODE_PATH

RAY = str(Path(sys.executable).parent / "ray")
BORROW = """
import ray
ray.init(logging_level="ERROR", log_to_driver=False)
print(ray.get(ray.remote(num_cpus=0.9)(lambda: "borrowed").remote()))
"""


class Nodes:
    """Ray nodes of one CPU each; the first is the head, at `host`, on which the command line's driver is too."""

    def __init__(self, scratch: Path, host: str = "127.0.0.1"):
        self.scratch, self.host = scratch, host
        self.head_port, self.client_port = free_ports(2)
        self.environment = {
            "RAY_ADDRESS": f"{host}:{self.head_port}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(16),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self.nodes: list[subprocess.Popen[bytes]] = []
        self.started = 0

    def resize(self, count: int) -> None:
        """Make it `count` nodes, with leave-taking where some are too many."""
        self.nodes = [node for node in self.nodes if node.poll() is None]
        while len(self.nodes) > count:
            node = self.nodes.pop()
            node.terminate()
            node.wait(30)
        while len(self.nodes) < count:
            self.add()

    def add(self, host: str | None = None, within: tuple[str, ...] = ()) -> "subprocess.Popen[bytes]":
        """One more node, once it is up.

        Args:
            host: its address where it is not the head's.
            within: a command before Ray's own, that puts it into another network.
        """
        place = f"--address={self.host}:{self.head_port}"
        command = [*within, RAY, "start", "--block", "--num-cpus=1", "--object-store-memory=200000000"]
        if (own := host or self.host) != "127.0.0.1":
            command.append(f"--node-ip-address={own}")
        if self.nodes:
            command.append(place)
        else:
            command += ["--head", f"--port={self.head_port}"]
            if find_spec("grpc"):  # only then Ray starts a client server, on a port that two clusters would share
                command.append(f"--ray-client-server-port={self.client_port}")
            command += ["--include-dashboard=false", f"--temp-dir={self.scratch}"]
        environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
        environment |= {"PYTHONPATH": CODE_PATH} | {k: v for k, v in self.environment.items() if k != "RAY_ADDRESS"}
        self.started += 1
        output = self.scratch / f"node{self.started}.log"
        with output.open("w") as log:
            node = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        self.nodes.append(node)
        deadline = time.monotonic() + 90
        while "Ray runtime started" not in output.read_text():
            assert node.poll() is None and time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)
        return node

    def kill(self, node: "subprocess.Popen[bytes]") -> None:
        """The node is gone without a word, as when its power fails."""
        for process in _family(node):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        node.wait(30)
        self.nodes.remove(node)

    def of(self, pid: int) -> "subprocess.Popen[bytes]":
        """The node on which a process runs."""
        return next(node for node in self.nodes if pid in {process.pid for process in _family(node)})

    def close(self) -> None:
        for node in reversed(self.nodes.copy()):
            self.kill(node)


def _family(node: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """The processes of a node, its own first; none once it has ended."""
    if node.poll() is not None:
        return []
    own = psutil.Process(node.pid)
    return [own, *own.children(recursive=True)]


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens at now."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@contextlib.contextmanager
def crawling(pid: int) -> Iterator[None]:
    """Within the block a process gets a sixth of its time: what it trains lasts, and it still gives signs of life."""
    process, over = psutil.Process(pid), threading.Event()

    def pause() -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            while not over.is_set():
                process.suspend()
                over.wait(1.0)
                process.resume()
                over.wait(0.2)

    thread = threading.Thread(target=pause)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def borrowed(nodes: Nodes) -> str:
    """What someone else's task answers, as soon as a CPU of the cluster is free for it."""
    call = subprocess.run(
        [sys.executable, "-c", BORROW],
        env={**os.environ, **nodes.environment},
        capture_output=True,
        text=True,
        timeout=55,
    )
    assert call.returncode == 0, call.stderr
    return call.stdout.strip()
