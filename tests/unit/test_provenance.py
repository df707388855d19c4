"""Where a result comes from: recorded whatever the state of git, never a crash."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import vaeforge
from vaeforge import provenance
from vaeforge.provenance import (
    PATCH_BYTES,
    GitState,
    PatchedGitState,
    checkout_code_hash,
    code_hash,
    command_line,
    commit_code_hash,
    git_state,
    machine,
    origin,
)

UNKNOWN = GitState(None, None)


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
    assert git_state(repository) == GitState(git(repository, "rev-parse", "HEAD"), False)


def test_a_changed_file_is_dirty(repository: Path) -> None:
    (repository / "a.txt").write_text("b")
    assert git_state(repository).dirty is True


def test_a_detached_head_has_a_commit(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "--detach")
    assert git_state(repository) == GitState(git(repository, "rev-parse", "HEAD"), False)


def test_without_a_repository_nothing_is_known(tmp_path: Path) -> None:
    assert git_state(tmp_path) == UNKNOWN


def test_without_a_commit_nothing_is_known(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    found = git_state(tmp_path)
    assert (found.commit, found.dirty) == (None, None)
    assert found.problem is not None and "HEAD" in found.problem


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user, to whom the repository belongs")
def test_a_repository_of_another_user_is_no_missing_one(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (repository, *repository.rglob("*")):
        os.chown(path, 65534, 65534)
    for name in ("HOME", "XDG_CONFIG_HOME"):  # where this user may have trusted all folders
        monkeypatch.setenv(name, str(tmp_path))
    found = git_state(repository)
    assert found.commit is None and "dubious ownership" in str(found.problem)
    assert origin(repository).git.problem == found.problem


def test_a_repository_around_the_project_is_not_its_own(repository: Path) -> None:
    (repository / "copy").mkdir()
    assert git_state(repository / "copy") == UNKNOWN


def test_without_git_nothing_is_known(repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = git_state(repository)
    assert (found.commit, found.dirty) == (None, None) and "git" in str(found.problem)


def test_a_folder_that_is_gone_is_no_crash(tmp_path: Path) -> None:
    assert git_state(tmp_path / "gone") == UNKNOWN


def test_gits_own_variables_do_not_lead_elsewhere(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they are set while a hook runs."""
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    assert git_state(repository).commit == git(repository, "rev-parse", "HEAD")


def test_a_clean_tree_has_no_patch(repository: Path) -> None:
    made_by = origin(repository)
    assert made_by.patch is None
    assert (made_by.git.diff_sha256, made_by.git.patch) == (None, None)
    assert made_by.lock_sha256 is None


@pytest.mark.parametrize("setting", ["diff.noprefix=true", "diff.mnemonicPrefix=true", "color.ui=always"])
def test_the_patch_gives_the_changed_tree_again(repository: Path, tmp_path: Path, setting: str) -> None:
    """Binary and text, changed, added to the index and removed, whatever the user has set."""
    (repository / "gone.txt").write_text("gone")
    git(repository, "add", "gone.txt")
    git(repository, "commit", "--quiet", "--message", "second")
    git(repository, "config", *setting.split("="))
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(repository), str(clone))
    (repository / "a.txt").write_text("b")
    (repository / "gone.txt").unlink()
    (repository / "new.bin").write_bytes(bytes(range(256)))
    git(repository, "add", "new.bin")
    made_by = origin(repository)
    assert made_by.patch is not None
    assert made_by.git.diff_sha256 == hashlib.sha256(made_by.patch).hexdigest()
    (tmp_path / "code.patch").write_bytes(made_by.patch)
    git(clone, "apply", str(tmp_path / "code.patch"))
    assert (clone / "a.txt").read_text() == "b"
    assert (clone / "new.bin").read_bytes() == bytes(range(256))
    assert not (clone / "gone.txt").exists()


def test_a_patch_that_is_too_large_is_named_and_not_kept(repository: Path) -> None:
    (repository / "a.txt").write_bytes(os.urandom(PATCH_BYTES))
    made_by = origin(repository)
    assert made_by.patch is None
    assert (len(made_by.git.diff_sha256), made_by.git.patch) == (64, None)


def test_the_origin_of_a_folder_without_git_is_unknown_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").write_bytes(b"numpy==1\n")
    made_by = origin(tmp_path)
    assert made_by.git == PatchedGitState(None, None)
    assert made_by.lock_sha256 == hashlib.sha256(b"numpy==1\n").hexdigest()


def test_the_machine_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(
        "processor : 0\nmodel name : A Processor: 2 GHz\nmodel name : A Processor: 2 GHz\n"
    )
    monkeypatch.setattr(provenance, "PROCESSORS", tmp_path / "cpuinfo")
    found = machine()
    assert found.cpu == "A Processor: 2 GHz"
    assert found.cores == os.cpu_count()
    monkeypatch.setattr(provenance, "PROCESSORS", tmp_path / "nothing")
    assert machine().cpu


def test_a_checkout_of_the_code_has_the_codes_hash(repository: Path) -> None:
    assert checkout_code_hash(repository) is None
    commit = git(repository, "rev-parse", "HEAD")
    assert commit_code_hash(repository, commit) is None
    for name, place in provenance.CHECKOUT.items():
        source = Path(str(sys.modules[name].__file__)).parent
        shutil.copytree(source, repository / place, ignore=shutil.ignore_patterns("__pycache__"))
    assert checkout_code_hash(repository) == code_hash()
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "code")
    (repository / "platform/vaeforge/seeds.py").write_text("")
    assert commit_code_hash(repository, git(repository, "rev-parse", "HEAD")) == code_hash()
    assert checkout_code_hash(repository) != code_hash()


def test_the_code_hash_is_of_content_and_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "vaeforge"
    shutil.copytree(Path(vaeforge.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    original = code_hash()
    monkeypatch.setattr(provenance, "PACKAGE", package)
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
