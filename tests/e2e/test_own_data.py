"""README's commands for data of one's own in a clone with DVC, in both orders: the sample goes and stays away."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from project import ROOT, command_line
from vaeforge.paths import Project


def clone(root: Path) -> Path:
    """A bare clone's files that DVC needs; nothing of the data is there yet."""
    root.mkdir()
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    shutil.copytree(ROOT / ".dvc", root / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "config.local"))
    shutil.copy(ROOT / "data.dvc", root)
    (root / ".gitignore").write_text("/data\n/artifacts/\n")
    return root


def pictures(folder: Path) -> Path:
    """Twelve normal and five anomalous pictures of 32 x 32 pixels."""
    rng = np.random.default_rng(0)
    for name, count in (("normal", 12), ("polyps", 5)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / name / f"{number}.png")
    return folder


def listed(root: Path) -> dict[str, Any]:
    rows = map(json.loads, command_line(root, "data", "list", "--family", "endoscopy", "--json").stdout.splitlines())
    return {row["name"]: (row["kind"], row["tracked"], row["used"]) for row in rows}


def dvc(root: Path, *arguments: str) -> None:
    done = subprocess.run(["dvc", *arguments], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "order",
    ["import first", *(pytest.param(one, marks=pytest.mark.long) for one in ("sample removed first", "never pulled"))],
)
def test_the_sample_goes_by_itself_and_no_pull_brings_it_back(tmp_path: Path, order: str) -> None:
    root, source = clone(tmp_path / "clone"), pictures(tmp_path / "ours")
    if order != "never pulled":
        dvc(root, "pull", "--quiet", "data/endoscopy")
    if order == "sample removed first":
        shutil.rmtree(root / "data/endoscopy/skin")
    done = command_line(root, "import", str(source), "--family", "endoscopy")
    assert done.code == 0, done.stderr
    assert "the sample skin was removed" in " ".join(done.stdout.split())
    assert "and from data.dvc" in " ".join(done.stdout.split())
    dvc(root, "pull", "--quiet", "data.dvc")  # what `make tune` does first
    assert listed(root) == {"ours": ("own", True, True)}
    assert sorted(path.name for path in (root / "data").iterdir()) == ["cilia", "endoscopy", "fmri", "lipid", "speckle"]
    prepared = command_line(root, "prepare", "--family", "endoscopy", "--set", "prepare.size=32")
    assert prepared.code == 0, prepared.stderr
    manifest = json.loads((Project(root).prepared("endoscopy") / "manifest.json").read_text())
    assert manifest["data_set"] == {"name": "ours", "sample": False}
    assert manifest["data_hash"] is not None and manifest["counts"]["test_anomalous"] == 4


@pytest.mark.slow
def test_the_sample_comes_only_with_a_word_and_goes_when_it_is_dropped(tmp_path: Path) -> None:
    root = clone(tmp_path / "clone")
    prepared = command_line(root, "prepare", "--family", "endoscopy")
    assert prepared.code == 0, prepared.stderr
    assert "brought skin (the sample) from DVC" in " ".join(prepared.stdout.split())
    assert command_line(root, "data", "drop", "sample", "--family", "endoscopy").code == 0
    dvc(root, "pull", "--quiet", "data.dvc")
    assert listed(root) == {}
    stopped = command_line(root, "prepare", "--family", "endoscopy")
    assert stopped.code == 2 and "data.dvc lists none of it; give your data to `vaeforge import`" in " ".join(
        stopped.stderr.split()
    )
