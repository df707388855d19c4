"""The wheel, installed outside of any clone: from own pictures to a champion, in a folder that `vaeforge init` made."""

import json
import os
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest

from project import ROOT, write_images

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
SOURCES = ("platform", "models", "tune_spaces")
FILES = ("pyproject.toml", "setup.py", "MLproject", "dvc.yaml", "LICENSE")
SMALL = (
    "model.width=4 model.latent_dim=8 training.batch_size=16 training.steps_per_epoch=4 training.evaluation_samples=2 "
    "gates.min_active_units=0 gates.calibration=1.0 prepare.size=32 prepare.margin=4"
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts' folder of an environment with the wheel; what it asks for is that of this environment."""
    home = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        shutil.copytree(ROOT / name, home / "src" / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in FILES:
        shutil.copy(ROOT / name, home / "src")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", ".", "./src"]
    subprocess.run(build, cwd=home, check=True, timeout=300)
    shutil.rmtree(home / "src")
    (wheel,) = home.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home / "env")], check=True, timeout=120)
    (packages,) = (home / "env").glob("lib/python*/site-packages")
    # one folder's .pth files are not read from another: an editable vaeforge stays out
    (packages / "others.pth").write_text("\n".join(site.getsitepackages()))
    install = [sys.executable, "-m", "pip", "--python", str(home / "env"), "install", "--quiet", "--no-deps"]
    subprocess.run([*install, "--no-index", str(wheel)], check=True, timeout=300)
    return home / "env/bin"


def call(scripts: Path, folder: Path, *command: str, seconds: float = 400) -> str:
    given = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MLFLOW_", "RAY_"))}
    given |= {"PATH": f"{scripts}:{given['PATH']}", "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_from_an_empty_folder_to_a_champion_and_a_score(installed: Path, tmp_path: Path) -> None:
    where = call(installed, tmp_path, "python", "-c", "import vaeforge, vaeforge_models; print(vaeforge.__file__)")
    assert where.startswith(str(installed.parent))
    call(installed, tmp_path, "vaeforge", "init", "lab")
    lab = tmp_path / "lab"
    call(installed, lab, "git", "config", "user.name", "Us")
    call(installed, lab, "git", "config", "user.email", "us@example.org")
    write_images(tmp_path / "mine/normal", 200, 0, 160)
    write_images(tmp_path / "mine/odd", 30, 1, 250)
    call(installed, lab, "vaeforge", "import", "../mine", "--yes")
    call(installed, lab, "git", "add", "-A")
    call(installed, lab, "git", "commit", "-qm", "Our pictures")
    call(installed, lab, "vaeforge", "prepare", "--set", SMALL)
    said = call(
        installed, lab, "mlflow", "run", ".", "-e", "tune", "--env-manager", "local",
        "-P", "trials=2", "-P", "epochs=2", "-P", f"set={SMALL}", "-P", "name=first",
    )  # fmt: skip
    assert "version 1 as champion" in said
    evaluation = json.loads((lab / "artifacts/searches/first/evaluate/manifest.json").read_text())
    assert evaluation["metrics"]
    call(installed, lab, "vaeforge", "score", "models:/vaeforge-endoscopy-mine@champion", "../mine/odd")
    assert (lab / "artifacts/score").is_dir()
