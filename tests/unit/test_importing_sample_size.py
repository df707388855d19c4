"""`--size` on the command line: proposed by the pictures or stated, kept with the data set, used by prepare; and what
import and inspect say before anything is written.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from project import command_line
from vaeforge.paths import Project

PARAMS = "family: endoscopy\nendoscopy: {prepare: {size: 96, margin: 32}}\n"


def pictures(folder: Path, side: int, classes: tuple[tuple[str, int], ...] = (("normal", 12), ("polyps", 5))) -> Path:
    rng = np.random.default_rng(side)
    for name, count in classes:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(folder / name / f"{number}.png")
    return folder


def prepared(root: Path) -> Any:
    return json.loads((Project(root).prepared("endoscopy") / "manifest.json").read_text())


@pytest.mark.parametrize(("side", "enlarged"), [(28, "up to 1.3 times, to 36 pixels"), (32, "up to 1.1 times")])
@pytest.mark.slow
def test_small_pictures_get_a_size_of_their_own(tmp_path: Path, side: int, enlarged: str) -> None:
    (tmp_path / "params.yaml").write_text(PARAMS)
    source = pictures(tmp_path / "shoes", side)
    done = command_line(tmp_path, "import", str(source), "--size", "auto")
    assert done.code == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "prepare makes samples with size 32 and margin 4 of them" in said
    assert "of a picture's area 79 % are seen" in said and f"17 of 17 are enlarged, {enlarged}" in said
    told = command_line(tmp_path, "prepare")
    assert told.code == 0, told.stderr
    assert "size 32 and margin 4 are those that the data set was imported with" in " ".join(told.stdout.split())
    assert prepared(tmp_path)["event_shape"] == [3, 32, 32]
    assert prepared(tmp_path)["configuration"]["margin"] == 4
    assert command_line(tmp_path, "prepare", "--set", "prepare.size=64").code == 0  # the command line stands above
    assert prepared(tmp_path)["event_shape"] == [3, 64, 64]


@pytest.mark.slow
def test_large_pictures_keep_the_size_that_params_yaml_names(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(PARAMS)
    done = command_line(tmp_path, "inspect", str(pictures(tmp_path / "large", 200)), "--size", "auto", "--json")
    found = json.loads(done.stdout)
    assert done.code == 0 and any("samples with size 96 and margin 12 of them" in note for note in found["notes"])
    assert not any("enlarged" in note for note in found["notes"])  # 108 of 200 pixels


@pytest.mark.parametrize("size", ["30", "0", "small"])
def test_a_size_that_is_none_is_refused_and_nothing_written(tmp_path: Path, size: str) -> None:
    source = pictures(tmp_path / "shoes", 32)
    done = command_line(tmp_path, "import", str(source), "--family", "endoscopy", "--size", size)
    assert done.code == 2 and f"--size: got '{size}', must be auto or a multiple of 16" in " ".join(done.stderr.split())
    assert not (tmp_path / "data").exists()


def test_samples_without_a_size_take_none(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "bold.npz",
        **{f"s{number}": rng.normal(size=(30, 6)) for number in range(5)},
    )
    done = command_line(tmp_path, "import", str(tmp_path / "bold.npz"), "--family", "fmri", "--size", "auto")
    assert done.code == 2 and "samples of series are no images; leave it out" in " ".join(done.stderr.split())


@pytest.mark.slow
def test_what_counts_as_normal_is_said_alike_and_before_anything_is_written(tmp_path: Path) -> None:
    source = pictures(tmp_path / "gut", 32, (("normal", 12), ("normal-cecum", 6), ("polyps", 5), ("ulcer", 3)))
    looked = command_line(tmp_path, "inspect", str(source), "--family", "endoscopy").stdout.splitlines()
    done = command_line(
        tmp_path, "import", str(source), "--family", "endoscopy", "--track", "false"
    ).stdout.splitlines()
    first = [line for line in done if not line.startswith(("imported", "figures", "left untracked"))]
    assert first[0] == f"{source}: read as pictures for endoscopy: 26 images, 4 classes"
    assert "note: normal: normal (12), normal-cecum (6); anomalous: polyps (5), ulcer (3)" in first
    assert [line for line in looked if line in first] == first
    assert done.index(first[-1]) < next(place for place, line in enumerate(done) if line.startswith("imported"))


@pytest.mark.parametrize("command", ["inspect", "import"])
@pytest.mark.slow
@pytest.mark.usefixtures("rendered")
def test_a_contact_sheet_shows_pictures_of_each_class(tmp_path: Path, command: str) -> None:
    for name, colour in (("normal", (200, 0, 0)), ("polyps", (0, 0, 200))):
        (tmp_path / "flat" / name).mkdir(parents=True)
        for number in range(12):
            picture = np.full((32, 48, 3), colour, dtype=np.uint8) + np.uint8(number)
            picture[number] += np.uint8(40)
            Image.fromarray(picture).save(tmp_path / "flat" / name / f"{number}.png")
    done = command_line(tmp_path, command, str(tmp_path / "flat"), "--family", "endoscopy")
    assert done.code == 0, done.stderr
    folder = tmp_path / ("artifacts/inspect/flat" if command == "inspect" else "artifacts/import/endoscopy/flat")
    assert f"figures and tables: {folder}" in done.stdout
    drawn = np.asarray(Image.open(folder / "contact_sheet.png").convert("RGB")).astype(int)
    red = (drawn[..., 0] > 150) & (drawn[..., 1] < 90) & (drawn[..., 2] < 90)
    blue = (drawn[..., 2] > 150) & (drawn[..., 1] < 90) & (drawn[..., 0] < 90)
    assert red.mean() > 0.1 and blue.mean() > 0.1
    assert np.flatnonzero(red.any(axis=1)).max() < np.flatnonzero(blue.any(axis=1)).min()  # a row each, in order
    columns = np.diff(np.flatnonzero(np.diff(red.any(axis=0).astype(int))))
    assert len(columns) == 15  # eight pictures of twelve, with a space between them


@pytest.mark.slow
@pytest.mark.usefixtures("rendered")
def test_series_are_drawn(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "bold.npz", **{f"s{number}": rng.normal(size=(40, 6)) for number in range(5)})
    done = command_line(tmp_path, "inspect", str(tmp_path / "bold.npz"), "--family", "fmri", "--transposed", "false")
    assert (tmp_path / "artifacts/inspect/bold/traces.png").stat().st_size > 10_000
    assert done.code == 0
