"""Logging of a version's files to MLflow: everything goes to the run that is named, whatever run is active.

MLflow is imported inside the functions: that takes seconds, and it reads its privacy settings while it is imported.
"""

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vaeforge.errors import RegistryError
from vaeforge.manifests.lineage import Lineage
from vaeforge.manifests.trained_model import TrainedModelManifest
from vaeforge.paths import write_bytes
from vaeforge.registry.mlflow_calls import tracking_at
from vaeforge.track.mlflow_writer import dataset_input
from vaeforge.track.store import ensure_experiment, one_try

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

NAME = "model"
CHECKPOINT_TAG = "vaeforge.registered_checkpoint"


def run_of(client: "MlflowClient", manifest: TrainedModelManifest, artifact_root: Path) -> str:
    """The id of the run of the model's trial; for a model trained without tracking, of one made for its registration.

    Raises:
        RegistryError: if the manifest names neither a run nor an experiment.
    """
    known = manifest.lineage.mlflow
    if known.run_id:
        return str(client.get_run(known.run_id).info.run_id)
    if known.experiment is None:
        raise RegistryError("manifest of the model: names no MLflow experiment (mlflow.experiment); train it again")
    experiment = ensure_experiment(client, known.experiment, artifact_root)
    checkpoint = manifest.checkpoint.sha256
    found = client.search_runs([experiment], f"tags.`{CHECKPOINT_TAG}` = '{checkpoint}'", max_results=1)
    return str(found[0].info.run_id) if found else _create_run(client, experiment, manifest)


def _create_run(client: "MlflowClient", experiment: str, manifest: TrainedModelManifest) -> str:
    tags = {CHECKPOINT_TAG: manifest.checkpoint.sha256, "mlflow.runName": f"registered-{manifest.family}"}
    with one_try():  # one whose answer is lost is found by its tag the next time
        run_id = str(client.create_run(experiment, tags=tags).info.run_id)
    log_metrics(client, run_id, manifest.finite_metrics, manifest.checkpoint.epoch)
    client.set_terminated(run_id)
    return run_id


def log_metrics(client: "MlflowClient", run_id: str, metrics: Mapping[str, float], epoch: int) -> None:
    """Add `metrics` to a run at the epoch of the checkpoint that they were measured on."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    client.log_batch(run_id, metrics=[Metric(key, float(value), now, epoch) for key, value in metrics.items()])


def log_data(client: "MlflowClient", run_id: str, lineage: Lineage, source: Path) -> None:
    """Name the data in `source` as the run's input, where the run does not name them yet."""
    wanted = dataset_input(str(source), lineage.data_identity, lineage.data_hash)
    run = client.get_run(run_id)
    known = run.inputs.dataset_inputs if run.inputs else []
    if wanted.dataset.digest not in {one.dataset.digest for one in known}:
        client.log_inputs(run_id, datasets=[wanted])


def log_figures(client: "MlflowClient", run_id: str, paths: Sequence[Path]) -> None:
    """Show the figures among `paths` with the run."""
    for path in paths:
        if path.suffix == ".png":
            client.log_artifact(run_id, str(path), "figures")


def log_graph(
    client: "MlflowClient",
    run_id: str,
    manifest: TrainedModelManifest,
    latent_dim: int,
    graph: Path,
    extra: Sequence[Path],
    texts: Mapping[str, str],
) -> str:
    """Log `graph` as the run's model with the files `extra` and `texts` (by file name) beside it; the model's id.

    Downloading the model brings them: they lie in its folder `extra_files`.

    Raises:
        RegistryError: if two of them have the same name, for that folder is flat.
    """
    names = [*(path.name for path in extra), *texts]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RegistryError(f"files of a version: {', '.join(twice)} would lie twice in one folder; rename one of them")
    import mlflow.onnx

    from vaeforge.package.export import read_graph

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # one bar a file is no progress
    experiment = client.get_run(run_id).info.experiment_id
    model_id = str(client.create_logged_model(experiment, name=NAME, source_run_id=run_id).model_id)
    shape, condition_dim = manifest.event_shape, manifest.condition_dim
    with tempfile.TemporaryDirectory() as folder, tracking_at(client.tracking_uri):
        for name, text in texts.items():
            write_bytes(Path(folder) / name, text.encode())
        written = [Path(folder) / name for name in texts]
        mlflow.onnx.log_model(
            read_graph(graph),
            name=NAME,
            model_id=model_id,
            run_id=run_id,
            step=manifest.checkpoint.epoch,
            signature=signature(shape, latent_dim, condition_dim),
            input_example=example_input(shape, condition_dim),
            pip_requirements=requirements(),
            onnx_execution_providers=["CPUExecutionProvider"],  # the one that parity was shown on
            save_as_external_data=False,
            extra_files=[str(path) for path in (*extra, *written)],
        )
    return model_id


def signature(event_shape: tuple[int, ...], latent_dim: int, condition_dim: int = 0) -> "ModelSignature":
    """Raw x [batch, *event] and a condition, if any, in; reconstruction, mu, logvar and score out; all float32."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    from vaeforge.package.graphs import RECONSTRUCTION

    def tensor(name: str, *shape: int) -> TensorSpec:
        return TensorSpec(np.dtype(np.float32), (-1, *shape), name)

    inputs = [tensor("x", *event_shape)] + ([tensor("condition", condition_dim)] if condition_dim else [])
    latents = [tensor("mu", latent_dim), tensor("logvar", latent_dim)]
    outputs = [tensor(RECONSTRUCTION, *event_shape), *latents, tensor("score")]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


def example_input(event_shape: tuple[int, ...], condition_dim: int = 0) -> dict[str, "np.ndarray[Any, np.dtype[Any]]"]:
    """One made-up sample, ramps from 0 to 255 along the last axis: no user's data travels as an example."""
    ramp = np.round(np.linspace(0, 255, event_shape[-1])).astype(np.float32)
    example = {"x": np.broadcast_to(ramp, (1, *event_shape)).copy()}
    if condition_dim:
        example["condition"] = np.eye(1, condition_dim, dtype=np.float32)
    return example


def requirements() -> list[str]:
    """What a server of the graph must install, at the versions that parity was shown with."""
    from importlib.metadata import version

    return [f"{name}=={version(name)}" for name in ("mlflow", "numpy", "onnx", "onnxruntime")]
