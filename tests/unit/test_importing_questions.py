"""Questions of an import on the command line: one round, whatever stops a reading, and one round of answers."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from project import Called, command_line

pytestmark = pytest.mark.usefixtures("undrawn")


def textured(path: Path, seed: int) -> None:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC).save(path)


def take(root: Path, *options: str, family: str = "endoscopy", command: str = "import") -> Called:
    done = command_line(root, command, "set", "--family", family, *options)
    assert done.code == 0 or not list((root / "data").glob("*/*/*"))
    return done


def asked(done: Called) -> list[str]:
    """The questions of a call that has ended with 2."""
    assert done.code == 2, done.stdout + done.stderr
    text = " ".join((done.stdout + done.stderr).replace("error: ", "").split())
    return text.split("nothing was written")[0].split("question: ")[1:]


def test_folders_of_parts_without_classes_are_asked_about_once(tmp_path: Path) -> None:
    for number in range(30):
        textured(tmp_path / f"set/{'train' if number < 20 else 'test'}/{number:03}.png", number)
    for command in ("import", "inspect"):
        normal, parts = asked(take(tmp_path, command=command))
        assert "`--normal all` if they are" in normal and "--yes true does not answer it" in normal
        assert "--split folders if so" in parts and "--yes true: all pictures are divided anew" in parts
    (alone,) = asked(take(tmp_path, "--yes", "true"))  # it has answered the other one
    assert "--normal all" in alone
    done = take(tmp_path, "--normal", "all", "--split", "folders")
    assert done.code == 0, done.stderr


def test_classes_pages_and_range_are_asked_about_once(tmp_path: Path) -> None:
    """Stacks of floating point in the classes good and scratch, three runs of each."""
    for label in ("good", "scratch"):
        for number in range(6):
            path = tmp_path / f"set/{label}/{label}{number // 2}_run-{number % 2}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            values = np.random.default_rng((number, len(label))).random((3, 40, 40)).astype(np.float32)
            tifffile.imwrite(path, values, photometric="minisblack", metadata={"axes": "ZYX"})
    normal, pages, white, runs = asked(take(tmp_path))
    assert "`--normal good` if they are" in normal and "say what they are: --pages frames" in pages
    assert "say what is black and white" in white and "--groups none" in runs
    answers = ("--normal", "good", "--pages", "max", "--white", "1", "--yes", "true")
    done = take(tmp_path, *answers)
    assert done.code == 0, done.stderr


def test_people_as_folders_of_classes_are_asked_about_with_what_else_is_open(tmp_path: Path) -> None:
    for label in ("healthy", "polyp"):
        for person in range(4):
            for number in range(3):
                textured(tmp_path / f"set/{label}/p{person}/{number}.png", 100 * person + 10 * number + len(label))
    levels, normal = asked(take(tmp_path))
    assert "--groups class/patient/image if so" in levels and "`--normal healthy` if they are" in normal
    done = take(tmp_path, "--groups", "class/patient/image", "--normal", "healthy")
    assert done.code == 0, done.stderr


def test_axes_and_people_of_series_are_asked_about_once(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for person in ("anna", "bert", "carl"):
        for run in (1, 2):
            values = np.random.default_rng(run).normal(size=(5, 30 + run + len(person) + ord(person[0])))
            np.savez(tmp_path / f"set/{person}_run-{run}.npz", values.astype(np.float32))
    axes, people = asked(take(tmp_path, family="fmri"))
    assert "--transposed true if rows are voxels" in axes and "--yes true does not answer it" in axes
    assert "--groups none" in people


def test_a_refusal_says_what_is_open_too(tmp_path: Path) -> None:
    """Pictures that are no copies but masks: their name is asked about, which mends the refusal."""
    mask = np.zeros((48, 48), dtype=np.uint8)
    mask[10:20, 10:20], mask[20:30, 20:30] = 1, 2
    for number in range(6):
        textured(tmp_path / f"set/normal/a{number}.png", number)
        textured(tmp_path / f"set/lesion/b{number}.png", 50 + number)
        (tmp_path / "set/masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(tmp_path / f"set/masks/b{number}.png")
    done = take(tmp_path)
    assert "pictures occur twice" in done.stderr
    assert "are named like masks of others" in asked(done)[0]
