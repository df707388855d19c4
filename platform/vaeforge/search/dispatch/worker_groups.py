"""Worker groups (hosts) of a search, seen from the driver: threads that keep Ray Train worker groups running.

A host starts again when its worker group returned or failed, unless the search has given it back. One that finds no
room in the cluster waits here, in its thread, where it costs nothing and can be told to give up; a request that waits
in the cluster would outlive the search. On few cores hosts start one after the other: each start keeps about two cores
busy for seconds, and one host that trains early is worth more than two that train late.
"""

import contextlib
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial

import psutil
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from vaeforge.ledger.events import WorkerProcess
from vaeforge.search.dispatch.cluster import supplies
from vaeforge.search.dispatch.resources import Placement, free_ranks
from vaeforge.search.dispatch.worker import WorkerConfig, worker_main
from vaeforge.search.search_lock import find_process
from vaeforge.training.distributed import InsufficientResourcesError, run_worker_group

CORES_PER_START = 2
STARTING_SECONDS = 60.0  # after which a host that has not registered is no longer waited for, nor its room reserved
ROOM_SECONDS = 5.0  # between looks for room
GOODBYE_SECONDS = 0.5  # for ranks that have heard of the end to return
MAX_RESTARTS = 3  # of a host whose worker groups fail one after the other


@dataclass
class _WorkerGroup:
    """One host: its thread, and where it stands."""

    number: int
    thread: threading.Thread | None = None
    launched: float | None = None  # when its worker group was asked for, while there is one
    failures: int = 0
    waits: bool = False
    given_back: bool = False

    @property
    def alive(self) -> bool:
        return self.thread is not None and self.thread.is_alive()


class WorkerGroups:
    """Starts hosts, more of them on request, knows whether they still run, and ends them."""

    def __init__(
        self,
        placement: Placement,
        config: WorkerConfig,
        storage: str,
        released: Callable[[int], bool],
        registered: Callable[[], Collection[int]] | None = None,
    ):
        """
        Args:
            placement: how many hosts start, and what each is.
            config: what every rank is told.
            storage: a folder for what Ray Train writes and nobody reads.
            released: whether the host of a number is not to start again; asked when its worker group has returned.
            registered: numbers of the hosts whose worker groups have come up; without it, all hosts start at once.
        """
        self._placement, self._config, self._storage = placement, config, storage
        self._released, self._registered = released, registered
        self.errors: list[BaseException] = []
        self._told = 0
        self._hosts: list[_WorkerGroup] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def start(self) -> None:
        self.scale_up(self._placement.hosts)

    def scale_up(self, count: int) -> None:
        """Start `count` more hosts; those that find no room wait for it."""
        for _ in range(count):
            own = _WorkerGroup(len(self._hosts))
            own.thread = threading.Thread(target=self._keep, args=(own,), daemon=True)
            self._hosts.append(own)
            own.thread.start()

    def room(self) -> int:
        """How many more hosts find room in what is free of the cluster now, beside those that run or are to start.

        A host that waits for its turn, or for room, comes first: one more would only wait behind it.
        """
        with self._lock:
            before = sum(own.alive and own.launched is None for own in self._hosts)
            return max(0, self._room() - before)

    def _room(self) -> int:
        starting = sum(self._starting(own) for own in self._hosts)
        running = sum(own.launched is not None for own in self._hosts) - starting
        each = self._placement.workers
        ranks = free_ranks(*supplies(), self._placement.gpus_per_worker, running * each)
        return max(0, ranks - starting * each) // each

    def _starting(self, own: _WorkerGroup) -> bool:
        """Whether a host's worker group was asked for and may not have its resources yet."""
        if own.launched is None or time.monotonic() - own.launched > STARTING_SECONDS:
            return False
        return self._registered is None or own.number not in self._registered()

    def _keep(self, own: _WorkerGroup) -> None:
        """A host's thread: worker group after worker group, until the host is given back or the search ends."""
        try:
            while self._may_launch(own):
                if self._run(own):
                    own.given_back = self._released(own.number)
                if own.given_back or own.failures >= MAX_RESTARTS:
                    return
        except BaseException as error:  # the cluster is gone: the engine decides what follows
            self.errors.append(error)

    def _may_launch(self, own: _WorkerGroup) -> bool:
        """Wait for this host's turn, and for room where it found none before; False once the search ends."""
        while (
            not self._closing.is_set() and ray.is_initialized()
        ):  # asked for a worker, Ray would start another cluster
            with self._lock:
                if self._turn() and (not own.waits or self._room() > 0):
                    own.launched, own.waits = time.monotonic(), False
                    return True
            self._closing.wait(ROOM_SECONDS if own.waits else 0.1)
        return False

    def _turn(self) -> bool:
        """Whether one more host can start without slowing down those that are starting."""
        if self._registered is None:
            return True
        at_once = max(1, (os.cpu_count() or 1) // CORES_PER_START)
        return sum(self._starting(own) for own in self._hosts) < at_once

    def _run(self, own: _WorkerGroup) -> bool:
        """One worker group, to its end; whether it returned by itself."""
        placement = self._placement
        loop = partial(worker_main, self._config, own.number, placement.threads, placement.gpus_per_worker > 0)
        # a name of its own each time: a Train run with a known name silently resumes it
        name = f"host-{own.number}-{uuid.uuid4().hex[:8]}"
        try:
            run_worker_group(loop, name, self._storage, placement.workers, placement.resources)
            own.failures = 0
            return True
        except InsufficientResourcesError:
            own.waits = True
        except BaseException as error:
            own.failures += 1
            self.errors.append(error)
        finally:
            own.launched = None
        return False

    def new_errors(self) -> list[BaseException]:
        """What hosts ended with since the last call."""
        fresh = self.errors[self._told :]
        self._told += len(fresh)
        return fresh

    @property
    def alive(self) -> int:
        """How many hosts run, start, or wait for room."""
        return sum(own.alive for own in self._hosts)

    @property
    def wanted(self) -> int:
        """How many hosts there are meant to be: those alive, but for ones that are about to be given back."""
        return sum(own.alive and not own.given_back for own in self._hosts)

    @property
    def waiting(self) -> int:
        """How many hosts wait for room in the cluster."""
        return sum(own.alive and own.waits for own in self._hosts)

    def close(self) -> None:
        """Start no host any more; those that wait for room give up."""
        self._closing.set()

    def join(self, seconds: float) -> bool:
        """Close, and wait for the hosts that run to return; whether all did."""
        self.close()
        deadline = time.monotonic() + seconds
        for own in self._hosts:
            if own.thread is not None:
                own.thread.join(max(0.0, deadline - time.monotonic()))
        return self.alive == 0


def end_controllers() -> None:
    """End Ray Train's controllers among this process's descendants, once their groups have nothing left to do.

    A controller waits twelve seconds at its end for a clean-up that asks Ray's dashboard; a cluster that ends with this
    process has none and needs no cleaning.
    """
    time.sleep(GOODBYE_SECONDS)
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "".join(process.cmdline()).startswith("ray::TrainController"):
                process.kill()


def kill_processes(processes: Iterable[WorkerProcess]) -> None:
    """SIGKILL worker processes, each on its own node; one that has gone already is left alone."""
    for process in processes:
        if process.node == ray.get_runtime_context().get_node_id():
            _kill(process)
        else:
            where = NodeAffinitySchedulingStrategy(process.node, soft=False)
            ray.remote(num_cpus=0)(_kill).options(scheduling_strategy=where).remote(process)


def _kill(process: WorkerProcess) -> None:
    if find_process(process.pid, process.started) is not None:
        os.kill(process.pid, signal.SIGKILL)
