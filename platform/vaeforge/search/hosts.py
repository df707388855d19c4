"""The hosts of a search, seen from the driver: threads that keep Ray Train worker groups running."""

import os
import signal
import threading
import uuid
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from vaeforge.search.host import host
from vaeforge.search.resources import Placement
from vaeforge.search.session import find_process
from vaeforge.train.distributed import run_worker_group


class Hosts:
    """Starts the hosts, knows whether they still run, and ends workers that hang."""

    def __init__(self, placement: Placement, config: dict[str, Any], storage: str):
        self._placement, self._config, self._storage = placement, config, storage
        self.errors: list[BaseException] = []
        self._told = 0
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(placement.hosts)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        # a name of its own each time: a Train run with a known name silently resumes it
        name = f"host-{number}-{uuid.uuid4().hex[:8]}"
        try:
            config = {**self._config, "host": number, "threads": self._placement.threads}
            workers, gpus = self._placement.workers, self._placement.gpus_per_worker
            run_worker_group(host, config, name, self._storage, workers, gpus)
        except BaseException as error:  # the engine decides what follows
            self.errors.append(error)

    def new_errors(self) -> list[BaseException]:
        """What hosts ended with since the last call."""
        fresh = self.errors[self._told :]
        self._told += len(fresh)
        return fresh

    @property
    def alive(self) -> int:
        return sum(thread.is_alive() for thread in self._threads)

    def join(self, seconds: float) -> bool:
        """Wait for the hosts to return; whether all did."""
        for thread in self._threads:
            thread.join(seconds)
        return self.alive == 0


def kill_processes(processes: list[dict[str, Any]]) -> None:
    """SIGKILL worker processes, each on its own node; one that has gone already is left alone."""
    for process in processes:
        if process["node"] == ray.get_runtime_context().get_node_id():
            _kill(process)
        else:
            where = NodeAffinitySchedulingStrategy(process["node"], soft=False)
            ray.remote(num_cpus=0)(_kill).options(scheduling_strategy=where).remote(process)


def _kill(process: dict[str, Any]) -> None:
    if find_process(process) is not None:
        os.kill(process["pid"], signal.SIGKILL)
