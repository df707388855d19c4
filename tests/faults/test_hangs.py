"""Workers that hang are ended and their trials tried again; workers that are slow are left alone."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from project import ROOT, SmallProject, check_invariants, end

QUICK = ("--offline", "true", "--register", "false", "--scheduler", "none", "--hosts", "1")
CODE = """
import os
import threading
import time
from pathlib import Path

import torch
from vaeforge.training.validation_metric import ValidationMetric


def taken(name):
    path = Path(os.environ["TROUBLE"]) / name
    try:
        seconds = float(path.read_text())
        path.unlink()
    except FileNotFoundError:
        return 0.0
    return seconds


class Trouble(ValidationMetric):
    name = "val/trouble"

    def size(self, model):
        return 1

    def sums(self, model, x, posterior):
        time.sleep(taken("slow"))
        if taken("block"):
            threading.Event().wait()
        return torch.zeros(1, dtype=torch.float64, device=x.device)

    def value(self, sums, count):
        return 0.0


VALIDATION = Trouble()
"""


class Troubled(SmallProject):
    """A project with a validation metric of another package that takes long, or never ends, when it is told to."""

    def __init__(self, root: Path):
        super().__init__(root)
        package = root / "package"
        info = package / "trouble-1.0.dist-info"
        info.mkdir(parents=True)
        (package / "trouble.py").write_text(CODE)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: trouble\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[vaeforge.validation_metrics]\ntrouble = trouble:VALIDATION\n")
        sources = [ROOT / "platform", ROOT / "models", package]
        self.environment = {"TROUBLE": str(root), "PYTHONPATH": os.pathsep.join(map(str, sources))}

    def next_validation(self, kind: str, seconds: float) -> None:
        """Have the next validation take `seconds` longer (`slow`), or for ever (`block`)."""
        whole = self.root / f".{kind}"
        whole.write_text(str(seconds))
        whole.rename(self.root / kind)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def project(tmp_path: Path) -> Troubled:
    return Troubled(tmp_path)


def test_what_hangs_is_ended_and_tried_again_even_by_a_dispatcher_that_was_killed(project: Troubled) -> None:
    limit = ("--set", "search.hang_seconds=15")
    project.next_validation("slow", 20.0)
    process = project.start(
        "tune", "--name", "h", *QUICK, *limit, "--trials", "1", "--epochs", "40", **project.environment
    )
    try:
        project.wait_for_events("h", "reported", process)
        assert project.events("h", "crashed") == []  # of the slow validation
        children = psutil.Process(process.pid).children(recursive=True)
        (dispatcher,) = (child for child in children if child.name().startswith("ray::Dispatcher"))
        dispatcher.kill()
        stopped = project.worker("h")
        os.kill(stopped, signal.SIGSTOP)
        project.wait_for_events("h", "crashed", process)
        project.wait_for(lambda: gone(stopped), process)
        project.wait_for(lambda: project.events("h", "reported")[-1]["attempt"] == 2, process)
        project.next_validation("block", 1.0)
        assert process.wait(240) == 0, project.output
    finally:
        end(process)
    check_invariants(project, "h", trials=1)
    first, second = project.events("h", "crashed")
    assert (first["cause"], second["cause"]) == ("hang", "hang")
    assert "was silent for" in first["traceback"] and "made no step for" in second["traceback"]
    (ended,) = project.events("h", "finished")
    assert (ended["state"], ended["epoch"]) == ("completed", 40)


@pytest.mark.long
def test_a_validation_of_150_seconds_is_no_hang(project: Troubled) -> None:
    project.next_validation("slow", 150.0)
    project.run("tune", "--name", "v", *QUICK, "--trials", "1", "--epochs", "2", **project.environment)
    check_invariants(project, "v", trials=1)
    assert project.events("v", "crashed") == []
    assert project.events("v", "reported")[0]["seconds"] > 150
