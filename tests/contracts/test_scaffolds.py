"""What `vaeforge new` writes keeps the contracts as it is: a family, a sampler, a space."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from outside import installed
from project import ROOT, command_line
from vaeforge.config.loader import load
from vaeforge.errors import ConfigError
from vaeforge.scaffold import LIKE, new_family
from vaeforge.search.space.checks import check
from vaeforge.search.space.space import read_space
from vaeforge_models.families import families


def contracts(folder: Path, name: str, *tests: str) -> int:
    """How many of the contract tests picked `name` up; all of them passed."""
    paths = [str(folder), str(ROOT / "platform"), str(ROOT / "models")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    files = [str(ROOT / f"tests/contracts/test_{test}.py") for test in tests]
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-k", name, *files]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"(\d+) passed", done.stdout)
    return int(found[1]) if found else 0


@pytest.mark.long
@pytest.mark.parametrize("like", sorted(LIKE))
def test_a_new_family_keeps_the_contracts(like: str, tmp_path: Path) -> None:
    done = command_line(tmp_path, "new", "family", "begun", "--like", like)
    assert done.code == 0 and "pip install -e vaeforge-begun" in done.stdout
    assert contracts(installed(tmp_path / "vaeforge-begun"), "begun", "families", "tasks") >= 15


@pytest.mark.long
def test_a_new_sampler_keeps_the_contracts(tmp_path: Path) -> None:
    assert command_line(tmp_path, "new", "sampler", "my_draws").code == 0
    assert contracts(installed(tmp_path / "vaeforge-my-draws"), "my_draws", "samplers") >= 5


@pytest.mark.parametrize("family", sorted(families()))
def test_a_new_space_is_one_of_every_family(family: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(f"family: {family}\npreset: sample\n", encoding="utf-8")
    done = command_line(tmp_path, "new", "space", "mine")
    assert done.code == 0 and f"--family {family} --space tune_spaces/mine.yaml" in done.stdout, done
    space = read_space(tmp_path / "tune_spaces" / "mine.yaml")
    assert space.family == family and len(space.dimensions) == 3
    check(space, load(tmp_path, family, None, {}, []).experiment)
    assert "is there already" in command_line(tmp_path, "new", "space", "mine").stderr


@pytest.mark.parametrize(("name", "said"), [("Bad-name", "a letter first"), ("endoscopy", "is a family already")])
def test_names_that_cannot_be_are_refused(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        new_family(tmp_path, name, "endoscopy", families())
    assert not list(tmp_path.iterdir())
