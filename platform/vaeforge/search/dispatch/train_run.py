"""Ray Train run of a worker group: one function on every rank, until it returns or the group loses a rank.

Ray Train places the workers; whoever called starts a group again. Its controller, a process beside each group, imports
this module, which therefore brings no torch: that would cost a second of CPU time and 200 MB for each.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.train import BackendConfig, ControllerError, FailureConfig, RunConfig, ScalingConfig
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError
from ray.train.v2._internal.execution.callback import WorkerGroupCallback
from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy
from ray.train.v2._internal.execution.worker_group import WorkerGroup
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from ray.util.placement_group import PlacementGroup, remove_placement_group


class InsufficientResourcesError(Exception):
    """A worker group found no room in the cluster within RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S."""


class _Trainer(DataParallelTrainer):
    """Ray Train's own, without the processes that it starts beside a group and that have nothing to do here.

    One serves Ray datasets, of which there are none. Another watches for the death of the group's controller, to give
    back what the group had reserved, by asking a dashboard that is not there, for twelve seconds at the end of a run:
    here the caller is told of that death anyway, and calls `give_back`. A third asks for nodes, which a
    cluster of one machine cannot add.

    Attributes:
        grows: whether the cluster may add nodes.
    """

    grows = False

    def _initialize_and_run_controller(self, **settings: Any) -> Any:
        if not self.grows:
            settings["scaling_policy"] = _GivenSize(self.scaling_config)
        return super()._initialize_and_run_controller(**settings)

    def _create_default_callbacks(self) -> list[Any]:
        found = super()._create_default_callbacks()
        kept = [one for one in found if not isinstance(one, DatasetsCallback | PlacementGroupCleanerCallback)]
        return [*kept, _Reservation(_reserved(str(self.run_config.storage_path), str(self.run_config.name)))]


class _GivenSize(FixedScalingPolicy):
    """A group of one size in a cluster that stays as it is: nothing is asked of an autoscaler."""

    def after_controller_start(self, train_run_context: Any) -> None:
        """No coordinator of requests for nodes, which would be an actor of its own."""

    def _maybe_send_resource_request(self) -> None:
        """Nobody to send it to."""


class _Reservation(WorkerGroupCallback):
    """Notes for the caller, in a file, the placement group that the workers run in while they do."""

    def __init__(self, path: Path):
        self.path = path

    def after_worker_group_start(self, worker_group: WorkerGroup) -> None:
        group = worker_group.get_worker_group_state().placement_group_handle.placement_group
        self.path.write_text(group.id.hex())

    def after_worker_group_shutdown(self, worker_group_context: Any) -> None:
        self.path.unlink(missing_ok=True)


def run_worker_group(
    function: Callable[[], None],
    name: str,
    storage: str,
    workers: int,
    resources: dict[str, float],
    grows: bool = False,
) -> None:
    """Run `function` on each of `workers` ranks until it returns; a group that loses a rank ends.

    Blocks. Workers share a node where they fit on one, and span nodes where they do not.

    Args:
        function: what every rank runs; pickled. What it needs is bound to it (`functools.partial`): a
            `train_loop_config` would be unpickled, and its imports made, by the group's controller too.
        name: of the run, for Ray Train.
        storage: a folder where Ray Train may leave files.
        workers: ranks of the group.
        resources: of one worker, {"CPU": …} or {"CPU": …, "GPU": …}.
        grows: whether the cluster may add nodes, for which Ray Train then asks.

    Raises:
        InsufficientResourcesError: if the cluster has no room now.
        ray.train.TrainingFailedError: if a rank fails or dies; what each failed with is in `worker_failures`.
    """
    trainer = _Trainer(
        function,
        backend_config=BackendConfig(),
        scaling_config=ScalingConfig(
            num_workers=workers,
            use_gpu="GPU" in resources,
            resources_per_worker=resources,
            placement_strategy="PACK",
        ),
        run_config=RunConfig(
            name=name,
            storage_path=storage,
            # the caller waits for room and starts the group again itself: Ray Train would do both for ever, silently,
            # and cannot be interrupted
            failure_config=FailureConfig(max_failures=0, controller_failure_limit=0),
        ),
    )
    trainer.grows = grows
    try:
        trainer.fit()
    except ControllerError as error:
        if isinstance(error.controller_failure, WorkerGroupStartupTimeoutError):
            raise InsufficientResourcesError(f"no room for {workers} worker(s) of {resources}") from error
        raise


def give_back(name: str, storage: str) -> None:
    """Remove the placement group that a controller which was killed has left: it would live as long as the job.

    Not while Ray shuts down, which may be in another thread: a call to a cluster that is gone ends this process.

    Args:
        name: of the run, as it was given to `run_worker_group`.
        storage: as it was given to `run_worker_group`.
    """
    reserved = _reserved(storage, name)
    with contextlib.suppress(FileNotFoundError):
        left = reserved.read_text()
        if ray.is_initialized():  # else gone with the cluster, and the call would start another one
            remove_placement_group(PlacementGroup(ray.PlacementGroupID.from_hex(left)))
        reserved.unlink()


def _reserved(storage: str, name: str) -> Path:
    """Where a group's controller, on this node, writes which placement group is the workers'."""
    return Path(storage, f"{name}.placement_group")
