"""A Ray of one's own that comes up late, as on a machine with much else to do."""

import signal
from pathlib import Path

import psutil
import pytest

from project import SmallProject, check_invariants, end
from vaeforge.chaos.processes import of_kind

QUICK = ("--offline", "true", "--register", "false", "--trials", "1", "--epochs", "1", "--scheduler", "none")


@pytest.mark.long
def test_a_ray_that_comes_up_late_is_started_again(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    process = project.start("tune", "--name", "late", *QUICK)
    try:
        driver = psutil.Process(process.pid)
        project.wait_for(lambda: bool(of_kind(driver, "raylet")), process)
        of_kind(driver, "raylet")[0].send_signal(signal.SIGSTOP)
        project.wait_for(lambda: "trying again" in project.output, process)
        assert process.wait(240) == 0, project.output
    finally:
        end(process)
    assert "Ray did not start within 30 s" in " ".join(project.output.split())
    check_invariants(project, "late", trials=1)
