"""Disks that are full, cannot be written, or have no locks: each is one sentence, whatever the command was writing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from project import CODE_PATH, SmallProject

pytestmark = pytest.mark.slow
MOUNTS = pytest.mark.skipif(
    os.getuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0,
    reason="needs to mount a small disk",
)
QUICK = ("--offline", "true", "--register", "false", "--trials", "1", "--epochs", "1", "--scheduler", "none")


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path)


def mounted(command: str) -> tuple[str, ...]:
    """What a call begins with so that `command` mounts something for its processes alone."""
    return ("unshare", "--mount", "sh", "-ec", f'{command}; exec "$@"', "sh")


def refused(project: SmallProject, *arguments: str, before: tuple[str, ...] = ()) -> str:
    """The one sentence that a call of the command line ends with, as a process of its own."""
    done = subprocess.run(
        [*before, sys.executable, "-m", "vaeforge", *arguments],
        cwd=project.root,
        env={**os.environ, "PYTHONPATH": CODE_PATH, "RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True,
        text=True,
        timeout=400,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 2, output
    assert "Traceback" not in output
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return sentence


@MOUNTS
def test_a_full_disk_is_said_and_the_same_call_goes_on(project: SmallProject) -> None:
    artifacts = project.root / "artifacts"
    artifacts.mkdir()
    full = mounted(f"mount -t tmpfs -o size=100k none {artifacts}")
    sentence = refused(project, "prepare", before=full)
    assert "No space left on device; the disk is full" in sentence and "what was finished is kept" in sentence
    project.call("prepare")


@MOUNTS
def test_a_project_that_cannot_be_written_is_said(project: SmallProject) -> None:
    project.call("prepare")
    read_only = mounted(f"mount --bind {project.root} {project.root}; mount -o remount,ro,bind {project.root}")
    assert "the file system is read-only" in refused(project, "prepare", "--set", "prepare.seed=1", before=read_only)
    assert "cannot be written" in refused(project, "tune", "--name", "s", *QUICK, before=read_only)


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace, which lets the system's calls fail")
@pytest.mark.parametrize(
    ("failing", "problem"),
    [
        pytest.param(
            "flock:error=ENOLCK", "put the project on a file system that has file locks", marks=pytest.mark.long
        ),
        ("fdatasync:error=ENOSPC", "the disk is full"),
    ],
)
def test_locks_that_are_missing_and_a_ledger_without_room_are_said(
    project: SmallProject, failing: str, problem: str, cluster: dict[str, str]
) -> None:
    project.call("prepare")
    traced = ("strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", f"trace={failing.partition(':')[0]}")
    assert problem in refused(project, "tune", "--name", "s", *QUICK, before=(*traced, "-e", f"inject={failing}"))
