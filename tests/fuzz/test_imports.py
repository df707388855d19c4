"""Whole imports in which one file is nearly right: refused by our own error and nothing written, or a data set."""

import csv
import gzip
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from fuzz.format_parsers import bytes_of, changed
from fuzz.mutations import changed_bytes, changed_numbers
from fuzz.parsers import TABLES, pictures
from fuzz.running import each, refused_or_read
from vaeforge.csv_cells import plain_cell
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.step import run_import
from vaeforge.paths import Project

COMPUTED = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet computes begins so
RNG = np.random.default_rng(0)
SCAN = np.cumsum(RNG.normal(size=(4, 3, 2, 8)), axis=-1).astype(np.float32)
POINTS = (
    ",".join("xyzab")
    + "\n"
    + "".join(",".join(f"{cell:.3f}" for cell in row) + "\n" for row in RNG.normal(size=(9, 5)))
)


def scan(shape_first: bool) -> bytes:
    values = np.moveaxis(SCAN, -1, 0) if shape_first else SCAN
    return bytes_of(lambda path: nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path), ".nii")


def a_scan(root: Path, content: bytes) -> None:
    for name in ("one", "two"):
        nibabel.save(nibabel.Nifti1Image(SCAN + len(name), np.eye(4)), root / f"{name}.nii")
    (root / "three.nii.gz").write_bytes(gzip.compress(content, 1))


def a_table(root: Path, content: bytes) -> None:
    (root / "=points.csv").write_bytes(content)


def a_picture(root: Path, content: bytes) -> None:
    for number in range(4):
        folder = root / ("normal" if number < 3 else "polyp")
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (24, 20, 3), np.uint8)).save(
            folder / f"{number}.png"
        )
    (root / "normal/@odd.png").write_bytes(content)


SOURCES: dict[str, tuple[str, str, Callable[[Path, bytes], None], st.SearchStrategy[bytes]]] = {
    "scan": ("fmri", "series", a_scan, changed([scan(False), scan(True)], 400)),
    "table": (
        "lipid",
        "points",
        a_table,
        changed_bytes([*TABLES, POINTS.encode()]) | changed_numbers([*TABLES, POINTS.encode()]),
    ),
    "picture": ("endoscopy", "pictures", a_picture, changed_bytes(pictures())),
}


def options_for(content: bytes) -> ImportOptions:
    """One of several answers, by the content, so that one input always has the same."""
    chosen = hashlib.sha256(content).digest()[0] % 3
    return ImportOptions(name="set", track=False, yes=True, time_axis=("", "first", "last")[chosen])


def require_no_formulas(root: Path) -> None:
    for path in root.rglob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not [cell for cell in cells if cell.startswith(COMPUTED) and plain_cell(cell) != cell], path


@pytest.mark.timeout(7200)
@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("what", SOURCES)
def test_an_import_with_an_odd_file_is_refused_or_whole(what: str, tmp_path: Path) -> None:
    family, kind, fill, contents = SOURCES[what]
    root, given = tmp_path / "project", tmp_path / "given"

    def imported(content: bytes) -> None:
        for folder in (root, given):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        fill(given, content)
        options = options_for(content)
        refused = refused_or_read(lambda: run_import(given, family, kind, Project(root), options))
        there = [path for path in (root / "data").rglob("*") if path.is_file()] if (root / "data").is_dir() else []
        assert bool(there) != bool(refused), (refused, there)
        assert refused or (root / f"data/{family}/set/.import/import.json").is_file()
        require_no_formulas(root / "artifacts")

    each(contents, imported)
