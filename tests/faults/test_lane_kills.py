"""Kills in the middle of a stack: whatever process ends, nothing that finished is lost or repeated."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from project import SmallProject, check_invariants, end

OPTIONS = ("--hosts", "1", "--offline", "true", "--register", "false", "--set", "training.steps_per_epoch=60")


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path)


def company(project: SmallProject, name: str) -> int:
    """How many trials were trained at once in the last epoch that was reported."""
    reports = project.events(name, "reported")
    return 1 + len(reports[-1].get("beside", ())) if reports else 0


@pytest.mark.long
def test_a_killed_stack_costs_each_lane_an_attempt_and_no_trial(project: SmallProject, cluster: dict[str, str]) -> None:
    process = project.start("tune", "--name", "k", "--lanes", "3", *OPTIONS, **cluster)
    try:
        while company(project, "k") < 3:
            assert process.poll() is None, project.output
            time.sleep(0.05)
        os.kill(project.worker("k"), signal.SIGKILL)
        assert process.wait(240) == 0, project.output
    finally:
        end(process)
    check_invariants(project, "k", trials=6)
    crashes = project.events("k", "crashed")
    assert crashes and {event["cause"] for event in crashes} == {"lost"}
    assert len({event["trial"] for event in crashes}) == len(crashes) <= 3
    assert {event["state"] for event in project.events("k", "finished")} <= {"completed", "stopped", "early_stopped"}


@pytest.mark.long
def test_every_process_around_a_stack_of_eight_may_be_killed(project: SmallProject) -> None:
    order = ("tune", "--name", "e", "--trials", "24", "--lanes", "8", *OPTIONS)
    process = project.start(*order)
    try:
        for kill, lanes in ((_worker, 8), (_dispatcher, 4)):
            while company(project, "e") < lanes:
                assert process.poll() is None, project.output
                time.sleep(0.05)
            kill(project, process.pid)
            count = len(project.events("e", "reported"))
            while len(project.events("e", "reported")) < count + 3:
                assert process.poll() is None, project.output
                time.sleep(0.05)
    finally:
        end(process)  # kill -9 of the driver, and Ray's processes with it
    before = {event["trial"]: event for event in project.events("e", "finished")}
    project.run(*order, "--resume", "true")
    check_invariants(project, "e", trials=24)
    after = {event["trial"]: event for event in project.events("e", "finished")}
    assert {number: after[number] for number in before} == before
    assert {event["cause"] for event in project.events("e", "crashed")} == {"lost"}


def _worker(project: SmallProject, driver: int) -> None:
    os.kill(project.worker("e"), signal.SIGKILL)


def _dispatcher(project: SmallProject, driver: int) -> None:
    (found,) = (p for p in psutil.Process(driver).children(recursive=True) if _called(p).startswith("ray::Dispatcher"))
    found.send_signal(signal.SIGKILL)


def _called(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # one that has ended meanwhile
        return ""
