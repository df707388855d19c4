"""Programs that start real worker groups by themselves, each in a process and a Ray of its own."""

import os
import subprocess
import sys
from pathlib import Path

from project import CODE_PATH

HEAD = """
import sys, time
from pathlib import Path

import psutil
from vaeforge.search.dispatch.cluster import settle_environment

settle_environment()
import ray
from ray.util import placement_group_table
from vaeforge.search.dispatch import worker_groups
from vaeforge.search.dispatch.ray_start import without_idle_processes
from vaeforge.search.dispatch.resources import Placement

class Dispatch:
    def __init__(self, failed):
        self.failures = failed

    def released(self, number):
        return False

    def generation(self, number):
        return 0

    def failed(self, failure):
        return self.failures
"""
START = """
if __name__ == "__main__":
    main(Path(sys.argv[1]))
"""


def run_program(folder: Path, text: str, seconds: float) -> "subprocess.CompletedProcess[str]":
    """What a program whose `main` takes `folder` has said; `text` follows `HEAD`."""
    program = folder / "program.py"
    program.write_text(HEAD + text + START)
    given = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    call = [sys.executable, str(program), str(folder)]
    return subprocess.run(call, env=given | {"PYTHONPATH": CODE_PATH}, capture_output=True, text=True, timeout=seconds)
