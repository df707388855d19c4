"""A search that is stopped, killed and extended: what it does afterwards is what it would have done."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from project import EmptyProject, SmallProject, check_invariants, end

OFFLINE = ("--offline", "true", "--register", "false")
SLOWER = ("--set", "training.steps_per_epoch=12")


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path)


def beside(project: SmallProject) -> EmptyProject:
    """The same project from another terminal: with an output of its own."""
    other = EmptyProject(project.root / "beside")
    other.root.mkdir()
    (other.root / "artifacts").symlink_to(project.root / "artifacts")
    return other


def trials_of(project: SmallProject, name: str) -> dict[int, tuple[Any, Any, Any]]:
    """Parameters, state and value of each trial."""
    params = {event["trial"]: event["params"] for event in project.events(name, "submitted")}
    ends = {event["trial"]: event for event in project.events(name, "finished")}
    return {number: (params[number], ends[number]["state"], ends[number]["value"]) for number in params}


@pytest.mark.long
def test_a_repeatable_search_ends_with_the_same_trials_however_often_it_was_killed(
    project: SmallProject, cluster: dict[str, str]
) -> None:
    call = ("tune", "--deterministic", "true", "--trials", "5", *OFFLINE, *SLOWER)
    project.run(*call, "--name", "once", **cluster)
    for at_least, resume in ((1, ()), (3, ("--resume", "true"))):
        process = project.start(*call, "--name", "killed", *resume, **cluster)
        try:
            project.wait_for_events("killed", "finished", process, at_least)
            process.send_signal(signal.SIGKILL)
            process.wait(20)
        finally:
            end(process)
    project.run(*call, "--name", "killed", "--resume", "true", **cluster)
    check_invariants(project, "killed", 5)
    assert trials_of(project, "killed") == trials_of(project, "once")


@pytest.mark.long
def test_a_search_whose_budget_was_used_up_is_concluded_whenever_it_was_killed(
    project: SmallProject, cluster: dict[str, str]
) -> None:
    hours = 0.1 / 3600  # a few epochs at most
    call = ("tune", "--name", "b", "--budget", f"core_hours={hours}", "--scheduler", "none", *OFFLINE)
    project.run(*call, **cluster)
    ledger = project.root / "artifacts/searches/b/ledger.jsonl"
    manifest = ledger.with_name("manifest.json")
    whole = ledger.read_text().splitlines(keepends=True)
    events, winner = [json.loads(line) for line in whole], json.loads(manifest.read_text())
    assert events[-1]["event"] == "ended" and events[-1]["reason"].startswith("core-hours")
    spent = [sum(event.get("core_seconds", 0.0) for event in events[: end + 1]) for end in range(len(events))]
    used_up = next(place for place, seconds in enumerate(spent) if seconds >= hours * 3600)
    interrupted = json.dumps({"event": "interrupted", "time": events[-1]["time"], "signal": "SIGINT"}) + "\n"
    for cut, last in ((used_up + 1, ""), (len(whole) - 1, interrupted)):  # the first and the last moment
        ledger.write_text("".join([*whole[:cut], last]))
        manifest.unlink()
        output = project.call(*call, "--resume", "true")
        check_invariants(project, "b", len(project.events("b", "submitted")))
        assert project.events("b")[-1]["reason"].startswith("core-hours")
        assert json.loads(manifest.read_text())["family"] == winner["family"] and "val/nelbo" in output
        assert "already complete" in project.call(*call, "--resume", "true")
    assert json.loads(manifest.read_text()) == winner
    assert "give a larger --budget" in project.call(*call, "--resume", "true", "--trials", "9", code=2)


@pytest.mark.long
def test_finalists_without_a_model_are_not_repeated_and_never_handed_on(
    project: SmallProject, cluster: dict[str, str]
) -> None:
    call = ("tune", "--name", "r", "--trials", "3", "--epochs", "2", "--scheduler", "none", *OFFLINE)
    one = ("--set", "search.keep_checkpoints=1")
    project.run(*call, *one, **cluster)
    values = {event["trial"]: event["value"] for event in project.events("r", "finished")}
    again = ("--resume", "true", "--repeats", "2", "--set", "search.finalists=2", *one)
    output = project.run(*call, *again, **cluster)
    best = min(values, key=lambda number: values[number])
    assert {event["repeat_of"] for event in project.events("r", "submitted")} == {None, best}
    assert "not repeated, as an earlier session kept no checkpoint of theirs: trials " in " ".join(output.split())
    handed_on = json.loads((project.root / "artifacts/searches/r/manifest.json").read_text())
    assert handed_on["trial"] == best and (project.root / handed_on["checkpoint"]["path"]).is_file()


@pytest.mark.long
def test_a_running_search_and_its_trials_are_stopped_from_outside_and_it_goes_on(
    project: SmallProject, cluster: dict[str, str]
) -> None:
    call = ("tune", "--name", "s", "--scheduler", "none", *OFFLINE, "--set", "training.steps_per_epoch=40")
    other = beside(project)
    other.call("stop", "s", code=2)  # its imports are made before a trial can end
    process = project.start(*call, "--trials", "3", "--json", "true", **cluster)
    try:
        project.wait_for_events("s", "reported", process)
        number = project.events("s", "reported")[-1]["trial"]
        assert "stopped s#" in other.call("stop", f"s#{number}")
        (ended,) = [event for event in project.events("s", "finished") if event["trial"] == number]
        assert ended["state"] == "stopped" and ended["cause"].startswith("stopped on request of ")
        assert "stopped s" in other.call("stop", "s")
        assert process.wait(60) == 143
    finally:
        end(process)
    assert project.events("s")[-1]["event"] == "interrupted"
    lines = [json.loads(line) for line in project.output.splitlines() if line.startswith("{")]
    assert {line["event"] for line in lines} >= {"start", "trial", "end"}
    assert "not running" in project.call("stop", "s", code=2).replace("is not", "not")
    project.run(*call, "--trials", "3", "--resume", "true", **cluster)
    check_invariants(project, "s", 3)
    again = (*call, "--trials", "4", "--resume", "true")
    project.run(*again, **cluster)
    check_invariants(project, "s", 4)
    assert "already complete" in project.call(*again)
    detail = project.call("trials", f"s#{number}")
    assert "stopped on request" in detail


@pytest.mark.long
def test_a_search_that_nobody_can_start_twice_is_removed_only_when_it_has_ended(
    project: SmallProject, cluster: dict[str, str]
) -> None:
    process = project.start("tune", "--name", "r", *OFFLINE, *SLOWER, **cluster)
    try:
        project.wait_for_events("r", "submitted", process)
        other = beside(project)
        assert f"process {process.pid}" in other.call("rm", "r", code=2)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        end(process)
    project.call("rm", "r")
    assert not (project.root / "artifacts/searches/r").exists()
