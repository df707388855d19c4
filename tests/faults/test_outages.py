"""Outages of the place where checkpoints lie: the search stops before they use up its trials, and goes on later."""

from pathlib import Path

from project import SmallProject, check_invariants, end

OFFLINE = ("--offline", "true", "--register", "false", "--scheduler", "none", "--hosts", "1")


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
