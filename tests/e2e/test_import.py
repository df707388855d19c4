"""An import into a real DVC repository, and one that is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from project import ROOT
from vaeforge.config.layouts import layout_named
from vaeforge.config.strict_yaml import read_yaml
from vaeforge.data.layouts.pictures.class_folders import find_pictures
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.step import run_import
from vaeforge.paths import Project, read_json


def call(root: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A repository whose data.dvc tracks one data set of another family."""
    root = tmp_path / "project"
    (root / "data/fmri/rest").mkdir(parents=True)
    np.savez(root / "data/fmri/rest/timeseries.npz", one=np.arange(6.0).reshape(2, 3))
    call(root, "git", "init", "--quiet")
    for arguments in (("init", "-q"), ("config", "core.analytics", "false"), ("add", "-q", "data")):
        call(root, sys.executable, "-m", "dvc", *arguments)
    return Project(root)


def pictures(folder: Path, first: int = 0, count: int = 4) -> Path:
    for label, shift in (("normal", 0), ("polyps", 100)):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + count):
            Image.new("RGB", (8, 8), (number, shift, 0)).save(folder / label / f"{number}.png")
    return folder


def tracked(project: Project) -> list[str]:
    """The files that data.dvc stands for, as DVC's cache lists them."""
    known = str(read_yaml(project.root / "data.dvc")["outs"][0]["md5"])
    listing: list[dict[str, Any]] = read_json(project.root / ".dvc/cache/files/md5" / known[:2] / known[2:], "")
    return [entry["relpath"] for entry in listing]


def test_dvc_tracks_the_data_set_beside_others_even_unpulled(project: Project, tmp_path: Path) -> None:
    source = pictures(tmp_path / "given")
    # not pulled here: it must stay in data.dvc
    (project.root / "data/fmri/rest/timeseries.npz").unlink()
    (project.root / "data/fmri/rest").rmdir()
    (project.root / "data/fmri").rmdir()
    result = run_import(source, "endoscopy", "pictures", project, ImportOptions())
    assert result.tracked, result.tracking
    found = tracked(project)
    assert {"endoscopy/given/normal/0.png", "endoscopy/given/.import/import.json", "fmri/rest/timeseries.npz"} <= set(
        found
    )
    (source / "polyps/3.png").unlink()
    again = run_import(source, "endoscopy", "pictures", project, ImportOptions(replace=True))
    assert again.tracked, again.tracking
    assert set(found) - set(tracked(project)) == {"endoscopy/given/polyps/3.png"}
    call(project.root, sys.executable, "-m", "dvc", "checkout", "-q")
    assert (project.root / "data/fmri/rest/timeseries.npz").is_file()
    assert len(find_pictures(result.folder, skip=set())["polyps"]) == 3


IMPORT = """
import sys
from pathlib import Path
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.step import run_import
from vaeforge.paths import Project
run_import(Path(sys.argv[1]), "endoscopy", "pictures", Project(sys.argv[2]), ImportOptions(replace=True, track=False))
"""


def test_a_kill_in_the_middle_leaves_the_old_data_set(project: Project, tmp_path: Path) -> None:
    options = ImportOptions(track=False)
    before = run_import(pictures(tmp_path / "given"), "endoscopy", "pictures", project, options)
    source = pictures(tmp_path / "given", count=120)
    paths = os.pathsep.join(str(ROOT / part) for part in ("platform", "models"))
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORT, str(source), str(project.root)], env={**os.environ, "PYTHONPATH": paths}
    )
    filling = before.folder.parent / ".given.importing"
    deadline = time.monotonic() + 120
    while not list(filling.glob("*/*.png")):
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert filling.is_dir()
    assert len(find_pictures(before.folder, skip=set())["normal"]) == 4
    # hidden, so readers of the family's folder see the old data set alone
    assert sum(map(len, find_pictures(before.folder.parent, skip=set()).values())) == 8
    after = run_import(source, "endoscopy", "pictures", project, ImportOptions(replace=True, track=False))
    assert after.counts["images"] == 240
    assert [path.name for path in after.folder.parent.iterdir()] == ["given"]


def grey(folder: Path, count: int, side: int, names: str) -> Path:
    rng = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        Image.fromarray(rng.integers(0, 256, (side, 4 * side), dtype=np.uint8)).save(folder / names.format(number))
    return folder


def labelled(folder: Path) -> Path:
    source = grey(folder, 5, 16, "round_{}.png")
    for number in range(5):
        Image.new("L", (16, 16), 40 * number).save(source / f"flat_{number}.png")
    return source


def matrix(folder: Path) -> Path:
    folder.mkdir()
    np.savez(folder / "all.npz", one=np.random.default_rng(0).normal(size=(300, 6)))
    return folder / "all.npz"


def cloud(folder: Path) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    np.savez(folder / "all.npz", coordinates=rng.normal(size=(400, 3)), values=rng.normal(size=(400, 2)))
    return folder / "all.npz"


@pytest.mark.parametrize(
    ("kind", "make", "settings", "items"),
    [
        ("pictures", pictures, {"size": 16, "margin": 0}, None),
        ("classes", labelled, {"size": 16}, 10),
        ("frames", lambda folder: grey(folder, 3, 128, "{}.png"), {"size": 16, "stride": 16}, None),
        ("series", matrix, {}, None),
        ("points", cloud, {}, 400),
    ],
)
def test_what_is_imported_is_read_by_the_kinds_own_reader(
    tmp_path: Path, kind: str, make: Callable[[Path], Path], settings: dict[str, Any], items: int | None
) -> None:
    project = Project(tmp_path / "project")
    source = make(tmp_path / "given")
    run_import(source, "own", kind, project, ImportOptions())
    layout = layout_named(kind)
    data = layout.read(project.data("own"), layout.settings(**settings))
    sizes = [len(part) for part in (data.train, data.validation, data.test)]
    assert min(sizes) > 0
    assert items is None or sum(sizes) == items
    assert not data.quarantined
