"""Workers that hang are ended and their trials tried again; workers that are slow are left alone."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from project import check_invariants, end
from troubled import Troubled

QUICK = ("--offline", "true", "--register", "false", "--scheduler", "none", "--hosts", "1")


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def project(tmp_path: Path) -> Troubled:
    return Troubled(tmp_path)


@pytest.mark.long
def test_what_hangs_is_ended_and_tried_again_even_by_a_dispatcher_that_was_killed(project: Troubled) -> None:
    limit = ("--set", "search.hang_seconds=15")
    project.next_validation("slow", 20.0)
    process = project.start(
        "tune", "--name", "h", *QUICK, *limit, "--trials", "1", "--epochs", "40", **project.environment
    )
    try:
        project.wait_for_events("h", "reported", process)
        assert project.events("h", "crashed") == []  # of the slow validation
        children = psutil.Process(process.pid).children(recursive=True)
        (dispatcher,) = (child for child in children if child.name().startswith("ray::Dispatcher"))
        dispatcher.kill()
        stopped = project.worker("h")
        os.kill(stopped, signal.SIGSTOP)
        project.wait_for_events("h", "crashed", process)
        project.wait_for(lambda: gone(stopped), process)
        project.wait_for(lambda: project.events("h", "reported")[-1]["attempt"] == 2, process)
        project.next_validation("block", 1.0)
        assert process.wait(240) == 0, project.output
    finally:
        end(process)
    check_invariants(project, "h", trials=1)
    first, second = project.events("h", "crashed")
    assert (first["cause"], second["cause"]) == ("hang", "hang")
    assert "was silent for" in first["traceback"] and "made no step for" in second["traceback"]
    (ended,) = project.events("h", "finished")
    assert (ended["state"], ended["epoch"]) == ("completed", 40)


@pytest.mark.long
def test_a_validation_of_150_seconds_is_no_hang(project: Troubled) -> None:
    project.next_validation("slow", 150.0)
    project.run("tune", "--name", "v", *QUICK, "--trials", "1", "--epochs", "2", **project.environment)
    check_invariants(project, "v", trials=1)
    assert project.events("v", "crashed") == []
    assert project.events("v", "reported")[0]["seconds"] > 150
