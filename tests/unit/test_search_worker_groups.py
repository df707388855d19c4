"""Worker groups: when they start, start again, wait for room, and are given back; when they return to shed memory."""

import itertools
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, OutOfMemoryError
from ray.train import WorkerGroupError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError
from torch.distributed import DistBackendError

from project import CODE_PATH
from vaeforge.search.dispatch import worker_groups as module
from vaeforge.search.dispatch.cluster import SETTINGS
from vaeforge.search.dispatch.group_failure import GroupFailure, failure_of
from vaeforge.search.dispatch.resources import CPU_SHARE, Placement, Supply
from vaeforge.search.dispatch.train_run import InsufficientResourcesError
from vaeforge.search.dispatch.types import Lease, NoTask, Task
from vaeforge.search.dispatch.worker import held_bytes, serve
from vaeforge.search.dispatch.worker_groups import MAX_STARTS, WorkerGroups

SECONDS = 10.0
ROOT = Path(__file__).parents[2]


def until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class Calls:
    """In place of the dispatcher: whether groups are given back, and how often they have registered."""

    def __init__(self, released: bool = True):
        self.all_released, self.given_back = released, set[int]()
        self.generations, self.known = itertools.repeat(0), 0

    def released(self, number: int) -> bool:
        return self.all_released or number in self.given_back

    def generation(self, number: int) -> int:
        return self.known

    def failed(self, failure: GroupFailure) -> int:
        self.known = next(self.generations)
        return self.known


class Cluster:
    """In place of Ray Train: worker groups that run until the test ends them, on as many cores as it says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cores: int = 4):
        self.cores = self.free = float(cores)
        self.running: dict[int, threading.Event] = {}
        self.started: list[int] = []
        self.names: set[str] = set()
        self.told: dict[str, Any] = {}
        self.error: BaseException | None = None
        monkeypatch.setattr(module, "TrainRun", partial(Run, self))
        monkeypatch.setattr(module, "supplies", lambda: ([Supply(self.cores, 0)], Supply(self.free, 0)))
        monkeypatch.setattr(module.ray, "is_initialized", lambda: True)
        monkeypatch.setattr(module, "ROOM_SECONDS", 0.01)

    def run(self, function: Any, name: str, workers: int, resources: dict[str, float]) -> None:
        settings, number, threads, gpus = function.args
        self.started.append(number)
        self.names.add(name)
        self.told = {"settings": settings, "threads": threads, "gpus": gpus, "workers": workers, "resources": resources}
        if self.error is not None:
            raise self.error
        self.running[number] = threading.Event()
        assert self.running[number].wait(SECONDS)

    def end(self, number: int) -> None:
        self.running.pop(number).set()


class Memory:
    """No kernel has ended anything."""

    def has_grown(self) -> bool:
        return False


class Run:
    """In place of `TrainRun`."""

    def __init__(
        self, cluster: Cluster, name: str, storage: str, workers: int, resources: dict[str, float], grows: bool
    ):
        self.cluster, self.name, self.workers, self.resources = cluster, name, workers, resources
        self.ended, self.memory = False, Memory()

    def run(self, function: Any) -> None:
        self.number = function.args[1]
        self.cluster.run(function, self.name, self.workers, self.resources)
        if self.ended:
            raise RuntimeError("its workers were killed")

    def end(self) -> None:
        self.ended = True
        self.cluster.end(self.number)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(monkeypatch)


def test_a_worker_group_starts_again_unless_it_was_given_back(cluster: Cluster) -> None:
    calls = Calls(released=False)
    groups = WorkerGroups(Placement(2, 1, 0.0, 3), {"seed": 5}, "", calls)
    groups.start()
    until(lambda: len(cluster.running) == 2)
    assert (groups.alive, groups.wanted) == (2, 2)
    cluster.end(1)
    until(lambda: len(cluster.started) == 3)
    assert cluster.started[2] == 1 and len(cluster.names) == 3
    until(lambda: len(cluster.running) == 2)
    calls.given_back.add(0)
    cluster.end(0)
    until(lambda: groups.alive == 1)
    groups.scale_up(1)
    until(lambda: sorted(cluster.running) == [1, 2])  # a new number: the one of 0 was given back
    assert cluster.told == {
        "settings": {"seed": 5},
        "threads": 3,
        "gpus": False,
        "workers": 1,
        "resources": {"CPU": CPU_SHARE},
    }
    assert not groups.join(0.05)
    cluster.end(1)
    cluster.end(2)
    assert groups.join(SECONDS)
    assert len(cluster.started) == 4 and groups.failures == []


def test_a_worker_group_that_fails_before_it_is_up_is_given_up_and_says_why(cluster: Cluster) -> None:
    cluster.error = RuntimeError("no torch there")
    groups = WorkerGroups(Placement(1, 1, 0.0, 1), {}, "", Calls(released=False))
    groups.start()
    until(lambda: groups.alive == 0)
    assert (cluster.started, groups.given_up) == ([0] * MAX_STARTS, 1)
    *earlier, last = groups.new_failures()
    assert str(last) == "worker group 0 ended (crash) and is given up: no torch there"
    assert ["is started again" in str(failure) for failure in earlier] == [True] * (MAX_STARTS - 1)
    assert groups.new_failures() == []


def test_a_worker_group_that_was_up_each_time_is_started_again_without_end(cluster: Cluster) -> None:
    cluster.error, calls = RuntimeError("killed"), Calls(released=False)
    calls.generations = iter([1, 2, 2, 3, 4, 5, 5, 5])
    groups = WorkerGroups(Placement(1, 1, 0.0, 1), {}, "", calls)
    groups.start()
    until(lambda: groups.alive == 0)
    assert len(cluster.started) == 8


@pytest.mark.parametrize(
    ("errors", "killed", "cause"),
    [
        ([ActorDiedError()], False, "lost"),
        ([ActorDiedError()], True, "oom"),
        ([OutOfMemoryError("Ray's monitor")], False, "oom"),
        ([ValueError("bad"), MemoryError("one rank of two")], False, "oom"),
        ([ActorDiedError(), ValueError("bad")], True, "crash"),
        ([WorkerHealthCheckFailedError("no answer", ActorDiedError())], False, "lost"),
        (
            [RuntimeError("[…/gloo/transport/tcp/pair.cc:537] Read error [127.0.0.1]:1: Connection reset")],
            False,
            "lost",
        ),
        ([DistBackendError("NCCL communicator was aborted"), ActorDiedError()], False, "lost"),
        ([RuntimeError("[…/gloo/transport/tcp/pair.cc:537] Read error"), ValueError("bad")], False, "crash"),
    ],
)
def test_what_ended_a_worker_group_is_called_by_its_name(errors: list[Exception], killed: bool, cause: str) -> None:
    error = WorkerGroupError("some text", dict(enumerate(errors)))
    assert failure_of(0, pickle.loads(pickle.dumps(error)), lambda: killed).cause == cause


def test_a_worker_group_without_room_waits_and_gives_up_at_the_end(cluster: Cluster) -> None:
    cluster.error, cluster.free = InsufficientResourcesError("full"), 0.1
    groups = WorkerGroups(Placement(2, 1, 0.0, 1), {}, "", Calls())
    groups.start()
    until(lambda: groups.waiting == 2)
    time.sleep(0.1)
    assert sorted(cluster.started) == [0, 1]  # nothing more is asked of a full cluster
    cluster.error, cluster.free = None, 1.1
    until(lambda: len(cluster.running) == 1)  # room for one: the other one goes on waiting
    time.sleep(0.1)
    assert (len(cluster.started), groups.waiting, groups.alive, groups.failures) == (3, 1, 2, [])
    groups.close()
    until(lambda: groups.alive == 1)
    cluster.end(cluster.started[-1])
    assert groups.join(SECONDS)


def test_room_counts_neither_others_nor_worker_groups_on_their_way(cluster: Cluster) -> None:
    up: set[int] = set()
    cluster.cores, cluster.free = 9, 5.2  # others hold four times 0.9 and 0.2 of a core: there is room for five ranks
    groups = WorkerGroups(Placement(1, 2, 0.0, 1), {}, "", Calls(), lambda: up)
    assert groups.room() == 2
    groups.start()
    until(lambda: 0 in cluster.running)
    assert groups.room() == 1  # Ray may not have set its cores aside yet
    cluster.free -= 2 * 0.9
    up.add(0)
    assert groups.room() == 1
    cluster.end(0)
    assert groups.join(SECONDS)


def test_worker_groups_that_wait_come_before_new_ones(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    groups = WorkerGroups(Placement(3, 1, 0.0, 1), {}, "", Calls(), set)
    groups.start()
    until(lambda: 0 in cluster.running)
    assert groups.room() == 1  # of four cores one is for the group that starts, two are for those whose turn comes
    groups.close()
    cluster.end(0)
    assert groups.join(SECONDS)
    cluster.error, cluster.free = InsufficientResourcesError("full"), 0.1
    groups = WorkerGroups(Placement(1, 1, 0.0, 1), {}, "", Calls())
    monkeypatch.setattr(module, "ROOM_SECONDS", SECONDS)
    groups.start()
    until(lambda: groups.waiting == 1)
    cluster.free = 2.1
    assert groups.room() == 1
    groups.close()
    assert groups.join(SECONDS)


@pytest.mark.slow
def test_groups_start_one_after_the_other_on_two_cores(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    up: set[int] = set()
    groups = WorkerGroups(Placement(3, 1, 0.0, 1), {}, "", Calls(), lambda: up)
    groups.start()
    for count in (1, 2, 3):
        until(lambda count=count: len(cluster.running) == count)
        time.sleep(0.25)
        assert len(cluster.started) == count
        up.add(cluster.started[-1])
    for number in list(cluster.running):
        cluster.end(number)
    assert groups.join(SECONDS)


def test_groups_that_do_not_return_are_ended_and_that_is_no_failure(cluster: Cluster) -> None:
    groups = WorkerGroups(Placement(2, 1, 0.0, 1), {}, "", Calls(released=False))
    groups.start()
    until(lambda: len(cluster.running) == 2)
    assert not groups.join(0.05)
    assert groups.end(SECONDS)
    assert (len(cluster.started), groups.failures) == (2, [])


def test_no_group_starts_another_cluster_when_ray_has_gone(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = WorkerGroups(Placement(1, 1, 0.0, 1), {}, "", Calls(released=False))
    groups.start()
    until(lambda: 0 in cluster.running)
    monkeypatch.setattr(module.ray, "is_initialized", lambda: False)
    cluster.end(0)
    until(lambda: groups.alive == 0)
    assert cluster.started == [0]


class TwoRanks:
    """The ranks of one group as threads: what each says is exchanged at a barrier."""

    def __init__(self, rank: int, meeting: threading.Barrier, said: list[Any]):
        self.rank, self.meeting, self.said = rank, meeting, said

    def gather(self, value: Any, kind: Any) -> list[Any]:
        self.said[self.rank] = value
        self.meeting.wait(SECONDS)
        found = list(self.said)
        self.meeting.wait(SECONDS)
        return found

    def broadcast_from_main(self, ask: Callable[[], Any], kind: Any) -> Any:
        return self.gather(ask() if self.rank == 0 else None, kind)[0]


class Trainer:
    """Gets `orders` leases; every one leaves `leak` bytes behind."""

    def __init__(self, orders: int, leak: int):
        self.orders, self.leak = orders, leak
        self.left: list[bytearray] = []
        self.trained = 0

    def next_task(self) -> Task | NoTask:
        self.orders -= 1
        if self.orders < 0:
            return "end"
        return "idle" if self.orders % 2 else Task(Lease(0, 1, 0, 1), {})

    def train(self, task: Task) -> None:
        self.trained += 1
        freed = bytearray(b"x") * 50_000_000  # what a trial uses and gives back does not count
        self.left.append(bytearray(b"x") * self.leak)
        del freed


@pytest.mark.parametrize(("leak", "trained"), [(0, 10), (30_000_000, 4)])
def test_a_worker_group_returns_when_its_ranks_hold_too_much(leak: int, trained: int) -> None:
    limit, worker = held_bytes() + 105_000_000, Trainer(20, leak)
    serve(worker, TwoRanks(0, threading.Barrier(1), [None]), limit)
    assert worker.trained == trained


def test_all_ranks_return_when_one_of_them_holds_too_much() -> None:
    """Rank 1 may hold nothing, rank 0 anything: both end after the first trial."""
    meeting, said = threading.Barrier(2), [None, None]
    workers, limits = [Trainer(20, 0), Trainer(20, 0)], [2**60, 0]
    threads = [
        threading.Thread(target=serve, args=(workers[rank], TwoRanks(rank, meeting, said), limits[rank]))
        for rank in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert [worker.trained for worker in workers] == [1, 1]


def test_settings_go_by_names_that_ray_knows() -> None:
    """A renamed one would be ignored in silence: groups would start slower, wait for ever, or not see their peers."""
    from ray.train import constants
    from ray.train.v2._internal import constants as own

    names = {
        own.ENABLE_PREEMPTION_WATCHER_ENV_VAR,
        own.METRICS_ENABLED_ENV_VAR,
        own.HEALTH_CHECK_INTERVAL_S_ENV_VAR,
        own.WORKER_GROUP_START_TIMEOUT_S_ENV_VAR,
        own.ENABLE_CONTROLLER_STRUCTURED_LOGGING_ENV_VAR,
        constants.ENABLE_SHARE_CUDA_VISIBLE_DEVICES_ENV,
        constants.RAY_CHDIR_TO_TRIAL_DIR,
    }
    assert names <= set(SETTINGS)


PROGRAM = """
import os, sys
from pathlib import Path
from types import SimpleNamespace
from rich.console import Console
from vaeforge.config.experiment import Search
from vaeforge.search.dispatch.cluster import cluster
from vaeforge.search.signals import InterruptHandler
folder = Path(sys.argv[1])


def listening():
    import psutil
    sockets = psutil.Process().net_connections("tcp")
    return {tuple(one.laddr) for one in sockets if one.status == psutil.CONN_LISTEN}


def rank():
    import torch
    from torch.distributed import distributed_c10d
    from vaeforge.training.distributed import RayProcessGroup

    def unpickled(*_):
        raise AssertionError("a peer's message was unpickled")

    distributed_c10d._unpickler = unpickled
    before = listening()
    ranks = RayProcessGroup(gpus=False)
    opened = {address for address, port in listening() - before}
    total = ranks.group.sum(torch.tensor([1.0 + ranks.group.rank]))
    pids = ranks.gather(os.getpid(), int)
    if not (folder / "lost").exists() and ranks.group.rank == 1:
        (folder / "lost").touch()
        os.kill(os.getpid(), 9)  # the first time: the whole group ends
    said = ranks.broadcast_from_main(lambda: "word" if ranks.group.is_main else "nonsense", str)
    text = f"{float(total)} {len(set(pids))} {said} {sorted(opened)}"
    (folder / f"rank-{ranks.group.rank}").write_text(text)
    ranks.close()


with InterruptHandler() as interrupt:
    plan = SimpleNamespace(address=None, folder=folder, config=SimpleNamespace(search=Search(workers=2, device="cpu")))
    with cluster(plan, interrupt, Console()) as placement:
        assert (placement.workers, placement.hosts) == (2, os.cpu_count() // 2), placement
        from vaeforge.search.dispatch.train_run import InsufficientResourcesError, TrainRun
        from ray.train import WorkerGroupError
        try:
            TrainRun("pair", str(folder), 2, placement.resources).run(rank)
        except WorkerGroupError:  # the caller starts the group again
            TrainRun("pair again", str(folder), 2, placement.resources).run(rank)
        assert (folder / "lost").exists()
        try:
            TrainRun("large", str(folder), 2 * os.cpu_count(), placement.resources).run(rank)
        except InsufficientResourcesError as error:
            print("refused:", error)
"""


@pytest.mark.long
def test_two_ranks_meet_again_after_one_was_lost_and_a_full_cluster_says_so(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": CODE_PATH, "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "2"}
    (tmp_path / "program.py").write_text(PROGRAM)
    call = [sys.executable, str(tmp_path / "program.py"), str(tmp_path)]
    done = subprocess.run(call, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=550)
    assert done.returncode == 0, done.stderr
    assert "refused: no room for" in done.stdout
    for rank in range(2):
        # they listen, without asking who calls: nobody outside this machine can, and nothing is unpickled
        assert (tmp_path / f"rank-{rank}").read_text() == "3.0 2 word ['127.0.0.1']"
