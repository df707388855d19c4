"""Ray Train's controller of a worker group, killed: what the group held is free again, and the group starts again."""

import os
import subprocess
import sys
from pathlib import Path

from project import CODE_PATH

PROGRAM = """
import sys, threading, time
from pathlib import Path

import psutil
from vaeforge.search.dispatch.cluster import settle_environment

settle_environment()
import ray
from ray.util import placement_group_table
from vaeforge.search.dispatch import worker_groups
from vaeforge.search.dispatch.resources import Placement

def wait_for(ready):
    deadline = time.monotonic() + 120
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.1)

def hold(folder, number, threads, gpus):
    import os, time
    (folder / f"up-{os.getpid()}").touch()
    time.sleep(600)

class Dispatch:
    def released(self, number):
        return False

    def failed(self, failure):
        return 1

def processes():
    below = psutil.process_iter(["pid", "cmdline"])  # of one that has ended meanwhile the command line is none
    mine = {process.pid for process in psutil.Process().children(recursive=True)}
    return [(process, "".join(process.info["cmdline"] or ())) for process in below if process.pid in mine]

def main(folder):
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    worker_groups.worker_main = hold
    groups = worker_groups.WorkerGroups(Placement(1, 1, 0.0, 1), folder, str(folder), Dispatch())
    groups.start()
    wait_for(lambda: len(list(folder.glob("up-*"))) == 1)
    assert len(list(folder.glob("*.placement_group"))) == 1
    idle = ("DatasetManager", "PlacementGroupCleaner", "AutoscalingCoordinator")
    assert not [name for _, name in processes() if any(one in name for one in idle)]
    [controller] = [process for process, name in processes() if name.startswith("ray::TrainController")]
    assert "libtorch" not in Path(f"/proc/{controller.pid}/maps").read_text()
    controller.kill()
    wait_for(lambda: len(list(folder.glob("up-*"))) == 2)  # there is one core only
    assert len(groups.new_failures()) == 1
    wait_for(lambda: len(list(folder.glob("*.placement_group"))) == 1)
    assert sorted(group["state"] for group in placement_group_table().values()) == ["CREATED", "REMOVED"]

    # a group that runs when Ray shuts down must not take this process with it
    groups.close()
    ray.shutdown()
    assert groups.join(60)
    print("ended")

if __name__ == "__main__":
    main(Path(sys.argv[1]))
"""


def test_what_a_group_held_is_free_again_when_its_controller_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    given = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    call = [sys.executable, str(program), str(tmp_path)]
    done = subprocess.run(call, env=given | {"PYTHONPATH": CODE_PATH}, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout.endswith("ended\n")) == (0, True), done.stdout + done.stderr
