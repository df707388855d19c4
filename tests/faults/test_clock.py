"""A wall clock that is set while a search runs: forwards by a day, and back behind the search's own start."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from project import SmallProject, check_invariants, end
from wall_clock import WallClock

DAY = 86_400
CALL = ("tune", "--name", "c", "--trials", "4", "--epochs", "12", "--scheduler", "none", "--register", "false")
SLOW = ("--set", "training.steps_per_epoch=20", "--budget", "wall_hours=2")


@pytest.mark.long
@pytest.mark.skipif(shutil.which("cc") is None and shutil.which("gcc") is None, reason="needs a C compiler")
def test_a_clock_that_is_set_uses_up_no_budget_and_loses_nothing(tmp_path: Path) -> None:
    clock, project = WallClock(tmp_path / "clock"), SmallProject(tmp_path)
    clock.set_ahead(3 * DAY)
    asked = [sys.executable, "-c", "import time; print(time.time())"]
    told = subprocess.run(asked, env=clock.environment, capture_output=True, text=True, check=True).stdout
    assert abs(float(told) - time.time() - 3 * DAY) < 60  # it is injected
    clock.set_ahead(0)
    began = time.monotonic()
    process = project.start(*CALL, *SLOW, **clock.environment)
    try:
        project.wait_for_events("c", "reported", process, 2)
        clock.set_ahead(DAY)
        project.wait_for_events("c", "reported", process, 6)
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 130, project.output
    finally:
        end(process)
    before = len(project.events("c", "reported"))
    process = project.start(*CALL, *SLOW, "--resume", "true", **clock.environment)
    try:
        project.wait_for_events("c", "reported", process, before + 2)
        clock.set_ahead(-DAY)
        assert process.wait(400) == 0, project.output
    finally:
        end(process)
    took = time.monotonic() - began
    check_invariants(project, "c", trials=4)
    times = [event["time"] for event in project.events("c")]
    assert max(times) - times[0] > DAY and times[-1] < times[0]  # the ledger says what the clock said
    assert {event["state"] for event in project.events("c", "finished")} == {"completed"}
    (ended,) = project.events("c", "ended")
    assert ended["reason"] == "trials" and 0 < ended["seconds"] < took
    listed = project.call("trials", "c")
    assert "Traceback" not in project.output + listed
