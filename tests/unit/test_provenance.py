"""Where a result comes from: recorded whatever the state of git, never a crash."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import vaeforge
from vaeforge import provenance
from vaeforge.provenance import code_hash, command_line, git_state

UNKNOWN = {"commit": None, "dirty": None}


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "init.defaultBranch=main"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        ["git", *identity, *arguments], cwd=root, env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "--quiet")
    (root / "a.txt").write_text("a")
    git(root, "add", "a.txt")
    git(root, "commit", "--quiet", "--message", "first")
    return root


def test_a_clean_commit(repository: Path) -> None:
    assert git_state(repository) == {"commit": git(repository, "rev-parse", "HEAD"), "dirty": False}


def test_a_changed_file_is_dirty(repository: Path) -> None:
    (repository / "a.txt").write_text("b")
    assert git_state(repository)["dirty"] is True


def test_a_detached_head_has_a_commit(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "--detach")
    assert git_state(repository) == {"commit": git(repository, "rev-parse", "HEAD"), "dirty": False}


def test_without_a_repository_nothing_is_known(tmp_path: Path) -> None:
    assert git_state(tmp_path) == UNKNOWN


def test_without_a_commit_nothing_is_known(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert git_state(tmp_path) == UNKNOWN


def test_a_repository_around_the_project_is_not_its_own(repository: Path) -> None:
    (repository / "copy").mkdir()
    assert git_state(repository / "copy") == UNKNOWN


def test_without_git_nothing_is_known(repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(repository) == UNKNOWN


def test_a_folder_that_is_gone_is_no_crash(tmp_path: Path) -> None:
    assert git_state(tmp_path / "gone") == UNKNOWN


def test_gits_own_variables_do_not_lead_elsewhere(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they are set while a hook runs."""
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    assert git_state(repository)["commit"] == git(repository, "rev-parse", "HEAD")


def test_the_code_hash_is_of_content_and_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "vaeforge"
    shutil.copytree(Path(vaeforge.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    original = code_hash()
    monkeypatch.setattr(provenance.vaeforge, "__file__", str(package / "__init__.py"))
    assert code_hash() == original
    (package / "notes.txt").write_text("not code")
    assert code_hash() == original
    (package / "seeds.py").rename(package / "seed.py")
    renamed = code_hash()
    (package / "seed.py").write_text("")
    assert len({original, renamed, code_hash()}) == 3


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["/somewhere/vaeforge/__main__.py", "tune", "--set", "a b"], "vaeforge tune --set 'a b'"),
        (["/usr/bin/vaeforge", "train"], "vaeforge train"),
    ],
)
def test_the_command_can_be_given_to_a_shell(given: list[str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", given)
    assert command_line() == expected
