"""Entry of a rank: what Ray Train runs in every process of a worker group."""

import torch

from vaeforge.job_limits import job_cores
from vaeforge.search.dispatch.lane_worker import LaneWorker
from vaeforge.search.dispatch.resources import default_memory_limit
from vaeforge.search.dispatch.worker import GroupWorker, WorkerConfig, serve
from vaeforge.training.distributed import RayProcessGroup


def worker_main(settings: WorkerConfig, number: int, threads: int, gpus: bool) -> None:
    """Serve as one rank of the worker group `number` until the search ends.

    Args:
        settings: what every rank is told.
        number: of the worker group, the `host` of the ledger.
        threads: of this rank.
        gpus: whether it trains on a GPU.
    """
    torch.set_num_threads(min(threads, job_cores()))
    ranks = RayProcessGroup(gpus)
    worker, limit = GroupWorker(settings, number, ranks), settings.memory_limit or default_memory_limit(threads)
    if settings.lanes == 1 or ranks.group.world_size > 1:
        serve(worker, ranks, limit)
    else:
        LaneWorker(worker, settings.lanes, limit).serve()
    ranks.close()
