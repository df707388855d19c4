"""Worker groups that fail or hang before they are up: bounded tries, and an end that says why."""

import os
from pathlib import Path

import pytest

from group_programs import run_program
from project import SmallProject, check_invariants, end

QUICK = ("--offline", "true", "--register", "false", "--hosts", "1")


@pytest.mark.long
def test_a_worker_group_that_cannot_start_ends_the_search_and_says_why(tmp_path: Path, cluster: dict[str, str]) -> None:
    project = SmallProject(tmp_path)
    kept = tmp_path / "artifacts/searches/n/data"
    process = project.start("tune", "--name", "n", *QUICK, **cluster)
    try:
        project.wait_for(lambda: bool(project.events("n", "search")), process)
        (kept / "train.npy").unlink()
        assert process.wait(400) == 2, project.output
    finally:
        end(process)
    output = " ".join(project.output.split())
    assert "no worker group could be kept running: worker group 0 ended (crash) and is given up" in output
    assert "train.npy" in output and "continue with --resume" in output and "Traceback" not in output
    assert project.events("n", "registered") == [] and project.events("n", "finished") == []
    assert not kept.exists()


@pytest.mark.long
def test_a_worker_group_that_hangs_before_it_is_up_is_ended_and_started_again(
    tmp_path: Path, cluster: dict[str, str]
) -> None:
    project = SmallProject(tmp_path)
    data = tmp_path / "artifacts/searches/h/data/train.npy"
    few = ("--trials", "2", "--set", "search.hang_seconds=15")
    process = project.start("tune", "--name", "h", *QUICK, *few, **cluster)
    try:
        project.wait_for(lambda: bool(project.events("h", "search")), process)
        aside = data.rename(tmp_path / "train.npy")
        os.mkfifo(data)  # whoever opens it waits for ever, as on a share whose server is gone
        project.wait_for(lambda: "(hang) and is started again" in project.output, process, seconds=400)
        assert project.events("h", "registered") == []
        aside.rename(data)
        assert process.wait(400) == 0, project.output
    finally:
        end(process)
    assert "worker group 0 ended (hang)" in " ".join(project.output.split())
    assert [event["generation"] for event in project.events("h", "registered")] == [1]
    check_invariants(project, "h", trials=2)


PROGRAM = """
def hang(folder, number, threads, gpus):
    import os, signal
    (folder / f"begun-{os.getpid()}").touch()
    os.kill(os.getpid(), signal.SIGSTOP)  # no thread of it does anything any more

def main(folder):
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    worker_groups.worker_main = hang
    groups = worker_groups.WorkerGroups(Placement(1, 1, 0.0, 1), folder, str(folder), Dispatch(0), patience=30.0)
    groups.start()
    deadline = time.monotonic() + 400
    while groups.alive:
        assert time.monotonic() < deadline
        groups.end_hanging()
        time.sleep(0.1)
    for failure in groups.new_failures():
        print(failure)
    begun = [int(path.name.removeprefix("begun-")) for path in folder.glob("begun-*")]
    while any(psutil.pid_exists(pid) for pid in begun):
        assert time.monotonic() < deadline, begun
        time.sleep(0.1)
    assert len(begun) == 3  # on the only core there is
    assert {group["state"] for group in placement_group_table().values()} == {"REMOVED"}
    ray.shutdown()
"""


@pytest.mark.long
def test_one_that_hangs_each_time_is_given_up_and_leaves_nothing(tmp_path: Path) -> None:
    done = run_program(tmp_path, PROGRAM, 500)
    assert done.returncode == 0, done.stdout + done.stderr
    why = "its processes did not come up within 30 s (ten times search.hang_seconds)"
    assert done.stdout.splitlines() == [
        f"worker group 0 ended (hang) and is {follows}: {why}" for follows in ("started again",) * 2 + ("given up",)
    ]
