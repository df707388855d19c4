"""Pictures whose rims tell their class, on the command line: transparent parts are asked about, borders warned of."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from project import command_line

pytestmark = pytest.mark.usefixtures("undrawn")

SIDE = 32


def pixels(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Colours between 60 and 200, neither black nor white."""
    return np.random.default_rng(seed).integers(60, 200, (SIDE, SIDE, 3)).astype(np.uint8)


def opacity() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Transparent in corners of 8 x 8 pixels: 4 · 64 of 1,024, a quarter."""
    alpha = np.full((SIDE, SIDE), 255, np.uint8)
    for corner in ((slice(8), slice(8)), (slice(8), slice(-8, None)), (slice(-8, None), slice(8))):
        alpha[corner] = 0
    alpha[-8:, -8:] = 0
    return alpha


def write(path: Path, seed: int, masked: bool, frame: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = pixels(seed)
    if frame:
        values[:frame] = values[-frame:] = values[:, :frame] = values[:, -frame:] = 4  # black, as JPEG leaves it
    stacked = np.dstack([values, opacity()]) if masked else values
    if path.suffix == ".tif":
        extra = {"extrasamples": ["unassalpha"]} if masked else {}
        tifffile.imwrite(path, stacked, photometric="rgb", **extra)
    else:
        Image.fromarray(stacked).save(path, **({"lossless": True} if path.suffix == ".webp" else {}))


def said(root: Path, code: int, *options: str, family: str = "endoscopy") -> str:
    called = command_line(root, "import", "set", "--family", family, "--track", "false", *options)
    assert called.code == code, called.stdout + called.stderr
    return " ".join((called.stdout + called.stderr).split())


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.slow
def test_transparent_corners_of_one_class_are_asked_about(tmp_path: Path, suffix: str) -> None:
    for number in range(4):
        write(tmp_path / f"set/normal/{number}.{suffix}", number, masked=True)
        write(tmp_path / f"set/polyp/{number}.{suffix}", 10 + number, masked=False)
    text = said(tmp_path, 2)
    assert "4 of 4 pictures of normal have transparent parts" in text
    assert f"normal/0.{suffix}, 25% of its pixels), 0 of 4 of polyp" in text
    assert not (tmp_path / "data/endoscopy/set").exists()
    assert "or say --rims keep if they are meant" in text
    assert "must be one of ask, keep" in said(tmp_path, 2, "--rims", "crop")
    kept = said(tmp_path, 0, "--rims", "keep")
    assert "warning: 4 of 4 pictures of normal have transparent parts" in kept and "as --rims keep was given" in kept
    agreed = said(tmp_path, 0, "--yes", "true", "--replace", "true")
    assert "assumed, as --yes was given: transparent parts are white" in agreed


def test_transparent_corners_of_all_classes_are_no_question(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path / f"set/normal/{number}.png", number, masked=True)
        write(tmp_path / f"set/polyp/{number}.png", 10 + number, masked=True)
    assert "transparent parts" not in said(tmp_path, 0)


def test_black_borders_of_one_class_are_warned_of(tmp_path: Path) -> None:
    for number in range(7):
        write(tmp_path / f"set/normal/{number}.png", number, masked=False)
        write(tmp_path / f"set/polyp/{number}.png", 10 + number, masked=False, frame=3)
    text = said(tmp_path, 0)
    assert "borders alone tell normal from the other classes: all others have black pixels on at least 100%" in text
    assert "they on at most 0%; a model may learn the border" in text


def test_borders_of_both_classes_or_all_but_one_picture_are_none_of_a_class(tmp_path: Path) -> None:
    for number in range(7):
        write(tmp_path / f"set/normal/{number}.png", number, masked=False, frame=3 if number == 6 else 0)
        write(tmp_path / f"set/polyp/{number}.png", 10 + number, masked=False, frame=3)
    assert "borders alone" not in said(tmp_path, 0)


def test_few_pictures_that_differ_by_chance_are_not_warned_of(tmp_path: Path) -> None:
    for number in range(4):  # one of 70 divisions into four and four fits by chance
        write(tmp_path / f"set/a/{number}.png", number, masked=False, frame=3)
        write(tmp_path / f"set/b/{number}.png", 10 + number, masked=False)
    assert "borders alone" not in said(tmp_path, 0, family="cilia")
