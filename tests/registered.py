"""Finished projects without a search, a real MLflow server on loopback, and their registration there."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from later_steps import evaluated, exported
from manifest_samples import model_of, prepared_manifest
from samples import random_prepared, small_experiment
from stores import new_database
from vaeforge.chaos.tracking_server import SETTINGS
from vaeforge.data.prepare import write_data_set
from vaeforge.data.prepared import write_prepared_manifest
from vaeforge.manifests.trained_model import TrainedModelManifest
from vaeforge.paths import Project
from vaeforge.registry.register import Registration, register_run
from vaeforge.samples import DataSet
from vaeforge.training.checkpoint import save
from vaeforge.training.loop import untrained
from vaeforge_models.families import families
from vaeforge_models.family import Family

IDENTITY = "d" * 64
LENIENT = {"gates__min_active_units": 0, "gates__calibration": 1.0}  # no gate is what is tested with untrained models


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """A real MLflow server that hands artifacts on itself; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    store, kept = new_database(folder, "server.db"), str(folder / "kept")
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", address.rpartition(":")[2]]
    command += ["--workers", "1", "--backend-store-uri", store, "--serve-artifacts", "--artifacts-destination", kept]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, start_new_session=True, env={**os.environ, **SETTINGS}, **quiet)
    deadline = time.monotonic() + 120
    try:
        while not _answers(address):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def untrained_model(name: str, root: Path) -> tuple[Project, TrainedModelManifest]:
    """A project with random data of the family `name`, and what `tune` would have written of an untrained model."""
    family, project = families()[name], Project(root)
    data_hash = _write_prepared(family, project.prepared(name))
    experiment = small_experiment(family, root, **LENIENT)
    checkpoint = save(
        project.step("tune") / "best.pt", {"model": untrained(experiment, family.example).state_dict()}, epoch=1
    )
    content = {
        "step": "tune",
        "family": name,
        "experiment": experiment.model_dump(mode="json"),
        "event_shape": list(family.example.event_shape),
        "condition_dim": family.example.condition_dim,
        "checkpoint": {"path": "artifacts/tune/best.pt", "sha256": checkpoint.sha256, "epoch": 1},
        "metrics": {"val/nelbo": 1.0, "val/active_units": 4.0},
        "data_identity": IDENTITY,
        "data_hash": data_hash,
        "git": {"commit": None, "dirty": False},
        "configuration_hash": "1" * 64,
        "code_hash": "2" * 64,
        "search": f"{name}-12345678",
        "trial": 0,
        "space_hash": "3" * 64,
        "command": "vaeforge tune",
        "mlflow": {"run_id": None, "parent_run_id": None, "experiment": f"vaeforge-{name}"},
    }
    return project, model_of(content)


def _write_prepared(family: Family, folder: Path) -> str:
    """Random arrays as the prepare step leaves them; their DVC hash."""
    prepared, data_hash = random_prepared(family, folder, train=24), "a" * 32 + ".dir"
    parts = (prepared.train, prepared.validation, prepared.test)
    groups = [f"{group:02d}" for group in prepared.test_groups]
    arrays = write_data_set(folder, DataSet(*parts, prepared.test_labels, groups, constants=prepared.constants))
    manifest = prepared_manifest(family=family.name, data_identity=IDENTITY, data_hash=data_hash, arrays=arrays)
    write_prepared_manifest(folder, manifest)
    return data_hash


def register(project: Project, model: TrainedModelManifest, uri: str) -> Registration:
    """Evaluate, export and register a model in the store at `uri`."""
    evaluation, export = evaluated(project, model), exported(project, model)
    return register_run(project, model, export, evaluation, uri)
