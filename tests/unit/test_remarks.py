"""Names of the user's on a terminal, on the command line: as they were typed, whatever markup would make of them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from project import command_line
from vaeforge.importing import description

NAME = "scan [n, c] of [bold]"


@pytest.mark.slow
def test_names_like_markup_appear_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(description, "save_chart", lambda chart, folder: None)
    rng = np.random.default_rng(0)
    for label in ("normal", "polyp"):
        (tmp_path / NAME / label).mkdir(parents=True)
        for number in range(6):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / NAME / label / f"{number}.png")
    done = command_line(tmp_path, "import", NAME, "--family", "endoscopy", "--track", "false")
    assert done.code == 0 and done.stdout.count(NAME) >= 3, done.stdout + done.stderr
    size = ("--set", "prepare.size=16", "--set", "prepare.margin=0")
    done = command_line(tmp_path, "prepare", "--family", "endoscopy", *size)
    assert done.code == 0 and f"Prepared {NAME} at 16 x 16" in " ".join(done.stdout.split()), done.stdout + done.stderr
    assert NAME in command_line(tmp_path, "data", "list").stdout


@pytest.mark.parametrize("name", ["a[/b]", "x [n, c]", "[red]y"])
def test_errors_about_names_like_markup_name_them(tmp_path: Path, name: str) -> None:
    done = command_line(tmp_path, "import", name, "--family", "endoscopy")
    assert done.code == 2 and f"{name}: not found" in " ".join(done.stderr.split()), done.stderr
