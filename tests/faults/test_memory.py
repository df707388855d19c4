"""Memory that is used up: a worker that the kernel ends for it is known to have run out of memory."""

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodes import Nodes, crawling
from project import SmallProject, check_invariants, end
from troubled import Troubled
from vaeforge.search.search_lock import find_process

QUICK = ("--offline", "true", "--register", "false", "--scheduler", "none", "--hosts", "1")
VERSIONS = (("memory", "memory.limit_in_bytes"), ("unified", "memory.max"), ("", "memory.max"))


def empty(folder: Path) -> None:
    """End what is left of the search in a control group."""
    while processes := (folder / "cgroup.procs").read_text().split():
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGKILL)
        time.sleep(0.1)


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group of our own, of either version."""
    for controller, limit in VERSIONS:
        folder = Path("/sys/fs/cgroup") / controller / f"vaeforge-test-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        if (folder / limit).exists():
            try:
                yield folder
            finally:
                empty(folder)
                folder.rmdir()
            return
        folder.rmdir()
    pytest.skip("control groups cannot be made here")


def number_in(folder: Path, *names: str) -> Path:
    """The one of a control group's files that its version has."""
    return next(folder / name for name in names if (folder / name).exists())


@pytest.mark.long
def test_a_worker_that_the_kernel_ends_has_run_out_of_memory(tmp_path: Path, group: Path) -> None:
    project = Troubled(tmp_path)
    call = ("tune", "--name", "m", *QUICK, "--trials", "1", "--epochs", "60")
    process = project.start(*call, **project.environment)
    (group / "cgroup.procs").write_text(str(process.pid))  # and for what it starts
    try:
        project.wait_for(lambda: bool(project.events("m", "reported")), process, seconds=480)
        used = int(number_in(group, "memory.usage_in_bytes", "memory.current").read_text())
        limit = number_in(group, "memory.limit_in_bytes", "memory.max")
        limit.write_text(str(used + 500_000_000))
        project.next_validation("hold", 2.0)
        project.wait_for_events("m", "crashed", process)
        limit.write_text("-1" if limit.name == "memory.limit_in_bytes" else "max")
        assert process.wait(400) == 0, project.output
    finally:
        end(process)
    check_invariants(project, "m", trials=1)
    (crash,) = project.events("m", "crashed")
    assert crash["cause"] == "oom", crash
    assert "(oom) and is started again" in " ".join(project.output.split())


@pytest.mark.long
def test_a_worker_that_the_kernel_of_another_node_ends_has_run_out_of_memory_too(tmp_path: Path, group: Path) -> None:
    project, scratch = Troubled(tmp_path), Path(tempfile.mkdtemp(prefix="ray-"))
    nodes, process = Nodes(scratch), None
    nodes.environment |= project.environment
    try:
        nodes.add()
        nodes.add(within=("sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh"))
        call = ("tune", "--name", "n", *QUICK[:-2], "--trials", "2", "--epochs", "60")
        process = project.start(*call, **nodes.environment)
        project.wait_for_events("n", "registered", process, 2)
        groups = project.events("n", "registered")
        (far,) = (one for one in groups if nodes.of(one["processes"][0]["pid"]) is nodes.nodes[1])
        (near,) = (one for one in groups if one is not far)
        with crawling(near["processes"][0]["pid"]):  # so that there is a trial left for the other
            project.wait_for(lambda: far["host"] in {one["host"] for one in project.events("n", "leased")}, process)
            used = int(number_in(group, "memory.usage_in_bytes", "memory.current").read_text())
            limit = number_in(group, "memory.limit_in_bytes", "memory.max")
            limit.write_text(str(used + 500_000_000))
            while find_process(far["processes"][0]["pid"], far["processes"][0]["started"]) is not None:
                project.next_validation("hold", 2.0)  # which is taken by whichever group validates first
                project.wait_for(lambda: not (tmp_path / "hold").exists(), process)
                time.sleep(2.0)
            limit.write_text("-1" if limit.name == "memory.limit_in_bytes" else "max")
            project.wait_for_events("n", "crashed", process)
        assert process.wait(400) == 0, project.output
    finally:
        if process is not None:
            end(process)
        nodes.close()
        shutil.rmtree(scratch, ignore_errors=True)
    check_invariants(project, "n", trials=2)
    (crash,) = project.events("n", "crashed")
    (lease, *_) = (event for event in project.events("n", "leased") if event["trial"] == crash["trial"])
    assert crash["cause"] == "oom" and lease["host"] == far["host"], crash


def test_memory_that_is_in_use_already_is_said_before_anything_starts(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    output = " ".join(project.run("tune", "--name", "full", *QUICK, code=2, RAY_memory_usage_threshold="0.001").split())
    assert output.count("error") == 1 and "GB are in use, and Ray ends workers above 0.1% of it" in output, output
    assert "Traceback" not in output and not project.events("full")
    assert not (tmp_path / "artifacts/searches/full/ledger.jsonl").exists()
