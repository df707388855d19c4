"""Real kills of real processes: no trial is lost, none is run twice."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from nodes import crawling
from project import SmallProject, check_invariants, end

OFFLINE = ("--offline", "true", "--register", "false")
FOUR = ("--trials", "4")
SLOWER = ("--set", "training.steps_per_epoch=20")


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path)


def reported(project: SmallProject, name: str) -> int:
    return len(project.events(name, "reported"))


def midway(project: SmallProject, name: str, host: int) -> int | None:
    """A leased trial of which epoch 3 or 4 of 6 has just been reported: neither at a rung nor at its end."""
    leases = [event for event in project.events(name, "leased") if event["host"] == host]
    if not leases:
        return None
    own = [event for event in project.events(name) if event.get("trial") == leases[-1]["trial"]]
    return own[-1]["trial"] if own[-1]["event"] == "reported" and own[-1]["epoch"] in (3, 4) else None


@pytest.mark.long
def test_a_killed_worker_costs_an_attempt_and_no_trial(project: SmallProject, cluster: dict[str, str]) -> None:
    process = project.start("tune", "--name", "w", *SLOWER, *OFFLINE, **cluster)
    try:
        while (trial := midway(project, "w", host=0)) is None:
            assert process.poll() is None, project.output
            time.sleep(0.02)
        os.kill(project.worker("w"), signal.SIGKILL)
        assert process.wait(240) == 0, project.output
    finally:
        end(process)
    check_invariants(project, "w", trials=6)
    (crash,) = project.events("w", "crashed")
    assert (crash["cause"], crash["trial"]) == ("lost", trial)
    assert max(event["generation"] for event in project.events("w", "registered")) == 2
    reports = [event for event in project.events("w", "reported") if event["trial"] == trial]
    first, second = ([e["epoch"] for e in reports if e["attempt"] == attempt] for attempt in (1, 2))
    assert second[0] == first[-1] + 1  # from its last checkpoint, not from the start
    assert {event["attempt"] for event in reports} == {1, 2}


def test_a_killed_search_is_resumed_without_losing_or_repeating(project: SmallProject) -> None:
    process = project.start("tune", "--name", "s", *FOUR, *SLOWER, *OFFLINE)
    try:
        project.wait_for_events("s", "finished", process, 2)
    finally:
        end(process)
    before = {e["trial"]: e for e in project.events("s", "finished")}
    running = {e["trial"]: e["epoch"] for e in project.events("s", "reported") if e["trial"] not in before}
    params = {e["trial"]: e["params"] for e in project.events("s", "submitted")}
    refused = project.call("tune", "--name", "s", *FOUR, *SLOWER, *OFFLINE, code=2)
    assert "exists already" in refused and "--resume" in refused
    output = project.run("tune", "--name", "s", "--resume", "true", *FOUR, *SLOWER, *OFFLINE)
    assert "(raylet)" not in output  # Ray's words on controllers that the search ends are no news for a person
    check_invariants(project, "s", trials=4)
    after = {e["trial"]: e for e in project.events("s", "finished")}
    assert {n: after[n] for n in before} == before
    resumed = [e["event"] for e in project.events("s")].index("resumed")
    for event in project.events("s")[resumed:]:
        if event["event"] == "reported":
            assert event["trial"] not in before
            assert event["epoch"] > running.get(event["trial"], 0) - 1
    assert {
        n: e["params"] for n, e in ((e["trial"], e) for e in project.events("s", "submitted")) if n in params
    } == params


@pytest.mark.long
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_cleanly_and_the_printed_command_goes_on(
    project: SmallProject, sent: signal.Signals, code: int
) -> None:
    process = project.start("tune", *SLOWER, *OFFLINE)
    searches = project.root / "artifacts/searches"
    try:
        project.wait_for(
            lambda: any(reported(project, folder.name) for folder in searches.glob("endoscopy-*")), process
        )
        process.send_signal(sent)
        assert process.wait(60) == code, project.output
    finally:
        end(process)
    (folder,) = searches.iterdir()
    assert project.events(folder.name)[-1]["event"] == "interrupted"
    assert f"--resume true --name {folder.name}" in " ".join(project.output.split())
    assert "Traceback" not in project.output
    if sent == signal.SIGINT:  # the default name needs no --resume: the same call goes on
        project.run("tune", *SLOWER, *OFFLINE)
        check_invariants(project, folder.name, trials=6)
        assert "already complete" in project.call("tune", *SLOWER, *OFFLINE)


@pytest.mark.long
def test_a_second_ctrl_c_leaves_at_once_and_the_same_call_goes_on(project: SmallProject) -> None:
    process = project.start("tune", "--name", "twice", *FOUR, *SLOWER, *OFFLINE)
    try:
        project.wait_for_events("twice", "reported", process, 2)
        with crawling(project.worker("twice")):  # so that the first one finds a training under way
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            assert process.wait(5) == 130, project.output
    finally:
        end(process)
    kinds = {event["event"] for event in project.events("twice")}
    assert not kinds & {"interrupted", "ended"}  # it had no time to write it
    project.run("tune", "--name", "twice", "--resume", "true", *FOUR, *SLOWER, *OFFLINE)
    check_invariants(project, "twice", trials=4)


@pytest.mark.long
def test_a_killed_dispatcher_or_thin_trial_changes_nothing(project: SmallProject) -> None:
    process = project.start("tune", "--name", "b", *SLOWER, *OFFLINE)
    try:
        # Ray calls an idle process of a trial after its class, one inside a call after the class that Tune makes of it
        for name in (("ray::DispatcherActor",), ("ray::TuneTrial", "ray::ResourceTrainable")):
            count = len(project.events("b", "finished"))
            project.wait_for_events("b", "finished", process, count + 1)
            children = psutil.Process(process.pid).children(recursive=True)
            victims = [child for child in children if " ".join(child.cmdline()).startswith(name)]
            assert victims, f"no process is called {' or '.join(name)}"
            victims[0].send_signal(signal.SIGKILL)
        assert process.wait(240) == 0, project.output
    finally:
        end(process)
    assert "Traceback" not in project.output  # Tune's, of a process of its own, is in the search's log
    check_invariants(project, "b", trials=6)


@pytest.mark.long
def test_a_trial_whose_worker_dies_three_times_has_failed_and_no_other(
    project: SmallProject, cluster: dict[str, str]
) -> None:
    process = project.start("tune", "--name", "c", "--trials", "4", "--hosts", "1", *SLOWER, *OFFLINE, **cluster)
    killed: set[int] = set()
    try:
        while len(killed) < 3:  # each time before the attempt has reported anything
            own = [e for e in project.events("c") if e.get("trial") == 0]
            if own and own[-1]["event"] == "leased" and own[-1]["attempt"] not in killed:
                os.kill(project.worker("c"), signal.SIGKILL)
                killed.add(own[-1]["attempt"])
            assert process.poll() is None, project.output
            time.sleep(0.02)
        assert process.wait(400) == 0, project.output
    finally:
        end(process)
    check_invariants(project, "c", trials=4, failed=frozenset({"lost"}))
    ends = {event["trial"]: event for event in project.events("c", "finished")}
    assert {number for number, event in ends.items() if event["state"] == "failed"} == {0}
    assert [event["cause"] for event in project.events("c", "crashed")] == ["lost"] * 3
