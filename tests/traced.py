"""A search in a git repository with data under DVC, told to its ledger by one training in this process, without Ray."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from project import ROOT, SmallProject
from vaeforge.config.loader import load
from vaeforge.data.prepared import load_training
from vaeforge.ledger.checkpoint_places import trial_folder
from vaeforge.ledger.events import (
    EpochReported,
    SearchEnded,
    TrialFinished,
    TrialLeased,
    TrialSubmitted,
    WorkerProcess,
    WorkersRegistered,
)
from vaeforge.ledger.file import Ledger
from vaeforge.ledger.history import read_history
from vaeforge.manifests.trained_model import TrainedModelManifest, write_trained_model
from vaeforge.paths import Project
from vaeforge.provenance import machine
from vaeforge.search.plan import Plan, make_plan, search_extent
from vaeforge.search.results.winner_manifest import winner_manifest
from vaeforge.search.space.space import read_space
from vaeforge.search.space.trial_experiment import experiment_for, trial_seed
from vaeforge.training.loop import TrainingData, fit

POINT = {"model.latent_dim": 6, "beta.schedule": "constant", "beta.value": 0.1}


def call(root: Path, *command: str) -> str:
    """What a command prints in `root`; it must succeed. Hooks' variables and users' names play no part."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "MLFLOW_"))}
    names = {f"GIT_{who}_{what}": "n@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        command, cwd=root, env=environment | names | {"DVC_NO_ANALYTICS": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def dvc(root: Path, *arguments: str) -> str:
    return call(root, sys.executable, "-m", "dvc", *arguments)


def commit(root: Path, message: str) -> str:
    """Commit everything that git does not ignore; the commit's id."""
    call(root, "git", "add", "--all")
    call(root, "git", "commit", "--quiet", "--message", message)
    return call(root, "git", "rev-parse", "HEAD")


def repository(root: Path, with_dvc: bool = False, with_code: bool = False) -> Path:
    """A small project under git: its data ignored or under DVC, vaeforge's own code in it or not."""
    root.mkdir()
    SmallProject(root)
    call(root, "git", "init", "--quiet", "--initial-branch=main")
    (root / ".gitignore").write_text("/artifacts/\n/data\n/mlflow.db*\n/mlruns/\n/output.log\n__pycache__/\n")
    (root / "requirements.lock").write_text("numpy==1\n")
    if with_code:
        copy_code(root)
    if with_dvc:
        dvc(root, "init", "--quiet")
        dvc(root, "add", "--quiet", "data")
    commit(root, "first")
    return root


def copy_code(root: Path) -> None:
    """vaeforge's own code, as a checkout of its repository holds it."""
    for name in ("platform", "models"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))


def searched(root: Path, name: str = "hand", epochs: int = 3) -> TrainedModelManifest:
    """The manifest of the best model of a search of one trial, as hosts, dispatcher and `tune` would leave it."""
    project, config = Project(root), load(root, None, None, {"search.trials": 1}, [])
    space = read_space(root / "tune_spaces/endoscopy.yaml").with_epochs(epochs)
    plan = make_plan(project, config, space, name, None, Console(quiet=True))
    plan.keep_patch()
    ledger = Ledger(plan.ledger)
    ledger.append(plan.header)
    ledger.append(WorkersRegistered(host=0, generation=0, processes=(WorkerProcess(1, machine=machine()),)))
    ledger.append(TrialSubmitted(trial=0, params=POINT, group="constant"))
    ledger.append(TrialLeased(trial=0, attempt=1, host=0, generation=0))
    _train(plan, ledger)
    ledger.append(SearchEnded(reason="trials", asked=search_extent(config.search)))
    ledger.close()
    manifest = winner_manifest("tune", plan, read_history(plan.ledger), None)
    write_trained_model(plan.folder / "manifest.json", manifest)
    return manifest


def _train(plan: Plan, ledger: Ledger) -> None:
    experiment = experiment_for(plan.space, plan.config.experiment, POINT, trial_seed(plan.config.search.seed, 0))
    data, folder = TrainingData(*load_training(plan.prepared.folder)), trial_folder(plan.folder, 0)
    for report in fit(experiment, data, folder=folder):
        ledger.append(
            EpochReported(
                trial=0,
                epoch=report.epoch,
                metrics=report.metrics,
                value=report.value,
                outcome=report.outcome,
                seconds=report.seconds,
                checkpoint=report.checkpoint,
                best=report.best,
                core_seconds=report.seconds,
            )
        )
    ledger.append(TrialFinished(trial=0, state="completed", value=report.value, epoch=report.epoch, seconds=1.0))
