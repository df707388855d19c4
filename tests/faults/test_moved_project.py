"""A search that was killed, and its project copied and then moved: it goes on there, and nothing of the old is used."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from opened import watched
from project import SmallProject, check_invariants, end
from vaeforge.track.store import open_store

CALL = ("tune", "--name", "s", "--register", "false", "--set", "training.steps_per_epoch=12")


class Elsewhere(SmallProject):
    """A small project that lies in another folder than the one in which it was made."""

    def __init__(self, root: Path):
        self.root = root


def killed(root: Path, cluster: dict[str, str]) -> SmallProject:
    """A project with a registered model, and a search that was killed in the middle of its trials."""
    root.mkdir()
    project = SmallProject(root)
    project.run("tune", "--name", "first", "--trials", "2", "--epochs", "2", "--scheduler", "none", **cluster)
    process = project.start(*CALL, **cluster)
    try:
        project.wait_for_events("s", "finished", process)
        project.wait_for(lambda: bool(unfinished(project)), process)
        process.send_signal(signal.SIGKILL)
        process.wait(20)
    finally:
        end(process)
    wait_for_workers(project)
    return project


def wait_for_workers(project: SmallProject) -> None:
    """Until the workers and the tracker of the killed search have ended: meanwhile they write on."""
    workers = {worker["pid"] for event in project.events("s", "registered") for worker in event["processes"]}
    left = [one for one in psutil.process_iter() if one.pid in workers or str(project.root) in _command(one)]
    _, alive = psutil.wait_procs(left, timeout=120)
    assert alive == []


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def unfinished(project: SmallProject) -> dict[int, int]:
    """The epoch that each trial has reached that has not ended."""
    ended = {event["trial"] for event in project.events("s", "finished")}
    epochs: dict[int, int] = {}
    for event in project.events("s", "reported"):
        epochs[event["trial"]] = max(event["epoch"], epochs.get(event["trial"], 0))
    return {number: epoch for number, epoch in epochs.items() if number not in ended}


def goes_on(project: SmallProject, old: Path, cluster: dict[str, str]) -> None:
    """The search ends with all its trials, and every command finds what it needs in the project's own folder."""
    where = f"names artifacts in {old}, but the project is in {project.root}"
    for command in (["models", "list"], [*CALL, "--resume", "true"], ["score", "models:/vaeforge-endoscopy/1", "data"]):
        refused = " ".join(project.call(*command, code=2).split())
        assert where in refused and "`vaeforge relocate`" in refused
    assert f"from {old} to {project.root}" in project.call("relocate")
    assert "nothing to relocate" in project.call("relocate")
    before, lines = unfinished(project), len(project.events("s"))
    project.run(*CALL, "--resume", "true", **cluster)
    assert "Traceback" not in project.output
    check_invariants(project, "s", trials=6)
    assert project.events("s", "crashed") == []
    after = [event for event in project.events("s")[lines:] if event["event"] == "reported"]
    for number, epoch in before.items():
        assert min(event["epoch"] for event in after if event["trial"] == number) == epoch + 1
    picture = next((project.root / "data/endoscopy/normal").iterdir())
    project.call("trace", "models:/vaeforge-endoscopy/1")
    project.call("score", "models:/vaeforge-endoscopy/1", str(picture), "--output", "scored")
    uri = f"sqlite:///{project.root}/mlflow.db"
    client = open_store(uri)
    run = client.get_run(client.get_model_version("vaeforge-endoscopy", "1").run_id).info
    # in a process of its own: MLflow remembers where the artifacts of a run lay
    program = f"import mlflow; mlflow.MlflowClient({uri!r}).log_text({run.run_id!r}, 'after the move', 'note.txt')"
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True)
    assert (project.root / f"mlruns/vaeforge-endoscopy/{run.run_id}/artifacts/note.txt").is_file()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_copied_and_a_moved_project_go_on_with_what_lies_beside_them(tmp_path: Path, cluster: dict[str, str]) -> None:
    old = tmp_path / "old place"
    killed(old, cluster)
    copied = Elsewhere(tmp_path / "copied ü")
    shutil.copytree(old, copied.root)
    with watched(old) as opened:
        goes_on(copied, old, cluster)
        copied.call("export", "--run", "first")
    assert opened == []
    moved = Elsewhere(tmp_path / "moved")
    old.rename(moved.root)
    goes_on(moved, old, cluster)
    assert not old.exists()
