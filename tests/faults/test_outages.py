"""Outages: the search stops before they use up its trials, and tries those again that failed for them, later."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from project import SmallProject, check_invariants, end

OFFLINE = ("--offline", "true", "--register", "false", "--scheduler", "none", "--hosts", "1")


@pytest.mark.long
def test_an_outage_of_the_disk_uses_up_no_trial(tmp_path: Path, cluster: dict[str, str]) -> None:
    project = SmallProject(tmp_path)
    call = ("tune", "--name", "o", *OFFLINE, "--trials", "5", "--set", "training.steps_per_epoch=20")
    trials = tmp_path / "artifacts/searches/o/trials"
    away = trials.with_name("away")
    process = project.start(*call, **cluster)
    try:
        project.wait_for_events("o", "finished", process)
        trials.rename(away)
        trials.write_text("no folder")
        assert process.wait(400) == 2, project.output
    finally:
        end(process)
    output = " ".join(project.output.split())
    assert "attempts could not write or read their checkpoints" in output and "continue with --resume" in output
    assert "Traceback" not in output
    last = project.events("o")[-1]
    assert last["event"] == "interrupted" and "could not write" in last["problem"]
    assert {event["state"] for event in project.events("o", "finished")} == {"completed"}
    trials.unlink()
    away.rename(trials)
    project.run(*call, "--resume", "true", **cluster)
    check_invariants(project, "o", trials=5)


def failed_by(sent: signal.Signals, project: SmallProject, name: str, *call: str, **cluster: str) -> dict[str, Any]:
    """The end of the one trial that failed as the signal was sent to the search's worker, which ends all the same."""
    process = project.start(*call, **cluster)
    try:
        project.wait_for_events(name, "reported", process)
        os.kill(project.worker(name), sent)
        assert process.wait(400) == 0, project.output
    finally:
        end(process)
    (failed,) = (event for event in project.events(name, "finished") if event["state"] == "failed")
    return failed


@pytest.mark.long
def test_a_trial_that_was_lost_is_tried_again_on_resuming(tmp_path: Path, cluster: dict[str, str]) -> None:
    project = SmallProject(tmp_path)
    call = ("tune", "--name", "l", *OFFLINE, "--trials", "2")
    settings = ("--set", "search.attempts=1", "--set", "training.steps_per_epoch=20")
    failed = failed_by(signal.SIGKILL, project, "l", *call, *settings, **cluster)
    assert failed["cause"] == "lost"
    assert "must be failed" in project.call(*call, *settings, "--resume", "true", "--retry", "all", code=2)
    assert "without --resume" in project.call(*call[:1], *call[3:], *settings, "--retry", "failed", code=2)
    output = project.run(*call, *settings, "--resume", "true", **cluster)
    assert f"tried again: {failed['trial']} (lost)" in " ".join(output.split())
    check_invariants(project, "l", trials=2)
    assert "already complete" in project.call(*call, *settings, "--resume", "true")


@pytest.mark.long
def test_a_member_of_a_population_that_hung_is_tried_again_on_resuming_and_catches_up(
    tmp_path: Path, cluster: dict[str, str]
) -> None:
    project = SmallProject(tmp_path)
    call = ("tune", "--name", "p", *OFFLINE[:4], "--hosts", "1", "--scheduler", "pbt", "--trials", "4")
    one = ("--set", "search.attempts=1", "--set", "search.hang_seconds=15", "--set", "training.steps_per_epoch=20")
    failed = failed_by(signal.SIGSTOP, project, "p", *call, *one, **cluster)
    assert failed["cause"] == "hang" and failed["epoch"] < 2  # before the first generation was decided
    ended = {event["trial"]: event for event in project.events("p", "finished") if event["state"] == "completed"}
    output = project.run(*call, *one, "--resume", "true", **cluster)
    assert f"tried again: {failed['trial']} (hang)" in " ".join(output.split())
    check_invariants(project, "p", trials=4)
    late = [event for event in project.events("p", "decided") if event["trial"] == failed["trial"]]
    assert [event["why"] for event in late] == [f"generation {n}: the others are further" for n in (1, 2)]
    again = {event["trial"]: event for event in project.events("p", "finished") if event["trial"] in ended}
    assert again == ended
