"""Documentation as pages: every page stands in the menu; built strictly where MkDocs is at hand (`make docs`)."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from project import ROOT


def test_every_page_stands_in_the_menu_once() -> None:
    content = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    named = [page for group in content["nav"] for pages in group.values() for page in pages]
    docs = ROOT / "docs"
    assert sorted(named) == sorted(path.relative_to(docs).as_posix() for path in docs.rglob("*.md"))


@pytest.mark.slow
def test_the_pages_are_built_without_a_warning_and_load_nothing_from_elsewhere(tmp_path: Path) -> None:
    folder = ROOT / ".docs"
    if not folder.is_dir() and find_spec("material") is None:
        pytest.skip("MkDocs is not installed; `make docs` brings it into .docs")
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "-d",
        str(tmp_path / "site"),
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "site" / "first-hour.html").read_text(encoding="utf-8")
    assert 'src="http' not in page and 'rel="stylesheet" href="http' not in page
