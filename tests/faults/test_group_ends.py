"""Ends of a worker group: a rank that is killed, and groups that are ended while they run, start, or wait for room."""

from pathlib import Path

from group_programs import run_program

PROGRAM = """
IDLE = (
    "Controller", "SynchronizationActor", "DatasetManager", "PlacementGroupCleaner", "AutoscalingCoordinator",
    "dashboard.py", "log_monitor.py", "monitor.py",
)

def wait_for(ready):
    deadline = time.monotonic() + 120
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.1)

class Unpickled:
    def __init__(self, seconds):
        self.seconds = seconds

    def __reduce__(self):
        return time.sleep, (self.seconds,)

def hold(folder, number, threads, gpus):
    import os, time
    (folder / f"up-{os.getpid()}").touch()
    time.sleep(600)

def running():
    below = psutil.Process().children(recursive=True)
    return {process.pid: " ".join(process.cmdline()) for process in below if process.status() != "zombie"}

def up(folder):
    return {int(path.name[3:]) for path in folder.glob("up-*")}

def states():
    return sorted(group["state"] for group in placement_group_table().values())

def started(settings, folder):
    groups = worker_groups.WorkerGroups(Placement(1, 1, 0.0, 1), settings, str(folder), Dispatch(1))
    groups.start()
    return groups

def main(folder):
    with without_idle_processes():
        ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    worker_groups.worker_main = hold
    groups = started(folder, folder)
    wait_for(lambda: len(up(folder)) == 1)
    assert not [name for name in running().values() if any(one in name for one in IDLE)], running()
    [first] = up(folder)
    psutil.Process(first).kill()
    wait_for(lambda: len(up(folder)) == 2)  # there is one core only
    assert len(groups.new_failures()) == 1
    assert states() == ["CREATED", "REMOVED"]

    assert groups.end(60)
    wait_for(lambda: not up(folder) & set(running()))
    assert (states(), groups.new_failures()) == (["REMOVED"] * 2, [])

    groups = started(Unpickled(600), folder)
    wait_for(lambda: "CREATED" in states())
    time.sleep(2)  # its worker is starting, or hangs where it takes its function
    assert groups.end(60)
    wait_for(lambda: states() == ["REMOVED"] * 3)

    taken = ray.remote(num_cpus=1)(lambda: time.sleep(600)).remote()
    wait_for(lambda: not ray.available_resources().get("CPU"))
    groups = started(folder, folder)
    wait_for(lambda: "PENDING" in states())
    assert groups.end(60)
    ray.shutdown()
    print("ended")
"""


def test_what_a_group_held_is_free_again_however_it_ends(tmp_path: Path) -> None:
    done = run_program(tmp_path, PROGRAM, 300)
    assert (done.returncode, done.stdout.endswith("ended\n")) == (0, True), done.stdout + done.stderr
