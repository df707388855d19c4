"""Ray Train run of a worker group: one function on every rank, until it returns or the group loses a rank.

Ray Train places the workers; whoever called starts a group again. Its controller runs in the caller's thread, and a
rank that is alone has no actor to meet others at. As processes, which is how Ray Train starts them beside each group,
the two would take four seconds of CPU time and 350 MB at each start of one.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ray
from ray.train import BackendConfig, ControllerError, FailureConfig, RunConfig, ScalingConfig
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError
from ray.train.v2._internal.execution.callback import WorkerGroupCallback
from ray.train.v2._internal.execution.checkpoint.sync_actor import SynchronizationActor
from ray.train.v2._internal.execution.controller import TrainController
from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy
from ray.train.v2._internal.execution.worker_group import WorkerGroup
from ray.train.v2._internal.execution.worker_group.state import WorkerGroupState, WorkerGroupStateBuilder
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from ray.util.placement_group import PlacementGroup, remove_placement_group

from vaeforge.search.dispatch.oom_watch import OomWatch

LOOK_SECONDS = 1  # between two looks, of one that waits for room, at whether it is to end


class InsufficientResourcesError(Exception):
    """A worker group found no room in the cluster within RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S."""


class EndedError(Exception):
    """A run was ended while it started."""


class TrainRun:
    """One run of a worker group: `run` in one thread, `end` from another.

    Attributes:
        memory: says whether a kernel has ended a process where it ran.
    """

    def __init__(self, name: str, storage: str, workers: int, resources: dict[str, float], grows: bool = False):
        """
        Args:
            name: of the run, for Ray Train.
            storage: a folder where Ray Train may leave files.
            workers: ranks of the group.
            resources: of one worker, {"CPU": …} or {"CPU": …, "GPU": …}.
            grows: whether the cluster may add nodes, for which Ray Train then asks.
        """
        self._name, self._storage, self._grows = name, storage, grows
        self._workers, self._resources = workers, resources
        self._room, self.memory = _Room(), OomWatch()

    def run(self, function: Callable[[], None]) -> None:
        """Run `function` on each rank until it returns; a group that loses a rank ends.

        Blocks. Workers share a node where they fit on one, and span nodes where they do not. The function is pickled;
        what it needs is bound to it (`functools.partial`).

        Raises:
            InsufficientResourcesError: if the cluster has no room now.
            ray.train.TrainingFailedError: if a rank fails or dies, what each failed with is in `worker_failures`; or if
                the run was ended.
        """
        trainer = _Trainer(
            function,
            backend_config=BackendConfig(),
            scaling_config=ScalingConfig(
                num_workers=self._workers,
                use_gpu="GPU" in self._resources,
                resources_per_worker=self._resources,
                placement_strategy="PACK",
            ),
            run_config=RunConfig(
                name=self._name,
                storage_path=self._storage,
                # the caller waits for room and starts the group again itself: Ray Train would do both for ever,
                # silently, and cannot be interrupted
                failure_config=FailureConfig(max_failures=0, controller_failure_limit=0),
            ),
        )
        trainer.grows, trainer.watching = self._grows, [self._room, self.memory]
        try:
            trainer.fit()
        except ControllerError as error:
            if isinstance(error.controller_failure, WorkerGroupStartupTimeoutError):
                raise InsufficientResourcesError(
                    f"no room for {self._workers} worker(s) of {self._resources}"
                ) from error
            raise
        finally:
            self._room.close()  # a start that fails late keeps it

    def end(self) -> None:
        """Take the group's room away: its workers are killed, and `run` raises soon, whatever it waits for."""
        self._room.close()


class _Room(WorkerGroupCallback):
    """The placement group of a run, once there is one, as long as the run may have it.

    It is a callback to be at hand where Ray Train makes the placement group, and is asked for nothing.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._group: PlacementGroup | None = None
        self.closed = False

    def require(self) -> None:
        """
        Raises:
            EndedError: if the run is to end.
        """
        if self.closed:
            raise EndedError("the worker group was ended while it started")

    def take(self, group: PlacementGroup) -> None:
        with self._lock:
            self._group = group
            if not self.closed:
                return
        remove_placement_group(group)
        self.require()

    def close(self) -> None:
        with self._lock:
            self.closed, group = True, self._group
        if group is not None and ray.is_initialized():  # else gone with the cluster
            remove_placement_group(group)


class _Trainer(DataParallelTrainer):
    """Ray Train's own, without the processes that it starts beside a group and that have nothing to do here.

    One serves Ray datasets, of which there are none. Another watches for the death of the controller, which here is
    this process. A third asks for nodes, which a cluster of one machine cannot add.

    Attributes:
        grows: whether the cluster may add nodes.
        watching: callbacks of the run.
    """

    grows: bool
    watching: list[WorkerGroupCallback]

    def _initialize_and_run_controller(self, **settings: Any) -> Any:
        if not self.grows:
            settings["scaling_policy"] = _GivenSize(self.scaling_config)
        controller = _Controller(**settings)
        asyncio.run(controller.run())
        return controller.get_result()

    def _create_default_callbacks(self) -> list[Any]:
        found = super()._create_default_callbacks()
        kept = [one for one in found if not isinstance(one, DatasetsCallback | PlacementGroupCleanerCallback)]
        return [*kept, *self.watching]


class _GivenSize(FixedScalingPolicy):
    """A group of one size in a cluster that stays as it is: nothing is asked of an autoscaler."""

    def after_controller_start(self, train_run_context: Any) -> None:
        """No coordinator of requests for nodes, which would be an actor of its own."""

    def _maybe_send_resource_request(self) -> None:
        """Nobody to send it to."""


@dataclass(frozen=True)
class _State(WorkerGroupState):
    """A group that runs; `sync_actor` is none where a rank is alone."""

    def shutdown(self) -> None:
        """At once: ranks have nothing to do before they end."""
        for actor in (*(worker.actor for worker in self.workers), self.sync_actor):
            if actor is not None:
                ray.kill(actor)
        self.placement_group_handle.shutdown()


class _Group(WorkerGroup):
    """Ray Train's own, started by a process that is no actor."""

    def _start_impl(self, worker_group_state_builder: WorkerGroupStateBuilder) -> None:
        context, builder = self._worker_group_context, worker_group_state_builder
        for callback in self._callbacks:
            callback.before_worker_group_start(context)
        handle = self._create_placement_group(self._train_run_context.scaling_config, context)
        builder.with_placement_group_handle(handle)
        self._wait_for(handle)
        meeting = SynchronizationActor.remote() if context.num_workers > 1 else None
        builder.with_sync_actor(meeting)
        workers = self._create_workers(context.num_workers, handle.placement_group, context.resources_per_worker)
        builder.with_workers(workers)
        self._worker_rank_to_replica_group_rank = {worker.distributed_context.world_rank: 0 for worker in workers}
        self._init_train_context(workers, meeting)
        self._worker_group_state = _State(time.monotonic(), handle, workers, meeting)
        for callback in self._callbacks:
            callback.after_worker_group_start(self)
        ray.get([worker.actor.run_train_fn.remote(context.train_fn_ref) for worker in workers])

    def _wait_for(self, handle: Any) -> None:
        """
        Raises:
            EndedError: if the run is to end meanwhile.
            WorkerGroupStartupTimeoutError: if the cluster has no room.
        """
        [room] = [callback for callback in self._callbacks if isinstance(callback, _Room)]
        room.take(handle.placement_group)
        deadline = time.monotonic() + self._worker_group_start_timeout_s
        while not handle.wait(LOOK_SECONDS):
            room.require()
            if time.monotonic() > deadline:
                raise WorkerGroupStartupTimeoutError(num_workers=self._worker_group_context.num_workers)

    def _init_train_context_on_workers(self, workers: Any, sync_actor: Any, train_context_args: Any) -> None:
        """As Ray Train's own, which asks which actor it runs in."""
        given = [{name: values[rank] for name, values in train_context_args.items()} for rank in range(len(workers))]
        ray.get(
            [
                worker.actor.init_train_context.remote(
                    train_run_context=self._train_run_context,
                    distributed_context=worker.distributed_context,
                    synchronization_actor=sync_actor,
                    storage_context=self._storage_context,
                    worker_callbacks=self._worker_callbacks_to_propagate,
                    controller_actor=None,
                    **own,
                )
                for worker, own in zip(workers, given, strict=True)
            ]
        )

    @staticmethod
    def _get_worker_runtime_env(custom_runtime_env: Any) -> dict[str, Any]:
        """Nothing: workers have the environment of their node, or of the job, and so take a process that is up."""
        return dict(custom_runtime_env)


class _Controller(TrainController):
    """Ray Train's own, for groups that are started here."""

    worker_group_cls = _Group

    async def _poll_workers(self) -> Any:
        if not ray.is_initialized():  # a poll would start another cluster
            raise EndedError("Ray has gone")
        return await super()._poll_workers()
