"""A cluster of nodes on this machine: what searches make of nodes that are there, that join, and that are lost."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nodes import Nodes, borrowed, crawling
from project import SmallProject, check_invariants, end
from vaeforge.config.experiment import Experiment
from vaeforge.data.prepared import load_training
from vaeforge.ledger.history import read_history
from vaeforge.search.space.space import parse_space
from vaeforge.search.space.trial_experiment import experiment_for, trial_seed
from vaeforge.training.loop import TrainingData, fit
from vaeforge.training.process_group import ProcessGroup

pytestmark = pytest.mark.long
COMMON = ("--offline", "true", "--register", "false", "--scheduler", "none")
SLOWER = ("--set", "training.steps_per_epoch=40")


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """A cluster that the tests of this file resize; where they leave it does not matter to the next."""
    # short and its own: socket paths are limited, and the address file in Ray's common folder would mislead others
    scratch = Path(tempfile.mkdtemp(prefix="ray-"))
    made = Nodes(scratch)
    yield made
    made.close()
    shutil.rmtree(scratch, ignore_errors=True)


@pytest.fixture
def two(nodes: Nodes) -> Nodes:
    nodes.resize(2)
    return nodes


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path / "one")


def tune(name: str, trials: int, *more: str) -> tuple[str, ...]:
    return ("tune", "--name", name, "--trials", str(trials), *COMMON, *more)


def nodes_of(registered: list[dict[str, Any]]) -> set[str]:
    return {process["node"] for event in registered for process in event["processes"]}


@pytest.mark.timeout(200)
def test_what_no_node_can_hold_is_refused_with_what_was_asked_and_what_there_is(
    project: SmallProject, two: Nodes
) -> None:
    def refusal(*options: str) -> str:
        return " ".join(project.run(*tune("r", 2, *options), code=2, **two.environment).split())

    assert "asked for 1 worker group of 5 workers, which is 5 CPUs" in refusal("--workers", "5")
    output = refusal("--hosts", "9")
    assert "asked for 9 worker groups of 1 worker each, which is 9 CPUs" in output
    assert "there are 2 CPUs and 0 GPUs on 2 nodes" in output
    output = refusal("--device", "cuda")
    assert "1 worker group of 1 worker with 1 GPU each; there are 2 CPUs and 0 GPUs on 2 nodes" in output
    assert project.events("r") == []


@pytest.mark.timeout(300)
def test_ranks_on_two_nodes_learn_what_one_process_learns_also_where_one_of_them_is_lost(
    project: SmallProject, nodes: Nodes
) -> None:
    nodes.resize(3)
    process = project.start(*tune("wide", 2, "--workers", "2"), **nodes.environment)
    try:
        project.wait_for_events("wide", "registered", process)
        (before,) = project.events("wide", "registered")
        assert len(before["processes"]) == len(nodes_of([before])) == 2
        lost = next(rank for rank in before["processes"] if nodes.of(rank["pid"]) is not nodes.nodes[0])
        with crawling(lost["pid"]):
            project.wait_for(lambda: midway(project, "wide", host=0) == 0, process)
            nodes.kill(nodes.of(lost["pid"]))
        assert process.wait(200) == 0, project.output
    finally:
        end(process)
    check_invariants(project, "wide", trials=2)
    (crash,) = project.events("wide", "crashed")
    assert (crash["cause"], crash["trial"]) == ("lost", 0)
    after = project.events("wide", "registered")[-1]
    assert len(after["processes"]) == len(nodes_of([after])) == 2
    assert lost["node"] not in nodes_of([after])
    require_same_as_one_process(project, "wide")


def require_same_as_one_process(project: SmallProject, name: str) -> None:
    """Each trial of a search has reported what a training of the same experiment in this process reports."""
    history = read_history(project.root / f"artifacts/searches/{name}/ledger.jsonl")
    assert history.header is not None
    space = parse_space(history.header.space, "ledger")
    base = Experiment.model_validate(history.header.settings["experiment"])
    arrays = TrainingData(*load_training(project.root / "artifacts/prepared/endoscopy"))
    for number, trial in history.trials.items():
        experiment = experiment_for(space, base, trial.params, trial_seed(history.header.seed or 0, number))
        alone = {report.epoch: report.metrics for report in fit(experiment, arrays, ProcessGroup())}
        assert alone.keys() == trial.reports.keys()
        for epoch, metrics in alone.items():
            assert trial.reports[epoch].metrics == pytest.approx(metrics, rel=2e-3), (number, epoch)


@pytest.mark.timeout(300)
def test_a_search_that_finds_the_cluster_full_waits_for_what_another_gives_back(tmp_path: Path, two: Nodes) -> None:
    first, second = SmallProject(tmp_path / "one"), SmallProject(tmp_path / "two")
    earlier = first.start(*tune("first", 6, *SLOWER), **two.environment)
    later: subprocess.Popen[str] | None = None
    try:
        both_up(first, "first", earlier)
        with crawling(first.worker("first", 0)), crawling(first.worker("first", 1)):
            later = second.start(*tune("second", 3), **two.environment)
            second.wait_for(lambda: "1 worker group(s) wait for room in the cluster" in second.output, later)
            assert second.events("second", "registered") == []
        assert (earlier.wait(100), later.wait(100)) == (0, 0), first.output + second.output
    finally:
        end(earlier)
        if later is not None:
            end(later)
    check_invariants(first, "first", trials=6)
    check_invariants(second, "second", trials=3)
    assert first.events("first", "crashed") == second.events("second", "crashed") == []
    begun = second.events("second", "registered")[0]["time"]
    ended = [event for event in first.events("first", "finished") if event["time"] < begun]
    assert len(ended) >= 6 - 1  # both CPUs were the first one's until it had one trial left


@pytest.mark.timeout(300)
def test_a_node_killed_in_the_middle_costs_an_attempt_and_no_trial(project: SmallProject, two: Nodes) -> None:
    process = project.start(*tune("lost", 6, *SLOWER), **two.environment)
    try:
        both_up(project, "lost", process)
        registered = project.events("lost", "registered")
        assert len(nodes_of(registered)) == 2
        (fell,) = (event for event in registered if two.of(event["processes"][0]["pid"]) is two.nodes[1])
        with crawling(project.worker("lost", fell["host"])):
            project.wait_for(lambda: midway(project, "lost", fell["host"]) is not None, process)
            trial = midway(project, "lost", fell["host"])
            two.kill(two.nodes[1])
        assert process.wait(200) == 0, project.output
    finally:
        end(process)
    check_invariants(project, "lost", trials=6)
    assert {event["state"] for event in project.events("lost", "finished")} <= {"completed", "early_stopped"}
    (crash,) = project.events("lost", "crashed")
    assert (crash["cause"], crash["trial"]) == ("lost", trial)
    reports = [event for event in project.events("lost", "reported") if event["trial"] == trial]
    first, second = ([e["epoch"] for e in reports if e["attempt"] == attempt] for attempt in (1, 2))
    assert second[0] == first[-1] + 1  # from its last checkpoint, not from the start
    since = [event for event in project.events("lost", "registered") if event["time"] > fell["time"]]
    assert not nodes_of(since) & nodes_of([fell])


def both_up(project: SmallProject, name: str, process: "subprocess.Popen[str]") -> None:
    """Wait for the second host, while the first one leaves it something to do."""
    project.wait_for_events(name, "reported", process)
    with crawling(project.worker(name, project.events(name, "registered")[0]["host"])):
        project.wait_for_events(name, "registered", process, 2)


def midway(project: SmallProject, name: str, host: int) -> int | None:
    """The trial that a host trains and has reported 1 to 4 of 6 epochs of."""
    leases = [event for event in project.events(name, "leased") if event["host"] == host]
    own = [event for event in project.events(name) if leases and event.get("trial") == leases[-1]["trial"]]
    return own[-1]["trial"] if own and own[-1]["event"] == "reported" and own[-1]["epoch"] <= 4 else None


@pytest.mark.timeout(300)
def test_a_node_that_joins_gets_a_worker_group_which_is_given_back_when_trials_run_out(
    project: SmallProject, nodes: Nodes
) -> None:
    nodes.resize(1)
    process = project.start(*tune("grown", 8, *SLOWER), **nodes.environment)
    try:
        project.wait_for_events("grown", "reported", process)
        with crawling(project.worker("grown", host=0)):
            assert len(project.events("grown", "registered")) == 1
            joined = nodes.add()
            project.wait_for_events("grown", "registered", process, 2)
            assert nodes.of(project.worker("grown", host=1)) is joined
        project.wait_for_events("grown", "leased", process, 8)
        last = project.events("grown", "leased")[-1]
        with crawling(project.worker("grown", last["host"])):
            assert borrowed(nodes) == "borrowed"
            assert last["trial"] not in [event["trial"] for event in project.events("grown", "finished")]
        assert process.wait(120) == 0, project.output
    finally:
        end(process)
    check_invariants(project, "grown", trials=8)
    assert {event["host"] for event in project.events("grown", "leased")} == {0, 1}
    assert project.events("grown", "crashed") == []
