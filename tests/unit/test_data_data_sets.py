"""Which data set of a family is used, how the sample is told from one's own, and that it never stands in for them."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from project import ROOT, command_line
from vaeforge.data.data_sets import DataSetName, data_sets_in, in_use, is_sample, used_data
from vaeforge.errors import DataError
from vaeforge.manifests.lineage import registered_model
from vaeforge.paths import Project

SAMPLES = {"endoscopy": "skin", "lipid": "cortex", "speckle": "planar", "fmri": "resting", "cilia": "digits"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose only family is endoscopy, with its sample."""
    shutil.copytree(ROOT / "data/endoscopy", tmp_path / "project/data/endoscopy")
    return Project(tmp_path / "project")


def pictures(folder: Path, normal: str = "normal") -> Path:
    """Six pictures of two classes, all different."""
    for number, name in enumerate([normal] * 3 + ["polyp"] * 3):
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (number, 100, 0)).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.parametrize("family", sorted(SAMPLES))
def test_the_samples_are_known_by_their_files(family: str) -> None:
    assert data_sets_in(ROOT / "data" / family) == [DataSetName(SAMPLES[family], sample=True)]


def test_a_sample_that_was_changed_is_data_of_ones_own(project: Project) -> None:
    folder = project.data("endoscopy") / "skin"
    assert is_sample(folder)
    (folder / "LICENSE").write_text("mine")
    assert not is_sample(folder)


def test_the_sample_goes_when_ones_own_arrive(project: Project, tmp_path: Path) -> None:
    done = command_line(project.root, "import", str(pictures(tmp_path / "kvasir")), "--family", "endoscopy")
    assert done.code == 0, done.stderr
    assert "the sample skin was removed" in " ".join(done.stdout.split())
    assert [path.name for path in project.data("endoscopy").iterdir()] == ["kvasir"]
    shown = {path.name for path in (project.artifacts / "import/endoscopy/kvasir").iterdir()}
    assert shown >= {"sizes.png", "class_counts.png", "statistics.csv", "summary.csv", "quarantine.csv"}
    assert used_data(project, "endoscopy").name == DataSetName("kvasir")


@pytest.mark.slow
def test_one_of_several_is_used_and_the_command_line_chooses(project: Project, tmp_path: Path) -> None:
    for name in ("first", "second"):
        command_line(project.root, "import", str(pictures(tmp_path / name)), "--family", "endoscopy")
    listed = command_line(project.root, "data", "list", "--json")
    rows = [json.loads(line) for line in listed.stdout.splitlines()]
    assert [(row["name"], row["kind"], row["source"], row["used"]) for row in rows] == [
        ("first", "own", "first", False),
        ("second", "own", "second", True),
    ]
    assert command_line(project.root, "data", "use", "first", "--family", "endoscopy").code == 0
    used = used_data(project, "endoscopy")
    assert used.folder == project.data("endoscopy") / "first" and used.beside == (DataSetName("second"),)
    assert {path.split("/")[0] for path, _ in used.listing()} == {"first"}
    assert command_line(project.root, "data", "drop", "first", "--family", "endoscopy").code == 0
    assert in_use(project, "endoscopy") is None and used_data(project, "endoscopy").name == DataSetName("second")
    unknown = command_line(project.root, "data", "drop", "secnd", "--family", "endoscopy")
    assert unknown.code == 2 and "did you mean 'second'" in " ".join(unknown.stderr.split())


def test_files_put_there_by_hand_beside_a_data_set_are_refused(project: Project) -> None:
    pictures(project.data("endoscopy"))
    with pytest.raises(DataError, match=r"skin \(the sample\) beside files .* `vaeforge data drop skin"):
        used_data(project, "endoscopy")
    done = command_line(project.root, "data", "drop", "sample", "--family", "endoscopy")
    assert done.code == 0, done.stderr
    assert used_data(project, "endoscopy").name is None


def test_after_a_refused_import_nobody_takes_the_sample(project: Project, tmp_path: Path) -> None:
    shutil.rmtree(project.data("endoscopy") / "skin")
    source = pictures(tmp_path / "mine", normal="control")
    assert command_line(project.root, "import", str(source), "--family", "endoscopy").code == 2
    shutil.rmtree(project.data("endoscopy"))  # what the user emptied, the folder included
    (project.root / ".dvc").mkdir()
    (project.root / "data.dvc").write_text("outs: [{path: data, md5: 0.dir}]\n")
    stopped = command_line(project.root, "prepare", "--family", "endoscopy")
    assert stopped.code == 2
    said = " ".join(stopped.stderr.split())
    assert f"the last import into it ({source}) was refused" in said and "`vaeforge data use sample" in said
    assert not project.data("endoscopy").exists()


def test_an_emptied_folder_is_not_filled_with_the_sample(project: Project) -> None:
    shutil.rmtree(project.data("endoscopy") / "skin")
    stopped = command_line(project.root, "prepare", "--family", "endoscopy")
    assert stopped.code == 2 and "is empty; put your data there" in " ".join(stopped.stderr.split())


def test_lines_of_models_are_told_apart_by_their_data_sets() -> None:
    assert registered_model("endoscopy", None) == "vaeforge-endoscopy"
    assert registered_model("endoscopy", DataSetName("skin", sample=True)) == "vaeforge-endoscopy"
    assert registered_model("endoscopy", DataSetName("skin")) == "vaeforge-endoscopy-skin"
    spaced, hyphened = (registered_model("lipid", DataSetName(name)) for name in ("my brain", "my-brain"))
    assert hyphened == "vaeforge-lipid-my-brain" and spaced.startswith("vaeforge-lipid-my-brain-")
    assert registered_model("lipid", DataSetName("脳")).startswith("vaeforge-lipid-")
