"""A champion used where there is neither torch nor MLflow nor vaeforge: by the code that the documentation shows."""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from project import ROOT
from registered import register, server, untrained_model
from vaeforge.manifests.trained_model import TrainedModelManifest
from vaeforge.paths import Project
from vaeforge.trained import load_trained_model

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]

INSTALLED = ("numpy", "onnxruntime")
ABSENT = ("torch", "mlflow", "vaeforge", "vaeforge_models", "onnx")
OUTPUTS = ("reconstruction", "mu", "logvar", "score")
SERVER, MODEL = '"https://mlflow.example.org"', '"vaeforge-endoscopy"'
READ = 'np.load("images.npy").astype(np.float32)'
CHECK = f"import importlib.util\nassert not [name for name in {ABSENT} if importlib.util.find_spec(name)]\n"
SAVE = f"\nnp.savez('outputs.npz', {', '.join(f'{name}={name}' for name in OUTPUTS)})\n"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with server(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with onnxruntime and numpy, as pinned, and what they need."""
    folder = tmp_path_factory.mktemp("clean")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
    pinned = {name: re.search(rf"^{name}==(\S+)", (ROOT / "requirements.lock").read_text(), re.M) for name in INSTALLED}
    wanted = [f"{name}=={found[1]}" for name, found in pinned.items() if found]
    assert wanted == [f"{name}=={version(name)}" for name in INSTALLED]
    python = folder / "bin" / "python"
    call = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    done = subprocess.run(call, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return python


def documented() -> str:
    """The code in the last section of docs/models.md."""
    section = (ROOT / "docs/models.md").read_text().partition("\n## Without any of this\n")[2]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.S)
    assert all(code.count(part) == 1 for part in (SERVER, MODEL, READ))
    return str(code)


def by_torch(project: Project, model: TrainedModelManifest) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Raw test samples with their conditions, and what torch makes of them."""
    loaded = load_trained_model(project, model)
    raw, condition = loaded.prepared.test.tensors(np.arange(len(loaded.prepared.test)))
    with torch.no_grad():
        reconstruction, posterior, score = loaded.model.reconstruct(raw.float(), condition)
        outputs = (loaded.model.denormalise(reconstruction), posterior.mu, posterior.logvar, score)
    inputs = {"x": raw.numpy()} | ({"condition": condition.numpy()} if condition.shape[1] else {})
    return inputs, dict(zip(OUTPUTS, (output.numpy() for output in outputs), strict=True))


def run_documented(python: Path, folder: Path, address: str, family: str, inputs: dict[str, Any]) -> str:
    """Run the documented code on saved inputs in `folder`; what it says on its way to an end, or nothing."""
    np.save(folder / "images.npy", inputs["x"])
    read = READ
    if "condition" in inputs:
        np.save(folder / "condition.npy", inputs["condition"])
        read += ', "condition": np.load("condition.npy")'
    code = documented().replace(SERVER, repr(address)).replace(MODEL, repr(f"vaeforge-{family}")).replace(READ, read)
    (folder / "use.py").write_text(CHECK + code + SAVE)
    call = [str(python), "-I", "use.py"]
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True, timeout=120)
    assert (done.returncode == 0) == (folder / "outputs.npz").exists(), done.stderr
    return done.stderr


@pytest.mark.parametrize("family", ["cilia", "endoscopy"])
def test_the_documented_code_computes_what_torch_does(family: str, address: str, python: Path, tmp_path: Path) -> None:
    project, model = untrained_model(family, tmp_path / "project")
    assert register(project, model, address).champion
    inputs, expected = by_torch(project, model)
    assert run_documented(python, tmp_path, address, family, inputs) == ""
    with np.load(tmp_path / "outputs.npz") as outputs:
        for name in OUTPUTS:
            assert outputs[name].shape == expected[name].shape
            apart = np.abs(outputs[name] - expected[name]).max()
            assert apart <= 1e-4 * np.ptp(expected[name]), name


def test_the_documented_code_refuses_another_graph(address: str, python: Path, tmp_path: Path) -> None:
    """Registered by hand with a false hash, as a file that was exchanged later would look."""
    from mlflow import MlflowClient

    client, name = MlflowClient(address), "vaeforge-forged"
    run = client.create_run("0").info
    (tmp_path / "model.onnx").write_bytes(b"another graph")
    client.log_artifact(run.run_id, str(tmp_path / "model.onnx"))
    client.create_registered_model(name)
    client.create_model_version(name, run.artifact_uri, run.run_id, {"vaeforge.model_sha256": "0" * 64})
    client.set_registered_model_alias(name, "champion", "1")
    said = run_documented(python, tmp_path, address, "forged", {"x": np.zeros((1, 3, 96, 96), np.uint8)})
    assert said.strip() == f"{name} 1: the graph is not the one that was registered"
