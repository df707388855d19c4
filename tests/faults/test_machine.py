"""Machines and sessions as groups have them: a long TMPDIR, no home to write in, few cores, Ray imported before."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from project import CODE_PATH, SmallProject, check_invariants

QUICK = ("--offline", "true", "--register", "false", "--trials", "2", "--epochs", "1", "--scheduler", "none")


@pytest.mark.long
def test_a_search_needs_neither_a_short_tmpdir_nor_a_home_nor_all_cores(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    scratch = tmp_path / ("scratch-of-the-job-" + "x" * 80)
    scratch.mkdir()
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # what the search inherits
    try:
        output = project.run("tune", "--name", "m", *QUICK, TMPDIR=str(scratch), HOME="/proc/nobody")
    finally:
        os.sched_setaffinity(0, cores)
    check_invariants(project, "m", trials=2)
    assert "too long for Ray's sockets" in output and "Traceback" not in output
    assert {event["host"] for event in project.events("m", "registered")} == {0}  # one core, one worker group
    assert list(scratch.glob("ray*")) == []
    folder = output.split("its session lies in ")[1].split()[0]
    assert folder.startswith("/tmp/ray-") and not Path(folder).exists()


TWICE = """
if __name__ == "__main__":
    import ray  # first, as in a notebook that has used it for something else

    import vaeforge

    for name in ("first", "second"):
        vaeforge.tune(name=name, trials=1, epochs=1, scheduler="none", offline=True)
        assert not ray.is_initialized()
"""


@pytest.mark.long
def test_a_python_session_searches_twice_and_with_ray_imported_before(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    project.run("prepare")
    (tmp_path / "session.py").write_text(TWICE)
    given = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "RAY_"))}
    call = [sys.executable, "session.py"]
    done = subprocess.run(call, cwd=tmp_path, env=given | {"PYTHONPATH": CODE_PATH}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("first", "second"):
        check_invariants(project, name, trials=1)


@pytest.mark.cluster
def test_a_token_file_that_others_can_read_is_closed_and_said(tmp_path: Path, cluster: dict[str, str]) -> None:
    """As Ray writes it under the usual umask."""
    project, token = SmallProject(tmp_path), tmp_path / "token"
    token.write_text(cluster["RAY_AUTH_TOKEN"])
    token.chmod(0o644)
    access = {**cluster, "RAY_AUTH_TOKEN": "", "RAY_AUTH_TOKEN_PATH": str(token)}
    output = project.run("tune", "--name", "m", *QUICK, "--device", "cuda", code=2, **access)
    assert "there is no GPU" in output  # what the cluster had was asked
    assert f"{token}: others could read Ray's token" in output
    assert token.stat().st_mode & 0o777 == 0o600
