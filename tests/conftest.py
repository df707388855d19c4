"""What tests share: one thread per process, small synthetic data, and one Ray for whatever can share it."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes import what needs compiling once

import numpy as np
import psutil
import pytest
import torch
from xdist.scheduler import LoadFileScheduling

from project import CODE_PATH
from vaeforge.config.experiment import Experiment
from vaeforge.samples import Samples
from vaeforge.training.loop import TrainingData
from vaeforge_models.vae import DataSpec

sys.dont_write_bytecode = False

if TYPE_CHECKING:
    from vaeforge.chaos.tracking_server import TrackingServer

STARTING_SEARCHES = (
    "cluster",
    "controls",
    "doors_run",
    "every_family",
    "own_families",
    "python_page",
    "readme_own_data",
    "refusals",
    "way_through",
)
LONG_SECONDS = 900
SEARCHES = ("tests/faults/", *(f"tests/e2e/test_{name}.py" for name in STARTING_SEARCHES))


class SearchesTogether(LoadFileScheduling):  # type: ignore[misc]
    """Under `--dist loadfile`: whatever starts searches runs on one worker, one after the other; other files anywhere.

    Two searches at once take longer on two cores than one after the other, and time out; one leaves room for tests that
    need no Ray. Groups of xdist's own (`loadgroup`) are passed over by the pytest that is pinned here.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return "searches" if file.startswith(SEARCHES) else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("long") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LONG_SECONDS))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> SearchesTogether | None:
    return SearchesTogether(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def blank_figures() -> Iterator[pytest.MonkeyPatch]:
    """PNGs of figures are one white pixel: rendering takes a third of an evaluation. `rendered` renders them."""
    from matplotlib.figure import Figure
    from PIL import Image

    render = Figure.savefig

    def save(figure: Figure, file: Any, **options: Any) -> None:
        if options.get("format") == "png":
            Image.new("L", (1, 1), 255).save(file, "png")
        else:
            render(figure, file, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Figure, "savefig", save)
        yield patched


@pytest.fixture
def rendered(blank_figures: pytest.MonkeyPatch) -> Iterator[None]:
    """Figures are rendered, with whatever warnings that gives."""
    from matplotlib.figure import Figure

    blank = Figure.savefig
    blank_figures.undo()
    yield
    blank_figures.setattr(Figure, "savefig", blank)


@pytest.fixture(autouse=True, scope="session")
def kept_conversions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    """A model is converted to ONNX once for all tests and workers. `converted_anew` converts."""
    import conversions

    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "conversions"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.onnx, "export", conversions.kept(torch.onnx.export, folder))
        yield patched


@pytest.fixture
def converted_anew(kept_conversions: pytest.MonkeyPatch) -> Iterator[None]:
    """Models are converted to ONNX whether or not another test has had them converted."""
    import conversions

    conversions.share_operators()
    kept = torch.onnx.export
    kept_conversions.setattr(torch.onnx, "export", kept.__wrapped__)
    yield
    kept_conversions.setattr(torch.onnx, "export", kept)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Imports leave empty files in place of their figures, which take longer than all else and are tested elsewhere."""
    from vaeforge.importing import description

    monkeypatch.setattr(description, "save_chart", lambda chart, folder: (folder / f"{chart.name}.png").touch())


@pytest.fixture
def make_arrays() -> Callable[..., TrainingData]:
    """Blocky random images: structure that a small model can learn, in sizes that nothing divides."""

    def make(train: int = 23, validation: int = 11, size: int = 32, margin: int = 16, seed: int = 0) -> TrainingData:
        rng = np.random.default_rng(seed)

        def images(count: int, side: int) -> Any:
            coarse = rng.integers(0, 256, (count, 3, side // 8, side // 8))
            return np.kron(coarse, np.ones((1, 1, 8, 8))).astype(np.uint8)

        spec = DataSpec((3, size, size))
        parts = (images(train, size + margin), images(validation, size))
        return TrainingData(*(Samples.unconditional(part) for part in parts), spec)

    return make


@pytest.fixture
def make_experiment() -> Callable[..., Experiment]:
    """A small endoscopy experiment; sections are merged over it."""

    def make(**sections: Any) -> Experiment:
        base: dict[str, dict[str, Any]] = {
            "model": {"latent_dim": 5, "width": 4},
            "optimizer": {"lr": 1e-3, "clip_norm": 1.0},
            "training": {"epochs": 3, "batch_size": 7, "evaluation_samples": 3},
        }
        for name, section in sections.items():
            base[name] = {**base.get(name, {}), **section} if name != "beta" else section
        return Experiment.model_validate({"family": "endoscopy", **base})

    return make


@pytest.fixture(scope="module")
def tracking_server(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[TrackingServer]":
    """A real MLflow server behind a proxy that lets requests fail."""
    from vaeforge.chaos.tracking_server import TrackingServer

    started = TrackingServer(tmp_path_factory.mktemp("server"))
    started.start()
    yield started
    started.close()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A Ray cluster that outlives single searches, as a group's own would; what callers need to reach it.

    Each pytest worker has its own. A search on it neither waits for Ray to start nor for Ray to end.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    access = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16), "RAY_USAGE_STATS_ENABLED": "0"}
    ray = str(Path(sys.executable).parent / "ray")
    # a folder of its own: the address file in Ray's common one would outlive the cluster and mislead others
    scratch = Path(tempfile.mkdtemp(prefix="ray-"))
    start = [ray, "start", "--head", "--block", f"--port={port}", "--num-cpus=2", "--include-dashboard=false"]
    start += ["--object-store-memory=200000000", f"--temp-dir={scratch}"]
    output = tmp_path_factory.mktemp("ray") / "log"
    environment = {**os.environ, **access, "PYTHONPATH": CODE_PATH, "RAY_worker_niceness": "0"}
    with output.open("w") as log:
        head = subprocess.Popen(start, env=environment, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + 60
    while "Ray runtime started" not in output.read_text():
        assert head.poll() is None and time.monotonic() < deadline, output.read_text()
        time.sleep(0.2)
    yield {"RAY_ADDRESS": f"127.0.0.1:{port}", **access}
    processes = [psutil.Process(head.pid), *psutil.Process(head.pid).children(recursive=True)]
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes[1:], timeout=30)
    head.wait(30)
    shutil.rmtree(scratch, ignore_errors=True)
