"""New project folders on the command line: what is in them, what is refused, and that steps work there at once."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from project import ROOT, command_line, write_images
from vaeforge_models.families import families

FILES = {"params.yaml", "dvc.yaml", "MLproject", ".gitignore", "tune_spaces", "data.dvc", "data", ".dvc", ".git"}


def made(root: Path, *options: str) -> Path:
    done = command_line(root, "init", "lab", *options)
    assert done.code == 0, done.stderr
    return root / "lab"


@pytest.mark.slow
def test_own_pictures_are_imported_tracked_and_prepared_in_it(tmp_path: Path, undrawn: None) -> None:
    lab = made(tmp_path, "--family", "endoscopy")
    assert {path.name for path in lab.iterdir()} >= FILES
    write_images(tmp_path / "mine/normal", 40, 0, 160)
    write_images(tmp_path / "mine/odd", 12, 1, 250)
    done = command_line(lab, "import", "../mine", "--yes")
    assert done.code == 0, done.stderr
    assert "added to data.dvc" in done.stdout + done.stderr
    done = command_line(lab, "prepare")
    assert done.code == 0, done.stderr
    assert (lab / "artifacts/prepared/endoscopy/train.npy").is_file()
    listed = subprocess.run(["git", "status", "--short", "-uall"], cwd=lab, capture_output=True, text=True, check=True)
    assert not [line for line in listed.stdout.splitlines() if "data/" in line or "artifacts" in line], listed.stdout
    steps = subprocess.run([sys.executable, "-m", "dvc", "stage", "list"], cwd=lab, capture_output=True, text=True)
    assert steps.returncode == 0 and "register" in steps.stdout, steps.stderr


@pytest.mark.slow
def test_its_files_name_no_code_of_a_clone(tmp_path: Path) -> None:
    lab = made(tmp_path, "--family", "fmri")
    for name in ("dvc.yaml", "MLproject"):
        text = (lab / name).read_text()
        assert "platform" not in text and "models/" not in text and "python_env" not in text
    stages, here = yaml.safe_load((lab / "dvc.yaml").read_text()), yaml.safe_load((ROOT / "dvc.yaml").read_text())
    assert list(stages["stages"]) == list(here["stages"])
    door = yaml.safe_load((lab / "MLproject").read_text())["entry_points"]
    assert door["tune"]["parameters"]["family"]["default"] == "fmri"
    assert door["tune"]["command"].startswith("exec python -m vaeforge tune --family")
    params = yaml.safe_load((lab / "params.yaml").read_text())
    assert params["family"] == "fmri" and set(families()) <= set(params)
    for name in families():
        assert (lab / f"tune_spaces/{name}.yaml").read_bytes() == (ROOT / f"tune_spaces/{name}.yaml").read_bytes()


@pytest.mark.long
def test_a_repository_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/README.md").write_text("ours")
    (tmp_path / "lab/.gitignore").write_text("*.swp\n/data")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path / "lab", check=True)
    lab = made(tmp_path)
    ignored = (lab / ".gitignore").read_text().splitlines()
    assert ignored[:2] == ["*.swp", "/data"] and ignored.count("/data") == 1 and "/artifacts/" in ignored
    made(lab)  # within a repository
    assert not (lab / "lab/.git").exists() and (lab / "lab/.dvc").is_dir()


@pytest.mark.slow
def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    lab = made(tmp_path)
    (lab / "params.yaml").write_text("mine")
    again = command_line(tmp_path, "init", "lab")
    assert again.code == 2 and "has params.yaml, dvc.yaml" in again.stderr and "another folder" in again.stderr
    assert (lab / "params.yaml").read_text() == "mine"
    (tmp_path / "full/data").mkdir(parents=True)
    (tmp_path / "full/data/picture.png").touch()
    full = command_line(tmp_path, "init", "full")
    assert full.code == 2 and "data/ with files in it" in full.stderr
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["data"]
    (tmp_path / "file").touch()
    assert "is a file" in command_line(tmp_path, "init", "file").stderr
    nearest = command_line(tmp_path, "init", "other", "--family", "fmir")
    assert nearest.code == 2 and "fmri" in nearest.stderr and not (tmp_path / "other").exists()
