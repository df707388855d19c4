"""`vaeforge score` as a user calls it: processes, a kill, exit codes, a registry, and no torch."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import serving
from project import Called, command_line
from scoring import CLASSES, scores_of, torch_scores, untrained, write_bundle
from stores import new_database
from vaeforge.package.bundle import Bundle
from vaeforge.paths import read_json
from vaeforge.track.store import open_store
from vaeforge_models.vae import VAE

ROOT = Path(__file__).parents[2]
WATCHED = """
import sys
from vaeforge.cli.app import main
sys.argv = ["vaeforge", *sys.argv[1:]]
code = 0
try:
    main()
except SystemExit as end:
    code = end.code or 0
assert "torch" not in sys.modules, "torch was imported"
sys.exit(code)
"""
COUNT = 3000


@pytest.fixture(scope="module")
def model() -> VAE:
    return untrained("endoscopy")


@pytest.fixture(scope="module")
def bundle(model: VAE, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("endoscopy"), "endoscopy", model, threshold=0.09)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of 3000 images."""
    path = tmp_path_factory.mktemp("many") / "images.npz"
    x = np.random.default_rng(0).integers(0, 256, (COUNT, 3, 32, 32), dtype=np.uint8)
    np.savez(path, x=x)
    return path


def start(folder: Path, *arguments: Any) -> subprocess.Popen[str]:
    """`vaeforge score` in `folder`, watched for torch."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment = {**kept, "PYTHONPATH": f"{ROOT / 'platform'}:{ROOT / 'models'}"}
    command = [sys.executable, "-c", WATCHED, "score", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def call(folder: Path, *arguments: Any) -> Called:
    """`vaeforge score` in this process."""
    return command_line(folder, "score", *map(str, arguments))


def run(folder: Path, *arguments: Any) -> tuple[int, str]:
    """Exit code and output of `vaeforge score`."""
    process = start(folder, *arguments)
    output, _ = process.communicate(timeout=200)
    return process.returncode, output


def test_a_folder_is_scored_and_said_to_be_complete(bundle: Bundle, model: VAE, many: Path, tmp_path: Path) -> None:
    x = np.load(many)["x"][:40]
    np.save(tmp_path / "x.npy", x)
    code, output = run(tmp_path, bundle.folder, "x.npy", "--batch", "16", "--threads", "1", "--quiet", "true")
    folder = tmp_path / "artifacts" / "score"
    assert code == 0, output
    found = scores_of(folder)
    np.testing.assert_allclose(found["score"], torch_scores(model, x), rtol=1e-4)
    assert f"scored 40 items with {bundle.folder}: {found['is_anomaly'].sum()} of 40 flagged as anomalous" in output
    again = call(tmp_path, bundle.folder, "x.npy", "--batch", "16", "--threads", "1")
    assert again.code == 0 and "already complete" in again.stdout
    other = call(tmp_path, bundle.folder, "x.npy", "--batch", "17")
    assert other.code == 2 and "options.reading.batch was 16, is 17" in other.stderr


@pytest.mark.long
def test_killed_twice_and_gone_on_with(bundle: Bundle, many: Path, tmp_path: Path) -> None:
    wanted = (bundle.folder, many, "--batch", "1", "--threads", "1", "--error-maps", "true")
    parts = tmp_path / "out" / "parts"
    for number in (1, 2):
        process = start(tmp_path, *wanted, "--output", "out")
        deadline = time.monotonic() + 200
        while len(list(parts.glob("part-*"))) < number:
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (tmp_path / "out" / "manifest.json").exists()
    code, output = run(tmp_path, *wanted, "--output", "out")
    assert code == 0 and "going on after" in output, output
    code, output = run(tmp_path, *wanted, "--output", "whole")
    assert code == 0, output
    one, other = scores_of(tmp_path / "out"), scores_of(tmp_path / "whole")
    assert one["item"].tolist() == [str(number) for number in range(COUNT)]
    assert all((one[name] == other[name]).all() for name in other)
    assert len(list((tmp_path / "out" / "error_maps").iterdir())) == COUNT
    assert not (tmp_path / "out" / "parts").exists()
    counts = [read_json(tmp_path / name / "manifest.json", "")["counts"] for name in ("out", "whole")]
    assert counts[0] == counts[1]


def test_refusals_are_one_line_and_exit_code_2(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "1.png").write_bytes(b"no picture")
    for arguments, told in (
        ((tmp_path / "none", "bad"), "is neither a model URI (models:/NAME@ALIAS, models:/NAME/VERSION) nor a folder"),
        ((bundle.folder, "none"), "input: none is not there"),
        ((bundle.folder, "bad", "--batch", "0"), "--batch: got 0, must be >= 1"),
        ((bundle.folder, "bad", "--format", "xls"), "--format: got 'xls', must be parquet or csv"),
        ((bundle.folder, "bad", "--graph", "int4"), "has no graph 'int4'"),
        ((bundle.folder, "bad", "--label", CLASSES[0]), "--label: got 'round'"),
        ((bundle.folder, "bad"), "none of 1 item(s) of bad is usable"),
    ):
        found = call(tmp_path, *arguments)
        assert found.code == 2 and told in found.stderr, found
    assert '1.png,"cannot be read as PNG' in (tmp_path / "artifacts" / "score" / "quarantine.csv").read_text()


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
def test_a_version_is_fetched_and_scores(tmp_path: Path) -> None:
    folder = serving.write_bundle(tmp_path / "export")
    client = open_store(new_database(tmp_path))
    version = serving.register_bundle(client, folder, tmp_path)
    client.set_registered_model_alias(serving.NAME, "champion", version)
    x = np.random.default_rng(0).integers(0, 256, (50, *serving.SHAPE), dtype=np.uint8)
    np.save(tmp_path / "x.npy", x)
    code, output = run(tmp_path, f"models:/{serving.NAME}@champion", "x.npy", "--output", "out", "--latents", "true")
    assert code == 0 and f"scored 50 items with {serving.NAME} version {version}" in output, output
    found = scores_of(tmp_path / "out")
    np.testing.assert_allclose(found["score"], x.reshape(50, -1).mean(1), rtol=1e-5)
    np.testing.assert_allclose(found["mu_1"], x[:, 1].reshape(50, -1).mean(1), rtol=1e-5)
    assert read_json(tmp_path / "out" / "manifest.json", "")["model"]["version"] == version
