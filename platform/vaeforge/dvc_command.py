"""Calls of DVC's command line, in the environment that this runs in."""

import os
import subprocess
import sys
from pathlib import Path


def run_dvc(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """What `dvc ARGUMENTS` in `root` printed and ended with; nothing of it is sent to DVC's makers.

    Raises:
        OSError: if it cannot be started.
    """
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def reason_of(done: "subprocess.CompletedProcess[str]", most: int = 500) -> str:
    """The end of what a call said, in one line; empty where it said nothing."""
    return " ".join((done.stderr or done.stdout).split())[-most:]
