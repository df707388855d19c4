"""Outages of the place where checkpoints lie: the search stops before they use up its trials, and goes on later."""

import os
import signal
from pathlib import Path

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


def test_a_trial_that_was_lost_is_tried_again_on_resuming(tmp_path: Path, cluster: dict[str, str]) -> None:
    project = SmallProject(tmp_path)
    call = ("tune", "--name", "l", *OFFLINE, "--trials", "2")
    settings = ("--set", "search.attempts=1", "--set", "training.steps_per_epoch=20")
    process = project.start(*call, *settings, **cluster)
    try:
        project.wait_for_events("l", "reported", process)
        os.kill(project.worker("l"), signal.SIGKILL)
        assert process.wait(400) == 0, project.output
    finally:
        end(process)
    (failed,) = (event for event in project.events("l", "finished") if event["state"] == "failed")
    assert failed["cause"] == "lost"
    assert "must be failed" in project.call(*call, *settings, "--resume", "true", "--retry", "all", code=2)
    assert "without --resume" in project.call(*call[:1], *call[3:], *settings, "--retry", "failed", code=2)
    output = project.run(*call, *settings, "--resume", "true", **cluster)
    assert f"tried again: {failed['trial']} (lost)" in " ".join(output.split())
    check_invariants(project, "l", trials=2)
    assert "already complete" in project.call(*call, *settings, "--resume", "true")
