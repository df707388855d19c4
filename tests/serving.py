"""Packaged models whose answers can be worked out by hand, and a registry that holds them.

The score is the mean of a sample plus `offset` (plus the number of its class), mu the mean of each channel, the
reconstruction the sample itself.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from project import CODE_PATH
from vaeforge.paths import sha256_of

SHAPE = (3, 16, 16)
THRESHOLD = 137.5  # near the 0.95 quantile of the reference
NAME = "vaeforge-endoscopy"
PREPARE = {"size": 16, "margin": 4, "stride": 8, "validation": 0.2, "test": 0.3, "seed": 0}


def graph_of(shape: tuple[int, ...], classes: int = 0, offset: float = 0.0) -> onnx.ModelProto:
    """The main graph; see the module's docstring."""
    values, channels = list(range(1, len(shape) + 1)), list(range(2, len(shape) + 1))
    constants = {"values": values, "channels": channels, "one": [1]}
    initializers = [numpy_helper.from_array(np.array(v, dtype=np.int64), name) for name, v in constants.items()]
    initializers.append(numpy_helper.from_array(np.array([offset], dtype=np.float32), "offset"))
    nodes = [
        helper.make_node("Identity", ["x"], ["reconstruction"]),
        helper.make_node("ReduceMean", ["x", "channels"], ["mu"], keepdims=0)
        if channels
        else helper.make_node("Identity", ["x"], ["mu"]),
        helper.make_node("Sub", ["mu", "mu"], ["logvar"]),
        helper.make_node("ReduceMean", ["x", "values"], ["mean"], keepdims=0),
        helper.make_node("Add", ["mean", "offset"], ["plain" if classes else "score"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])]
    if classes:
        numbers = np.arange(classes, dtype=np.float32)
        initializers.append(numpy_helper.from_array(numbers, "numbers"))
        nodes += [
            helper.make_node("Mul", ["condition", "numbers"], ["weighted"]),
            helper.make_node("ReduceSum", ["weighted", "one"], ["class"], keepdims=0),
            helper.make_node("Add", ["plain", "class"], ["score"]),
        ]
        inputs.append(helper.make_tensor_value_info("condition", TensorProto.FLOAT, ["batch", classes]))
    latent = ["batch", shape[0]]
    shapes = {"reconstruction": ["batch", *shape], "mu": latent, "logvar": latent, "score": ["batch"]}
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in shapes.items()]
    graph = helper.make_graph(nodes, "model", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def write_bundle(
    folder: Path,
    shape: tuple[int, ...] = SHAPE,
    data: str = "pictures",
    classes: tuple[str, ...] = (),
    prepare: dict[str, Any] | None = None,
    offset: float = 0.0,
) -> Path:
    """An exported folder; its reference is 200 samples whose pixels have means around 128."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(graph_of(shape, len(classes), offset), folder / "model.onnx")
    rng = np.random.default_rng(0)
    mu = rng.normal(128, 10, (200, shape[0])).astype(np.float32)
    np.savez(folder / "reference.npz", score=mu.mean(axis=1) + np.float32(offset), mu=mu)
    inputs: dict[str, Any] = {"x": [None, *shape]}
    if classes:
        inputs["condition"] = [None, len(classes)]
    outputs = {"reconstruction": [None, *shape], "mu": [None, shape[0]], "logvar": [None, shape[0]], "score": [None]}
    entry = {"file": "model.onnx", "inputs": inputs, "outputs": outputs, "precision": "fp32"}
    contract = {
        "family": "endoscopy",
        "task": "anomaly",
        "data": data,
        "prepare": PREPARE if prepare is None else prepare,
        "event_shape": list(shape),
        "condition": list(classes),
        "channels": [],
        "latent_dim": shape[0],
        "threshold": THRESHOLD,
        "quantile": 0.95,
        "cut": False,
        "graphs": {"model": entry | {"sha256": sha256_of(folder / "model.onnx")}},
    }
    (folder / "contract.json").write_text(json.dumps(contract))
    return folder


def register_bundle(client: Any, folder: Path, root: Path) -> str:
    """A version with the files of `folder`, as registering leaves it; its number."""
    import mlflow.onnx
    from mlflow import MlflowException

    from vaeforge.registry.log import signature
    from vaeforge.registry.mlflow_calls import tracking_at
    from vaeforge.registry.tags import GRAPH
    from vaeforge.track.store import ensure_experiment

    experiment = ensure_experiment(client, NAME, root / "mlruns")
    run = client.create_run(experiment).info.run_id
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    extra = [str(folder / name) for name in ("contract.json", "reference.npz")]
    known = json.loads((folder / "contract.json").read_text())
    described = signature(tuple(known["event_shape"]), known["latent_dim"], len(known["condition"]))
    model_id = client.create_logged_model(experiment, name="model", source_run_id=run).model_id
    with tracking_at(client.tracking_uri):
        mlflow.onnx.log_model(
            onnx.load(folder / "model.onnx"),
            name="model",
            model_id=model_id,
            run_id=run,
            signature=described,
            pip_requirements=["onnxruntime"],
            save_as_external_data=False,
            extra_files=extra,
        )
        try:
            client.create_registered_model(NAME)
        except MlflowException as error:
            assert error.error_code == "RESOURCE_ALREADY_EXISTS"
        path = Path(mlflow.artifacts.download_artifacts(f"models:/{model_id}"), "model.onnx")
        tags = {GRAPH: sha256_of(path)}
        version = client.create_model_version(NAME, f"models:/{model_id}", run_id=run, tags=tags, model_id=model_id)
    return str(version.version)


class Server:
    """`vaeforge serve` in a process of its own, on a free port of this machine."""

    def __init__(self, root: Path, *arguments: str, **environment: str):
        variables = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "VAEFORGE_"))}
        variables |= {"PYTHONPATH": CODE_PATH, "PYTHONUNBUFFERED": "1", **environment}
        self.log = root / f"server-{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "vaeforge", "serve", *arguments, "--port", "0", "--threads", "1"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=root, env=variables, stdout=log, stderr=log)

    @property
    def output(self) -> str:
        """What it has said."""
        return self.log.read_text()

    @property
    def address(self) -> str:
        """Where it listens, waited for."""
        deadline = time.monotonic() + 120
        while "://" not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)
        return next(word for word in self.output.split() if "://" in word)

    def end(self) -> None:
        """Nothing of a failed test stays behind."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
