"""The network between two nodes of a cluster is cut: a real link between two network namespaces, taken down."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nodes import Nodes, crawling
from project import SmallProject, check_invariants, end

HEAD, OTHER = "10.213.77.1", "10.213.77.2"
COMMON = ("--offline", "true", "--register", "false", "--scheduler", "none", "--set", "training.steps_per_epoch=40")


def ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=True)


@contextmanager
def another_network(name: str) -> Iterator[str]:
    """A network namespace with a link to this one; yields the name of the link's end here."""
    here, there = f"{name}-a", f"{name}-b"
    ip("netns", "add", name)
    try:
        ip("link", "add", here, "type", "veth", "peer", "name", there)
        ip("link", "set", there, "netns", name)
        ip("addr", "add", f"{HEAD}/24", "dev", here)
        ip("link", "set", here, "up")
        for words in (("addr", "add", f"{OTHER}/24", "dev", there), ("link", "set", there, "up")):
            ip("netns", "exec", name, "ip", *words)
        ip("netns", "exec", name, "ip", "link", "set", "lo", "up")
        yield here
    finally:
        ip("link", "del", here, check=False)
        ip("netns", "del", name, check=False)


def trains(project: SmallProject, host: int) -> bool:
    """Whether a worker group has a trial that has not ended."""
    leases = [event for event in project.events("cut", "leased") if event["host"] == host]
    ended = {event["trial"] for event in project.events("cut", "finished")}
    return bool(leases) and leases[-1]["trial"] not in ended


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("ip") is None, reason="network namespaces need root and ip(8)")
def test_trials_behind_a_network_that_was_cut_go_on_elsewhere(tmp_path: Path) -> None:
    project, name = SmallProject(tmp_path), f"vf{os.getpid() % 100000}"
    scratch = Path(tempfile.mkdtemp(prefix="ray-"))
    with another_network(name) as link:
        nodes = Nodes(scratch, HEAD)
        process = None
        try:
            nodes.add()
            nodes.add(OTHER, ("ip", "netns", "exec", name))
            process = project.start("tune", "--name", "cut", "--trials", "6", *COMMON, **nodes.environment)
            project.wait_for_events("cut", "registered", process, 2)
            groups = project.events("cut", "registered")
            (far,) = (one for one in groups if nodes.of(one["processes"][0]["pid"]) is nodes.nodes[1])
            with crawling(far["processes"][0]["pid"]):
                project.wait_for(lambda: trains(project, far["host"]), process)
                ip("link", "set", link, "down")
                project.wait_for_events("cut", "crashed", process)
            assert process.wait(400) == 0, project.output
        finally:
            if process is not None:
                end(process)
            nodes.close()
            shutil.rmtree(scratch, ignore_errors=True)
    check_invariants(project, "cut", trials=6)
    # Ray misses heartbeats after about a minute, which is also when a group that is silent is taken to hang
    assert {event["cause"] for event in project.events("cut", "crashed")} <= {"lost", "hang"}
    assert {event["state"] for event in project.events("cut", "finished")} <= {"completed", "early_stopped"}
