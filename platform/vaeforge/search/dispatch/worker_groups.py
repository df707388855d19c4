"""Worker groups of a search, as the driver keeps them running: a thread and, again and again, a Ray Train run for each.

The engine starts them and asks how they are; what they train is between their ranks (`worker.py`) and the dispatcher.
A group is started again when its Train run returned or failed, unless the search has given it back or it failed three
times before it was up; one that hangs before it is up is ended, and has failed. One that finds no
room in the cluster waits here, in its thread, where it costs nothing and can be told to give up; a request that waits
in the cluster would outlive the search. On few cores groups start one after the other: each start keeps about two cores
busy for seconds, and one group that trains early is worth more than two that train late.
"""

import math
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from vaeforge.job_limits import job_cores
from vaeforge.ledger.events import WorkerProcess
from vaeforge.search.dispatch.cluster import supplies
from vaeforge.search.dispatch.group_failure import GroupFailure, failure_of
from vaeforge.search.dispatch.resources import Placement, free_ranks
from vaeforge.search.dispatch.train_run import InsufficientResourcesError, TrainRun
from vaeforge.search.dispatch.worker import WorkerConfig
from vaeforge.search.dispatch.worker_main import worker_main
from vaeforge.search.search_lock import find_process

CORES_PER_START = 2
STARTING_SECONDS = 60.0  # after which a group that has not registered is no longer waited for, nor room reserved for it
ROOM_SECONDS = 5.0  # between looks for room
MAX_STARTS = 3  # of a group that fails before it has registered, after which it is given up


@dataclass
class _WorkerGroup:
    """A worker group, whether its Train run is up or not.

    Attributes:
        number: its number, the `host` of the ledger.
        thread: keeps it running.
        run: its Train run; none while there is none.
        launched: when that was started (monotonic clock).
        up: whether it has registered since then.
        hung: whether that run was ended because it had not.
        failures: of its Train runs, since it last registered.
        generation: how often it had registered when that run was started.
        waits: whether it found no room in the cluster.
        given_back: the search does not need it any more.
    """

    number: int
    thread: threading.Thread | None = None
    run: TrainRun | None = None
    launched: float | None = None
    up: bool = False
    hung: bool = False
    failures: int = 0
    generation: int = 0
    waits: bool = False
    given_back: bool = False

    @property
    def alive(self) -> bool:
        return self.thread is not None and self.thread.is_alive()


class GroupDispatch(Protocol):
    """What the dispatcher says of worker groups."""

    def generation(self, number: int) -> int:
        """How often the group has registered."""

    def released(self, number: int) -> bool:
        """Whether the group, whose run has returned, is not to start again."""

    def failed(self, failure: GroupFailure) -> int:
        """Told that a group's run has failed; how often the group has registered."""


class WorkerGroups:
    """Starts worker groups, more of them on request, knows whether they still run, and ends them.

    Attributes:
        failures: of Train runs and threads, oldest first.
    """

    def __init__(
        self,
        placement: Placement,
        config: WorkerConfig,
        storage: str,
        dispatch: GroupDispatch,
        registered: Callable[[], Collection[int]] | None = None,
        grows: bool = False,
        patience: float = math.inf,
    ):
        """
        Args:
            placement: how many groups start, and with how many ranks, threads and GPUs.
            config: what every rank is told.
            storage: a folder for what Ray Train writes and nobody reads.
            dispatch: is told how Train runs have ended.
            registered: numbers of the groups that are up; without it, all groups start at once.
            grows: whether the cluster may add nodes.
            patience: seconds that a group has from the start of its Train run until it is up.
        """
        self._placement, self._config, self._storage = placement, config, storage
        self._dispatch, self._registered, self._grows, self._patience = dispatch, registered, grows, patience
        self.failures: list[GroupFailure] = []
        self._reported = 0  # of `failures`
        self._groups: list[_WorkerGroup] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        # handles of actors and objects in their frames, given up while Ray shuts down, would end this process
        self._held: list[BaseException] = []

    def start(self) -> None:
        self.scale_up(self._placement.hosts)

    def scale_up(self, count: int) -> None:
        """Start `count` more groups; those that find no room wait for it."""
        for _ in range(count):
            group = _WorkerGroup(len(self._groups))
            group.thread = threading.Thread(target=self._keep, args=(group,), daemon=True)
            self._groups.append(group)
            group.thread.start()

    def room(self) -> int:
        """How many more groups the cluster has room for now, beside those that run or are about to start.

        A group that waits for its turn, or for room, comes first: one more would only wait behind it.
        """
        with self._lock:
            before = sum(group.alive and group.launched is None for group in self._groups)
            return max(0, self._room() - before)

    def _room(self) -> int:
        starting = sum(self._starting(group) for group in self._groups)
        running = sum(group.launched is not None for group in self._groups) - starting
        each = self._placement.workers
        ranks = free_ranks(*supplies(), self._placement.gpus_per_worker, running * each)
        return max(0, ranks - starting * each) // each

    def _starting(self, group: _WorkerGroup) -> bool:
        """Whether its Train run was started and may not have its resources yet."""
        if group.launched is None or time.monotonic() - group.launched > STARTING_SECONDS:
            return False
        return self._registered is None or group.number not in self._registered()

    def end_hanging(self) -> None:
        """End the Train runs of groups that are not up after `patience`, which their threads then see as a failure."""
        for group in self._groups:
            run, since = group.run, group.launched
            if run is None or since is None or group.up or group.hung or time.monotonic() - since <= self._patience:
                continue
            group.up = self._dispatch.generation(group.number) > group.generation
            if not group.up:
                group.hung = True
                run.end()

    def _keep(self, group: _WorkerGroup) -> None:
        """A group's thread: one Train run after another, until the group is given back or up, or the search ends."""
        try:
            while self._may_launch(group):
                if self._run(group):
                    group.given_back = self._dispatch.released(group.number)
                if group.given_back or group.failures >= MAX_STARTS:
                    return
        except BaseException as error:  # the cluster is gone: the engine decides what follows
            self.failures.append(GroupFailure(group.number, "lost", repr(error), given_up=True))

    def _may_launch(self, group: _WorkerGroup) -> bool:
        """Wait for this group's turn, and for room where it found none before; False once the search ends."""
        # without Ray, a request for workers would start another cluster
        while not self._closing.is_set() and ray.is_initialized():
            with self._lock:
                if not self._closing.is_set() and self._turn() and (not group.waits or self._room() > 0):
                    group.launched, group.waits = time.monotonic(), False
                    group.run, group.up, group.hung = self._new_run(group), False, False
                    return True
            self._closing.wait(ROOM_SECONDS if group.waits else 0.1)
        return False

    def _turn(self) -> bool:
        """Whether one more group can start without slowing down those that are starting."""
        if self._registered is None:
            return True
        at_once = max(1, job_cores() // CORES_PER_START)
        return sum(self._starting(group) for group in self._groups) < at_once

    def _new_run(self, group: _WorkerGroup) -> TrainRun:
        # a name of its own each time: a Train run with a known name silently resumes it
        name, placement = f"host-{group.number}-{uuid.uuid4().hex[:8]}", self._placement
        return TrainRun(name, self._storage, placement.workers, placement.resources, self._grows)

    def _run(self, group: _WorkerGroup) -> bool:
        """One Train run, to its end; whether it returned by itself."""
        placement = self._placement
        loop = partial(worker_main, self._config, group.number, placement.threads, placement.gpus_per_worker > 0)
        assert group.run is not None
        group.generation = self._dispatch.generation(group.number)
        try:
            group.run.run(loop)
            group.failures = 0
            return True
        except InsufficientResourcesError:
            group.waits = True
        except BaseException as error:
            if self._closing.is_set():  # it was ended on purpose
                self._held.append(error)
            else:
                self._note(group, self._hang(group) or failure_of(group.number, error, group.run.memory.has_grown))
        finally:
            group.run = group.launched = None
        return False

    def _hang(self, group: _WorkerGroup) -> GroupFailure | None:
        """What its run has failed of, if it was ended for hanging."""
        text = f"its processes did not come up within {self._patience:.0f} s (ten times search.hang_seconds)"
        return GroupFailure(group.number, "hang", text) if group.hung else None

    def _note(self, group: _WorkerGroup, failure: GroupFailure) -> None:
        """Tell the dispatcher of a failure; one that registered before it failed has its starts counted anew."""
        was_up = self._dispatch.failed(failure) > group.generation
        group.failures = 1 if was_up else group.failures + 1
        self.failures.append(replace(failure, given_up=group.failures >= MAX_STARTS))

    def new_failures(self) -> list[GroupFailure]:
        """Those since the last call."""
        fresh = self.failures[self._reported :]
        self._reported += len(fresh)
        return fresh

    @property
    def given_up(self) -> int:
        """How many groups are not started again although they were not given back."""
        return sum(not group.alive and not group.given_back for group in self._groups)

    @property
    def alive(self) -> int:
        """How many groups run, start, or wait for room."""
        return sum(group.alive for group in self._groups)

    @property
    def wanted(self) -> int:
        """How many groups there are meant to be: those alive, less those that have been given back."""
        return sum(group.alive and not group.given_back for group in self._groups)

    @property
    def waiting(self) -> int:
        """How many groups wait for room in the cluster."""
        return sum(group.alive and group.waits for group in self._groups)

    def close(self) -> None:
        """Start no more groups; those that wait for room give up."""
        with self._lock:  # once it returns none starts, not even one whose turn had just come, nor gives anything back
            self._closing.set()

    def join(self, seconds: float) -> bool:
        """Close, and wait for the groups that run to return; whether all did."""
        self.close()
        deadline = time.monotonic() + seconds
        for group in self._groups:
            if group.thread is not None:
                group.thread.join(max(0.0, deadline - time.monotonic()))
        return self.alive == 0

    def end(self, seconds: float) -> bool:
        """Close, kill the ranks of groups that run or start, and wait for their threads; whether all ended."""
        self.close()  # from here on no group has a new run
        for run in [group.run for group in self._groups]:
            if run is not None:
                run.end()
        return self.join(seconds)


def kill_processes(processes: Iterable[WorkerProcess]) -> None:
    """SIGKILL worker processes, each on its own node; one that has ended already is left alone."""
    for process in processes:
        if process.node == ray.get_runtime_context().get_node_id():
            _kill(process)
        else:
            where = NodeAffinitySchedulingStrategy(process.node, soft=False)
            ray.remote(num_cpus=0)(_kill).options(scheduling_strategy=where).remote(process)


def _kill(process: WorkerProcess) -> None:
    if find_process(process.pid, process.started) is not None:
        os.kill(process.pid, signal.SIGKILL)
