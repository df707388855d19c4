"""Worker groups that fail before they are up: bounded tries, and an end that says why."""

from pathlib import Path

from project import SmallProject, end

QUICK = ("--offline", "true", "--register", "false", "--hosts", "1")


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
