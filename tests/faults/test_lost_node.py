"""Ray's own processes on this machine end, and with them whatever they run: said in a sentence, and resumed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from project import CODE_PATH, SmallProject, check_invariants, end
from vaeforge.chaos.processes import of_kind
from vaeforge.ledger.events import SearchInterrupted
from vaeforge.ledger.file import read_events

CALL = ("tune", "--name", "n", "--trials", "2", "--hosts", "1", "--offline", "true", "--register", "false")
QUICK = ("--scheduler", "none", "--set", "training.steps_per_epoch=20")
PROGRAM = """
import sys, time
from pathlib import Path
from types import SimpleNamespace

from vaeforge.search.dispatch.cluster import settle_environment

settle_environment()
import ray
from vaeforge.ledger.events import SearchResumed
from vaeforge.ledger.file import Ledger
from rich.console import Console
from vaeforge.search.dispatch.node_watch import NodeWatch
from vaeforge.search.dispatch.ray_start import start_patiently
from vaeforge.search.node_loss import NodeLoss
from vaeforge.search.signals import InterruptHandler

class Writer:
    def __init__(self, path):
        self.ledger = Ledger(path)

    def begin(self):
        self.ledger.append(SearchResumed())

def main(folder):
    own = {"num_cpus": 1, "include_dashboard": False, "log_to_driver": False}
    start_patiently(lambda: ray.init(address="local", **own), Console())
    plan = SimpleNamespace(name="n", address=None, ledger=folder / "ledger.jsonl")
    writer = ray.remote(Writer).options(max_restarts=-1, max_task_retries=-1).remote(plan.ledger)
    held = ray.put(bytes(1_000_000))  # as Tune and Train hold some: a node that takes its leave has Ray look for them
    ray.get(writer.begin.remote())
    with InterruptHandler() as interrupt:
        loss = NodeLoss(plan, interrupt, (folder / "scratch",), view=SimpleNamespace(close=bool))
        with NodeWatch(loss, own=True) as node:
            (folder / "ready").touch()
            try:
                while True:
                    ray.get(writer.__ray_ready__.remote())
                    time.sleep(0.1)
            except ray.exceptions.RayError:
                node.hold()
                raise

if __name__ == "__main__":
    main(Path(sys.argv[1]))
"""


@contextmanager
def connected(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that is to a Ray of its own what a search is: another one writes the ledger for it."""
    (folder / "program.py").write_text(PROGRAM)
    (folder / "scratch").mkdir()
    given = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    call = [sys.executable, str(folder / "program.py"), str(folder)]
    with (folder / "output.log").open("w") as log:
        process = subprocess.Popen(call, env=given | {"PYTHONPATH": CODE_PATH}, stdout=log, stderr=log, text=True)
    try:
        while not (folder / "ready").exists():
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.1)
        yield process
    finally:
        end(process)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "called"),
    [
        ("raylet", "node"),
        pytest.param("agent", "agent", marks=pytest.mark.long),
        pytest.param("gcs", "control server", marks=pytest.mark.long),
    ],
)
def test_whichever_process_of_rays_is_killed_it_is_said(tmp_path: Path, kind: str, called: str) -> None:
    with connected(tmp_path) as process:
        while not (found := of_kind(psutil.Process(process.pid), kind)):  # an agent takes its name late
            time.sleep(0.1)
        victim = found[0]
        victim.send_signal(signal.SIGKILL)
        code = process.wait(120)
    output = " ".join((tmp_path / "output.log").read_text().split())
    told = f"search 'n': Ray's {called} on this machine (process {victim.pid}) has ended, and Ray with it; "
    told += "what was reported is kept; continue with --resume"
    assert (code, f"error: {told}" in output, "Traceback" in output) == (2, True, False), output
    (*_, last) = read_events(tmp_path / "ledger.jsonl")
    assert isinstance(last, SearchInterrupted) and (last.signal, last.problem) == ("", told)
    assert not (tmp_path / "scratch").exists()


@pytest.mark.long  # a race with Ray, which on a busy machine ends the search before it can speak
def test_a_signal_to_all_processes_of_a_job_is_an_interruption(tmp_path: Path) -> None:
    """As SLURM sends it to a job that is preempted: to Ray's own processes, too, which all end at once."""
    with connected(tmp_path) as process:
        driver = psutil.Process(process.pid)
        for one in [*driver.children(recursive=True), driver]:
            one.send_signal(signal.SIGTERM)
        code = process.wait(120)
    output = (tmp_path / "output.log").read_text()
    assert (code, "interrupted by SIGTERM" in output, "Traceback" in output) == (143, True, False), output
    (*_, last) = read_events(tmp_path / "ledger.jsonl")
    assert isinstance(last, SearchInterrupted) and (last.signal, last.problem) == ("SIGTERM", None)


@pytest.mark.long
def test_a_search_whose_ray_is_killed_says_so_and_goes_on_later(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    process = project.start(*CALL, *QUICK)
    try:
        project.wait_for(lambda: bool(project.events("n", "reported")), process, seconds=480)
        of_kind(psutil.Process(process.pid), "raylet")[0].send_signal(signal.SIGKILL)
        assert process.wait(120) == 2, project.output
    finally:
        end(process)
    output = " ".join(project.output.split())
    assert "error: search 'n': Ray's node on this machine (process " in output and "Traceback" not in output
    (last,) = project.events("n", "interrupted")
    assert last == project.events("n")[-1] and last["signal"] == "" and last["problem"] in output
    project.run(*CALL, *QUICK, "--resume", "true")
    check_invariants(project, "n", trials=2)
