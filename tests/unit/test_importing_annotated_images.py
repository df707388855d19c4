"""Annotated images on the command line: imported as they are; without anomalous pixels, as normal ones alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from project import PARAMS, command_line

pytestmark = pytest.mark.usefixtures("undrawn")

SIZE = ("--set", "prepare.size=32", "--set", "prepare.margin=16", "--set", "prepare.stride=16")
WIDTH, HEIGHT = 640, 160


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text(PARAMS)
    return tmp_path


def annotated(folder: Path, lower: int, upper: int = 1) -> Path:
    """An image whose labels are `upper` above and `lower` below."""
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "image.png")
    labels = np.full((HEIGHT, WIDTH), upper, dtype=np.uint8)
    labels[HEIGHT // 2 :] = lower
    Image.fromarray(labels).save(folder / "labels.png")
    return folder


def take(root: Path, *options: str, command: str = "import", code: int = 0) -> str:
    called = command_line(root, command, "set", "--family", "endoscopy", *options)
    assert called.code == code, called.stdout + called.stderr
    assert code == 0 or not list((root / "data").glob("*/*/*"))
    return " ".join((called.stdout + called.stderr).split())


def prepared(root: Path) -> tuple[str, dict[str, Any]]:
    called = command_line(root, "prepare", *SIZE)
    assert called.code == 0, called.stdout + called.stderr
    folder = root / "artifacts/prepared/endoscopy"
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return " ".join(called.stdout.split()), found | {path.stem: np.load(path) for path in folder.glob("*.npy")}


@pytest.mark.parametrize("place", ["set", "set/skin"])
def test_an_annotated_image_is_imported_as_it_is(root: Path, place: str) -> None:
    source = annotated(root / place, lower=2)
    said = take(root)
    assert "50.0% of the pixels normal, 50.0% anomalous" in said and "1 images" in said
    assert "resized" not in said  # samples are cut out of it
    copied = root / "data/endoscopy" / ("set/annotated" if place == "set" else place)
    for name in ("image.png", "labels.png"):
        assert (copied / name).read_bytes() == (source / name).read_bytes()
    counts = prepared(root)[1]["counts"]
    assert counts["test_anomalous"] == counts["test_normal"] > 0


@pytest.mark.parametrize("lower", [0, 1], ids=["half without labels", "all labelled"])
def test_an_image_without_anomalous_pixels_is_asked_about_and_is_normal_alone(root: Path, lower: int) -> None:
    annotated(root / "set/skin", lower)
    for command in ("inspect", "import"):
        said = take(root, command=command, code=2)
        assert "labels.png marks no pixel as anomalous (2)" in said and "give `--normal all` if nothing is" in said
        assert f"{100 - 50 * (lower == 0):.1f}% are 1, which is normal" in said
    said = take(root, "--normal", "all")
    assert "none anomalous; without anomalous samples in the test there is no AUROC" in said
    summary, found = prepared(root)
    assert "test, all normal (without anomalous samples" in summary
    counts = found["counts"]
    assert counts["test_normal"] > 0 == counts["test_anomalous"] and "test_masks" not in counts
    assert (found["test_labels"] == 0).all() and len(found["test"]) == counts["test_normal"]


def test_files_put_there_by_hand_are_prepared_likewise(root: Path) -> None:
    annotated(root / "data/endoscopy/skin", lower=1)
    assert prepared(root)[1]["counts"]["test_anomalous"] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("others", "beside 1 other picture(s); import one of these alone: normal/1.png"),
        ("size", "skin/labels.png is 320 x 160 pixels, must be 640 x 160, as its image"),
        ("values", "must be 8-bit grey: 0 unlabelled, 1 normal, 2 anomalous"),
    ],
)
def test_what_does_not_fit_is_refused(root: Path, change: str, message: str) -> None:
    folder = annotated(root / "set/skin", lower=2)
    if change == "others":
        (root / "set/normal").mkdir()
        Image.new("RGB", (40, 40), (9, 8, 7)).save(root / "set/normal/1.png")
    elif change == "size":
        Image.fromarray(np.ones((HEIGHT, WIDTH // 2), dtype=np.uint8)).save(folder / "labels.png")
    else:
        Image.fromarray(np.full((HEIGHT, WIDTH), 255, dtype=np.uint8)).save(folder / "labels.png")
    assert message in take(root, code=2)


def test_masks_of_three_kinds_of_pixels_are_asked_about(root: Path) -> None:
    """0, 1 and 2 lie near to one another; taken for two levels, 1 would count as normal."""
    for number in range(12):
        for label in ("normal", "lesion"):
            path = root / f"set/{label}/{label}{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number + (label == "normal")).integers(0, 256, (6, 6, 3)).astype(np.uint8)
            Image.fromarray(pixels).resize((40, 40), Image.Resampling.BICUBIC).save(path)
        mask = np.zeros((40, 40), dtype=np.uint8)
        mask[10:20, 10 : 11 + number], mask[20:30, 20:30] = 1, 2
        path = root / f"set/masks/lesion{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path)
    assert "12 pictures are named like masks of others and have more than two levels" in take(root, code=2)
