"""The other two doors, really opened: `mlflow run` and `dvc repro` on a small project of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from project import ROOT, SmallProject, check_invariants

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """A small project with the doors of this one, under git and DVC."""
    project = SmallProject(tmp_path_factory.mktemp("doors"))
    params = yaml.safe_load((project.root / "params.yaml").read_text())
    family = params["endoscopy"] | {"beta": {"schedule": "constant"}, "optimizer": {"lr": 0.002}}
    text = yaml.safe_dump({**params, "preset": "sample", "endoscopy": family})
    (project.root / "params.yaml").write_text(text)
    for name in ("MLproject", "python_env.yaml", "dvc.yaml", ".dvcignore", "platform", "models"):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, project.root / name)
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "add", "-q", "data"]):
        call(project, *command)
    return project


def call(project: SmallProject, *command: str) -> str:
    """What a command prints; it must succeed. `python`, `dvc` and `mlflow` are those of this environment."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PYTHONPATH", "RAY_"))}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{project.root / 'mlflow.db'}"
    done = subprocess.run(command, cwd=project.root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def ran(output: str) -> set[str]:
    """The stages that `dvc repro` ran."""
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}


def test_mlflow_run_makes_its_own_run_the_parent(project: SmallProject) -> None:
    arguments = ["run", ".", "-e", "tune", "--env-manager", "local", "--experiment-name", "vaeforge-endoscopy"]
    call(project, "mlflow", *arguments, "-P", "trials=3", "-P", "name=second")
    check_invariants(project, "second", trials=3)
    client = MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("vaeforge-endoscopy").experiment_id
    runs = client.search_runs([experiment])
    parents = {run.data.tags.get("mlflow.parentRunId") for run in runs} - {None}
    assert len(parents) == 1 and len(runs) == 4
    (parent,) = (run for run in runs if run.info.run_id in parents)
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["mlflow.project.entryPoint"] == "tune"


def test_dvc_repro_runs_what_changed_and_nothing_else(project: SmallProject) -> None:
    assert ran(call(project, "dvc", "repro")) == {"prepare", "tune", "diffuse", "evaluate", "register"}
    assert ran(call(project, "dvc", "repro")) == set()
    params = project.root / "params.yaml"
    content = yaml.safe_load(params.read_text())
    content["endoscopy"]["gates"]["threshold_quantile"] = 0.9
    params.write_text(yaml.safe_dump(content))
    assert ran(call(project, "dvc", "repro")) == {"evaluate", "register"}
    assert "auroc" in call(project, "dvc", "metrics", "show")
    content["search"]["trials"] = 7
    params.write_text(yaml.safe_dump(content))
    assert "prepare" not in call(project, "dvc", "status")
