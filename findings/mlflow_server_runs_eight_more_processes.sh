#!/usr/bin/env bash
# mlflow 3.17.2: `mlflow server --workers 1` and `mlflow ui` over a database also start a runner of jobs and seven
# consumers, each a Python process that imports mlflow by itself, though nobody has submitted a job. Seen: eight processes
# beside the server, and none with MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false, for which the command has no option.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mlflow==3.17.2 psutil==7.2.2
cd "$folder"
MLFLOW_DISABLE_TELEMETRY=true venv/bin/python -W ignore - <<'PY'
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import psutil


def jobs_beside(name, **environment):
    """Processes of jobs, once the server answers and their number stays the same."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{os.path.abspath(name)}.db"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, env=os.environ | environment, start_new_session=True, **quiet)
    try:
        wait(port)
        counts = [0]
        while len(counts) < 60 and (len(counts) < 10 or len(set(counts[-6:])) > 1):
            time.sleep(5)
            children = psutil.Process(server.pid).children(recursive=True)
            counts.append(sum("mlflow.server.jobs" in " ".join(one.cmdline()) for one in children))
        return counts[-1]
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def wait(port):
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except OSError:
            time.sleep(1)
    raise SystemExit("the server does not answer")


seen = jobs_beside("plain"), jobs_beside("without", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
print(seen)
assert seen == (8, 0)
PY
