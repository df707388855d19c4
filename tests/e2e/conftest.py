"""One Ray for all end-to-end tests that can share it."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from project import ROOT


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A Ray cluster that outlives single searches, as a group's own would; what callers need to reach it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    access = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16), "RAY_USAGE_STATS_ENABLED": "0"}
    path = os.pathsep.join(str(ROOT / source) for source in ("platform", "models"))
    ray = str(Path(sys.executable).parent / "ray")
    # a folder of its own: the address file in Ray's common one would outlive the cluster and mislead others
    scratch = Path(tempfile.mkdtemp(prefix="ray-"))
    start = [ray, "start", "--head", "--block", f"--port={port}", "--num-cpus=2", "--include-dashboard=false"]
    start.append(f"--temp-dir={scratch}")
    output = tmp_path_factory.mktemp("ray") / "log"
    environment = {**os.environ, **access, "PYTHONPATH": path, "RAY_worker_niceness": "0"}
    with output.open("w") as log:
        head = subprocess.Popen(start, env=environment, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + 60
    while "Ray runtime started" not in output.read_text():
        assert head.poll() is None and time.monotonic() < deadline, output.read_text()
        time.sleep(0.2)
    yield {"RAY_ADDRESS": f"127.0.0.1:{port}", **access}
    processes = [psutil.Process(head.pid), *psutil.Process(head.pid).children(recursive=True)]
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes[1:], timeout=30)
    head.wait(30)
    shutil.rmtree(scratch, ignore_errors=True)
