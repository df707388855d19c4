"""The head of a cluster is lost, and with it what Ray knows: the search ends, and goes on on another cluster."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nodes import Nodes
from project import SmallProject, check_invariants, end

COMMON = ("--offline", "true", "--register", "false", "--scheduler", "none", "--set", "training.steps_per_epoch=40")


@contextmanager
def cluster_of(count: int) -> Iterator[Nodes]:
    scratch = Path(tempfile.mkdtemp(prefix="ray-"))
    nodes = Nodes(scratch)
    try:
        nodes.resize(count)
        yield nodes
    finally:
        nodes.close()
        shutil.rmtree(scratch, ignore_errors=True)


@pytest.mark.long
def test_a_search_whose_head_is_lost_ends_and_goes_on_on_another_cluster(tmp_path: Path) -> None:
    project, call = SmallProject(tmp_path), ("tune", "--name", "h", "--trials", "4", *COMMON)
    with cluster_of(2) as nodes:
        process = project.start(*call, **nodes.environment)
        try:
            project.wait_for_events("h", "finished", process, 1)
            project.wait_for_events("h", "reported", process, 8)
            nodes.kill(nodes.nodes[0])
            assert process.wait(400) == 2, project.output
        finally:
            end(process)
    before = {event["trial"]: event for event in project.events("h", "finished")}
    assert before
    with cluster_of(1) as other:
        project.run(*call, "--resume", "true", **other.environment)
    check_invariants(project, "h", trials=4)
    after = {event["trial"]: event for event in project.events("h", "finished")}
    assert {number: after[number] for number in before} == before
