"""Folders in folders, on the command line: what they mean is asked with the `--groups` that fits, which then works."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from project import command_line

pytestmark = pytest.mark.usefixtures("undrawn")


def write(root: Path, folders: list[str], each: int = 4) -> None:
    """Pictures of noise in each folder, called alike in all."""
    rng = np.random.default_rng(0)
    for folder in folders:
        (root / "set" / folder).mkdir(parents=True)
        for number in range(each):
            pixels = rng.integers(60, 200, (16, 16, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / f"set/{folder}/{number}.png")


def said(root: Path, code: int, *options: str, family: str = "endoscopy") -> str:
    called = command_line(root, "import", "set", "--family", family, "--track", "false", *options)
    assert called.code == code, called.stdout + called.stderr
    assert code == 0 or not list((root / "data").glob("*/*/*"))
    return " ".join((called.stdout + called.stderr).split())


def groups(root: Path, family: str = "endoscopy") -> set[str]:
    with (root / f"data/{family}/set/groups.csv").open() as file:
        return {row["group"] for row in csv.DictReader(file)}


CASES = [
    ("site/class/image", ["basel/normal", "basel/polyp", "bern/normal", "bern/polyp"], {"basel", "bern"}),
    ("class/patient/image", ["normal/anna", "normal/ben", "polyp/anna", "polyp/eva"], {"anna", "ben", "eva"}),
    ("class/patient/image", ["good/p1", "good/p2", "bad/p3"], {"p1", "p2", "p3"}),
    (
        "site/class/patient/image",
        ["basel/normal/a", "basel/polyp/b", "bern/normal/a", "bern/polyp/c"],
        {"basel/a", "basel/b", "bern/a", "bern/c"},
    ),
    ("site1/site2/class/image", ["x/1/normal", "x/1/polyp", "x/2/normal", "x/2/polyp"], {"x/1", "x/2"}),
]


@pytest.mark.parametrize(("fits", "folders", "expected"), CASES, ids=[f"{case[0]} {case[1][0]}" for case in CASES])
def test_the_value_that_fits_the_folders_is_named_and_works(
    tmp_path: Path, fits: str, folders: list[str], expected: set[str]
) -> None:
    write(tmp_path, folders)
    named = re.search(r"[Ss]ay --groups ([\w/]+)", said(tmp_path, 2))
    assert named and named[1] == fits
    given = ["--normal", "good"] if "good/p1" in folders else []
    said(tmp_path, 0, "--groups", named[1], *given)
    assert groups(tmp_path) == expected


def test_pictures_of_one_name_in_several_sites_are_told_apart_by_the_option(tmp_path: Path) -> None:
    write(tmp_path, ["basel/normal", "basel/polyp", "bern/normal", "bern/polyp"])
    text = said(tmp_path, 2, "--yes", "true")
    assert "or say --groups site/class/image, which names them by folders" in text


def test_grey_classes_in_numbered_folders_are_asked_about_with_both_answers(tmp_path: Path) -> None:
    write(tmp_path, ["short/p01", "short/p02", "long/p03", "long/p04"])
    text = said(tmp_path, 2, family="cilia")
    assert "say --groups class/patient/image if long, short are the classes, --groups site/class/image if p01" in text
    said(tmp_path, 0, "--groups", "class/patient/image", family="cilia")
    assert groups(tmp_path, "cilia") == {"p01", "p02", "p03", "p04"}


@pytest.mark.parametrize(
    "folders",
    [
        ["upper/normal-z-line", "upper/barretts", "lower/polyps", "lower/normal-cecum"],  # as HyperKvasir has them
        ["kvasir/normal-cecum", "kvasir/polyps"],
    ],
    ids=["each class in one folder", "one outer folder"],
)
def test_folders_that_classes_lie_in_once_are_no_question(tmp_path: Path, folders: list[str]) -> None:
    write(tmp_path, folders)
    assert "--groups" not in said(tmp_path, 0)


def test_none_says_that_the_innermost_folders_are_the_classes(tmp_path: Path) -> None:
    write(tmp_path, ["normal/anna", "normal/ben", "polyp/eva"])
    said(tmp_path, 0, "--groups", "none", "--normal", "anna,ben")
    assert {path.name for path in (tmp_path / "data/endoscopy/set").glob("*/")} >= {"normal-anna", "normal-ben", "eva"}
