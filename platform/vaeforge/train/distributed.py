"""Ray Train, and nothing else of Ray: worker groups that run a function on every rank."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from ray import train
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer, get_device

from vaeforge.train.group import Group

T = TypeVar("T")
CPU_SHARE = 0.9  # of a core per worker, so that thin trials and the broker find room beside full hosts


class Ranks:
    """The group of a Ray Train worker, and a gloo channel beside it for plain Python values.

    Control messages must not go through NCCL, which would keep an idle GPU busy and pickles nothing.
    """

    def __init__(self) -> None:
        context = train.get_context()
        device = get_device()
        assert isinstance(device, torch.device)
        self.group = Group(context.get_world_rank(), context.get_world_size(), device)
        self._control = dist.new_group(backend="gloo", timeout=timedelta(minutes=30)) if self.group.world > 1 else None

    def from_leader(self, ask: Callable[[], T]) -> T:
        """What `ask` returns on rank 0, on every rank; the others wait."""
        value = ask() if self.group.leads else None
        if self._control is None:
            return cast(T, value)
        box = [value]
        dist.broadcast_object_list(box, src=0, group=self._control)
        return cast(T, box[0])

    def gather(self, value: T) -> list[T]:
        """Every rank's value, in order of rank, on every rank."""
        if self._control is None:
            return [value]
        box: list[Any] = [None] * self.group.world
        dist.all_gather_object(box, value, group=self._control)
        return box


def run_worker_group(
    function: Callable[[dict[str, Any]], None],
    config: dict[str, Any],
    name: str,
    storage: str,
    workers: int,
    gpus_per_worker: float,
) -> None:
    """Run `function(config)` on each of `workers` ranks until it returns; a group that loses a rank is restarted.

    Blocks. `gpus_per_worker` of 0 trains on CPUs over gloo, anything else on GPUs over NCCL.
    """
    resources = {"CPU": CPU_SHARE} | ({"GPU": gpus_per_worker} if gpus_per_worker else {})
    TorchTrainer(
        function,
        train_loop_config=config,
        torch_config=TorchConfig(backend="nccl" if gpus_per_worker else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=workers, use_gpu=bool(gpus_per_worker), resources_per_worker=resources
        ),
        run_config=RunConfig(name=name, storage_path=storage, failure_config=FailureConfig(max_failures=-1)),
    ).fit()
