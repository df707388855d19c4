"""A search under SLURM: preempted, out of time, on several nodes; queued again it goes on, and nothing is lost."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import slurm
from project import CODE_PATH, ROOT, SmallProject, check_invariants

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
SCRIPT = str(ROOT / "deploy/slurm/search.sbatch")
CALL = ("--trials", "4", "--scheduler", "none", "--offline", "true", "--register", "false")


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slurm.Slurm]:
    if absent := slurm.missing():
        pytest.skip(f"{', '.join(absent)}: install Debian's slurm-wlm")
    started = slurm.Slurm(tmp_path_factory.mktemp("slurm"))
    started.start()
    yield started
    started.close()


def submit(cluster: slurm.Slurm, project: SmallProject, *options: str, arguments: tuple[str, ...]) -> str:
    environment = {"VAEFORGE_VENV": str(Path(sys.executable).parents[1]), "PYTHONPATH": CODE_PATH}
    said = cluster.call("sbatch", *options, SCRIPT, *CALL, *arguments, cwd=project.root, **environment)
    return said.removeprefix("Submitted batch job ")


def events(project: SmallProject, kind: str) -> list[dict[str, object]]:
    found = [*(project.root / "artifacts/searches").glob("*/ledger.jsonl")]
    return project.events(found[0].parent.name, kind) if found else []


def test_a_preempted_search_is_queued_again_and_loses_nothing(cluster: slurm.Slurm, tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    slower = ("--set", "training.steps_per_epoch=100")
    job = submit(cluster, project, "--cpus-per-task", "2", arguments=slower)
    cluster.wait_for(lambda: events(project, "reported"))
    node = cluster.call("squeue", "-h", "-j", job, "-o", "%N")
    cluster.call("sbatch", "-p", "high", "-w", node, "-c", "2", "--output=/dev/null", "--wrap", "sleep 1")
    cluster.start_again(job)
    assert not events(project, "ended")
    cluster.wait_for(lambda: cluster.state(job) == "COMPLETED")
    (folder,) = (project.root / "artifacts/searches").iterdir()
    check_invariants(project, folder.name, 4)
    assert "DUE TO PREEMPTION" in (project.root / f"vaeforge-{job}.log").read_text()


def test_a_search_on_two_nodes_that_runs_out_of_time_goes_on_by_itself(cluster: slurm.Slurm, tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    arguments = ("--name", "two", "--set", "training.steps_per_epoch=60")
    job = submit(cluster, project, "--cpus-per-task", "1", "--nodes", "2", arguments=arguments)
    cluster.wait_for(lambda: events(project, "reported"))
    cluster.call("scancel", "--batch", "--signal=USR1", job)  # what SLURM sends before the time is up
    cluster.start_again(job)
    (interrupted,) = events(project, "interrupted")
    assert interrupted["signal"] == "SIGTERM"
    cluster.wait_for(lambda: cluster.state(job) == "COMPLETED")
    check_invariants(project, "two", 4)
    groups = events(project, "registered")
    nodes = {process["node"] for group in groups for process in group["processes"]}  # type: ignore[attr-defined]
    assert len(nodes) > 1
    assert not list(Path("/tmp").glob(f"ray-{job}-*"))
