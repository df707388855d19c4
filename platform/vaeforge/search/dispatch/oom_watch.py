"""Kills for want of memory: how many the kernels count where a worker group runs, and whether they became more."""

from collections.abc import Iterable, Iterator

import ray
from ray.train.v2._internal.execution.callback import WorkerGroupCallback
from ray.train.v2._internal.execution.worker_group import WorkerGroup
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from vaeforge.job_limits import oom_kills

ANSWER_SECONDS = 20.0  # that nodes have for saying their count: a process may have to start for it


class OomWatch(WorkerGroupCallback):
    """What the kernels had counted before a worker group failed.

    Of this process's own control group from the beginning, so that a group that is ended while it starts is noticed,
    too; of the ranks', wherever they are, from when they are up.
    """

    def __init__(self) -> None:
        self._here, self._counts = oom_kills(), dict[str, int]()

    def after_worker_group_start(self, worker_group: WorkerGroup) -> None:
        nodes = [worker.metadata.node_id for worker in worker_group.get_workers()]
        self._counts = dict(zip(nodes, worker_group.execute(oom_kills), strict=True))

    def has_grown(self) -> bool:
        """Whether a kernel has ended a process there since; a node that has gone, too, cannot say so."""
        if oom_kills() > self._here:
            return True
        if not self._counts or not ray.is_initialized():  # a task would start another cluster
            return False
        asked = {_count_on(node): before for node, before in self._counts.items()}
        answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_SECONDS)
        return any(_grown(answered, asked))


def _count_on(node: str) -> ray.ObjectRef:
    where = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(num_cpus=0, max_retries=0)(oom_kills).options(scheduling_strategy=where).remote()


def _grown(answered: Iterable[ray.ObjectRef], before: dict[ray.ObjectRef, int]) -> Iterator[bool]:
    for answer in answered:
        try:
            yield ray.get(answer) > before[answer]
        except ray.exceptions.RayError:  # the node has gone since
            yield False
