"""Twenty kills at random moments, of whatever a search consists of: after each, and at the end, nothing is lost.

`pytest tests/faults/test_random_kills.py -m long -s` also prints what the kills cost in time.
"""

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient

from project import SmallProject, check_invariants, end

KILLS = 20
TRIALS = 144
VICTIMS = ("search", "host", "ray::DispatcherActor", "ray::TuneTrial")
TRIALS_CALLED = ("ray::TuneTrial", "ray::ResourceTrainable")  # idle, and inside a call
CALL = ("--name", "k", "--trials", str(TRIALS), "--register", "false", "--epochs", "9")
SLOW = ("--set", "training.steps_per_epoch=24")


def processes(project: SmallProject, root: "psutil.Process", victim: str) -> list[int]:
    """The running processes of this kind."""
    if victim == "search":
        return [root.pid]
    if victim == "host":
        newest = {event["host"]: event["processes"][0]["pid"] for event in project.events("k", "registered")}
        return [pid for pid in newest.values() if psutil.pid_exists(pid)]
    children, names = root.children(recursive=True), TRIALS_CALLED if victim in TRIALS_CALLED else victim
    return [child.pid for child in children if " ".join(_command(child)).startswith(names)]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def finished(project: SmallProject) -> dict[int, Any]:
    return {event["trial"]: event for event in project.events("k", "finished")}


def start(project: SmallProject) -> Any:
    resume = ("--resume", "true") if project.events("k") else ()
    return project.start("tune", *CALL, *SLOW, *resume)


@pytest.mark.long
@pytest.mark.timeout(2400)
def test_twenty_kills_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    random_numbers = random.Random(20)
    undisturbed = SmallProject(tmp_path / "undisturbed")
    began = time.monotonic()
    undisturbed.run("tune", *CALL, *SLOW, seconds=900)
    usual = time.monotonic() - began

    project = SmallProject(tmp_path / "killed")
    before = {*started()}
    began, ends, kills, process = time.monotonic(), {}, [], start(project)
    try:
        while len(kills) < KILLS and process.poll() is None:
            time.sleep(random_numbers.uniform(0.02, 0.9) * usual / KILLS)
            victim = VICTIMS[len(kills) % len(VICTIMS)]
            while process.poll() is None and not (found := processes(project, psutil.Process(process.pid), victim)):
                time.sleep(0.1)  # it is starting
            if process.poll() is not None:
                break
            os.kill(random_numbers.choice(found), signal.SIGKILL)
            kills.append(victim)
            now = finished(project)
            assert {number: now.get(number) for number in ends} == ends, "a finished trial was lost or run again"
            ends = now
            if victim == "search":
                process.wait(30)
                process = start(project)
        while (code := process.wait(900)) != 0:
            raise AssertionError(f"ended with {code}: {project.output[-3000:]}")
    finally:
        end(process)
    took = time.monotonic() - began
    print(f"{len(kills)} kills: {took:.0f} s against {usual:.0f} s undisturbed, {took / usual:.2f} times")
    assert len(kills) == KILLS, "the search was over before all kills; give it more trials"
    check_invariants(project, "k", TRIALS)
    check_repetition(project)
    check_orphans(before)
    check_tracking(project)


def check_repetition(project: SmallProject) -> None:
    """No attempt trains more than one epoch that an earlier one has reported."""
    seen: dict[int, int] = {}
    attempts: dict[int, int] = {}
    for event in project.events("k", "reported"):
        number, epoch = event["trial"], event["epoch"]
        if event["attempt"] != attempts.get(number):
            attempts[number] = event["attempt"]
            assert epoch >= seen.get(number, 0), f"trial {number} went back from {seen[number]} to {epoch}"
        seen[number] = max(seen.get(number, 0), epoch)


def check_orphans(before: set[int]) -> None:
    """Within two minutes nothing is left of what the sessions started."""
    deadline = time.monotonic() + 120
    while left := sorted({*started()} - before):
        assert time.monotonic() < deadline, [" ".join(_command(psutil.Process(pid)))[:200] for pid in left]
        time.sleep(1)


def started() -> Iterator[int]:
    """Processes that work for searches: Ray's and our own, by what they were called with."""
    for process in psutil.process_iter():
        command = " ".join(_command(process))
        ours = "ray::" in command or "/ray/" in command or "-m vaeforge" in command
        with contextlib.suppress(psutil.NoSuchProcess):
            if ours and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                yield process.pid


def check_tracking(project: SmallProject) -> None:
    """MLflow agrees with the ledger trial by trial, and nothing runs any more."""
    project.run("sync", "--name", "k")
    client = MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")
    runs = [run for e in client.search_experiments() for run in client.search_runs([e.experiment_id], max_results=1000)]
    assert not [run for run in runs if run.info.status == "RUNNING"]
    children = {run.data.tags["vaeforge.trial"]: run for run in runs if "vaeforge.trial" in run.data.tags}
    assert len(children) == TRIALS
    for number, event in finished(project).items():
        run = children[f"k/{number}"]
        assert run.data.tags["vaeforge.state"] == event["state"]
        assert run.data.metrics.get("epochs") == event["epoch"]
    temporary = list((project.root / "artifacts").rglob("*.tmp"))
    assert temporary == []
