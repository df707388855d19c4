"""Machines as groups have them: a long TMPDIR, no home that can be written, fewer cores than the node has."""

import os
from pathlib import Path

from project import SmallProject, check_invariants

QUICK = ("--offline", "true", "--register", "false", "--trials", "2", "--epochs", "1", "--scheduler", "none")


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
