"""A folder of normal pictures alone: asked about where nothing says so, imported, inspected and prepared.

Counts are worked out by hand from the shares, 0.3 to test and 0.2 to validate.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from project import PARAMS, command_line, write_images

pytestmark = pytest.mark.usefixtures("undrawn")

MISSING = "without anomalous samples in the test there is no AUROC, AUPRC, pixel AUROC, precision or recall"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text(PARAMS)
    return tmp_path


def said(root: Path, command: str, *options: str, code: int = 0) -> str:
    """What a command says of the folder `set`, as one line; nothing is written where it asks."""
    called = command_line(root, command, "set", *options)
    assert called.code == code, called.stdout + called.stderr
    assert code == 0 or not list((root / "data").glob("*/*/*"))
    return " ".join((called.stdout + called.stderr).split())


def written(root: Path) -> list[str]:
    found = root / "data/endoscopy/set"
    return sorted(path.relative_to(found).as_posix() for path in found.rglob("*.png") if ".import" not in path.parts)


def numbered(folder: Path, pattern: str, count: int = 20, first: int = 0) -> None:
    """Pictures of one colour each, named by the pattern."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        Image.new("RGB", (40, 30), (number, 2 * number, 3 * number)).save(folder / pattern.format(number))


def prepared(root: Path) -> tuple[str, Any]:
    called = command_line(root, "prepare")
    assert called.code == 0, called.stderr
    manifest = json.loads((root / "artifacts/prepared/endoscopy/manifest.json").read_text())
    return " ".join(called.stdout.split()), manifest


def test_a_folder_called_normal_is_imported_inspected_and_prepared(root: Path) -> None:
    """Of 60 pictures 18 test, 12 validate, 30 train."""
    write_images(root / "set/normal", 60, 0, 200)
    looked, told = said(root, "inspect"), said(root, "import")
    assert "would be divided: 30 train, 12 validation, 18 test_normal, 0 test_anomalous" in looked
    for text in (looked, told):
        assert text.count(f"note: normal: normal (60); anomalous: none; {MISSING}") == text.count(MISSING) == 1
    summary, manifest = prepared(root)
    assert f"30 train, 12 validation, 18 test, all normal ({MISSING}); no file skipped" in summary
    assert (manifest["counts"]["test_normal"], manifest["counts"]["test_anomalous"]) == (18, 0)
    assert np.load(root / "artifacts/prepared/endoscopy/test_labels.npy").tolist() == [0] * 18


def test_files_that_were_put_there_by_hand_are_prepared_likewise(root: Path) -> None:
    numbered(root / "data/endoscopy/normal-cecum", "{}.png")
    numbered(root / "data/endoscopy/normal-pylorus", "{}.png", first=30)
    assert prepared(root)[1]["counts"]["test_normal"] == 12  # round(0.3 * 40)


def test_a_name_that_resembles_normal_is_asked_about_and_answered(root: Path) -> None:
    numbered(root / "set/good", "{}.png")
    assert "are the pictures of good (20) normal?" in said(root, "import", code=2)
    assert "normal: normal-good (20); anomalous: none" in said(root, "import", "--normal", "good")


@pytest.mark.parametrize(
    ("pattern", "kept", "asked"),
    [
        ("{:03}.png", "normal/007.png", "(20 whose names tell no class: 000.png; 001.png; "),
        ("frame_{:03}.png", "normal/frame_007.png", "(classes frame (20))"),
        ("{:03}_1.png", "normal/007_1.png", "(classes 000 (1), 001 (1), "),
    ],
)
def test_a_folder_without_classes_is_asked_about_once(root: Path, pattern: str, kept: str, asked: str) -> None:
    numbered(root / "set", pattern)
    for command in ("inspect", "import"):
        question = said(root, command, code=2)
        assert f"are all 20 pictures normal {asked}" in question and "give `--normal all` if they are" in question
    assert "are all 20 pictures normal" in said(root, "import", "--yes", "true", code=2)  # no guess would do
    assert f"note: normal: normal (20); anomalous: none; {MISSING}" in said(root, "import", "--normal", "all")
    assert kept in written(root) and len(written(root)) == 20


def test_classes_of_which_none_is_called_normal_are_asked_about(root: Path) -> None:
    for first, name in enumerate(("cecum", "pylorus")):
        numbered(root / "set" / name, "{}.png", first=30 * first)
    asked = said(root, "import", code=2)
    assert "are all 40 pictures normal (classes cecum (20), pylorus (20))?" in asked
    assert "give `--normal all` if they are, `--normal CLASS,…` if those of some classes are" in asked
    assert "anomalous: pylorus (20)" in said(root, "inspect", "--normal", "cecum")
    people = said(root, "import", "--normal", "all", code=2)
    assert "are the folders cecum (20), pylorus (20) people, slides or films?" in people
    assert "anomalous: none" in said(root, "import", "--normal", "all", "--groups", "none")
    assert written(root)[0] == "normal/cecum_0.png" and written(root)[-1] == "normal/pylorus_49.png"


def test_folders_of_people_stay_in_one_part(root: Path) -> None:
    """Ten people of two runs with a picture each, called alike, all normal."""
    for person in range(10):
        for run in range(2):
            numbered(root / f"set/p{person}/run{run}", "a.png", count=1, first=2 * person + run)
    asked = said(root, "import", "--normal", "all", code=2)
    assert "are the folders p0 (2), p1 (2)" in asked and "give `--groups '^([^/]+)/'` if they are" in asked
    said(root, "import", "--normal", "all", "--groups", "^([^/]+)/")
    prepared(root)
    folder = root / "artifacts/prepared/endoscopy"
    parts = [
        set((np.load(folder / f"{part}.npy")[:, 0, 0, 0] // 2).tolist()) for part in ("train", "validation", "test")
    ]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 10


def test_pictures_that_are_left_out_beside_normal_ones_are_asked_about(root: Path) -> None:
    """`abnormal7.png` has no class by its name; without a word it would only have been left out."""
    numbered(root / "set", "normal_{}.png")
    numbered(root / "set", "abnormal{}.png", count=1, first=50)
    asked = said(root, "import", code=2)
    assert "the pictures of normal (20) are normal, and 1 are left out: abnormal50.png has no name of the form" in asked
    assert "assumed, as --yes was given: no picture is anomalous" in said(root, "import", "--yes", "true")


def test_all_means_every_class_and_none_of_its_name(root: Path) -> None:
    numbered(root / "set/all", "{}.png")
    numbered(root / "set/polyps", "{}.png", first=30)
    assert "--normal: got all, which means every class, but one is called all" in said(
        root, "import", "--normal", "all", code=2
    )


def test_masks_of_normal_pictures_are_left_out(root: Path) -> None:
    write_images(root / "set/normal", 20, 0, 200)
    (root / "set/masks/normal").mkdir(parents=True)
    marked = np.zeros((60, 60), dtype=np.uint8)
    marked[10:20, 10:20] = 255
    Image.fromarray(marked).save(root / "set/masks/normal/003.png")
    assert "1 quarantined" in said(root, "import")
    assert len(written(root)) == 20 and "masks/normal/003.png" not in written(root)
    assert "test_masks" not in prepared(root)[1]["counts"]
