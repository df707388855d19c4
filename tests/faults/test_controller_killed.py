"""Ray Train's controller of a worker group, killed: what the group held is free again, and the call says so."""

import os
import subprocess
import sys
from pathlib import Path

from project import ROOT

PROGRAM = """
import sys, threading, time
from pathlib import Path

import psutil
from vaeforge.search.dispatch.cluster import settle_environment

settle_environment()
import ray
from ray.util import placement_group_table
from vaeforge.training.distributed import run_worker_group

def wait_for(ready):
    deadline = time.monotonic() + 120
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.1)

def hold(mark):
    Path(mark).touch()
    time.sleep(600)

def main(folder):
    from functools import partial

    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    raised = []

    def call():
        try:
            run_worker_group(partial(hold, str(folder / "up")), "group", str(folder), 1, {"CPU": 1.0})
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    wait_for((folder / "up").exists)
    assert ray.available_resources().get("CPU", 0) == 0
    below = psutil.Process().children(recursive=True)
    names = ["".join(process.cmdline()) for process in below]
    idle = ("DatasetManager", "PlacementGroupCleaner", "AutoscalingCoordinator")
    assert not [name for name in names if any(one in name for one in idle)], names
    [controller] = [process for process, name in zip(below, names) if name.startswith("ray::TrainController")]
    controller.kill()
    thread.join(120)
    assert raised, "it returned as if nothing had happened"
    wait_for(lambda: ray.available_resources().get("CPU", 0) == 1)
    assert {group["state"] for group in placement_group_table().values()} == {"REMOVED"}
    assert not list(folder.glob("*.placement_group"))

if __name__ == "__main__":
    main(Path(sys.argv[1]))
"""


def test_what_a_group_held_is_free_again_when_its_controller_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    path = os.pathsep.join(str(ROOT / source) for source in ("platform", "models"))
    given = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    call = [sys.executable, str(program), str(tmp_path)]
    done = subprocess.run(call, env=given | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
