"""Ray actor of the dispatcher, on the driver's node, and what the dispatcher and each worker are told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from vaeforge.errors import ResourceError
from vaeforge.ledger.checkpoint_places import checkpoint_root
from vaeforge.search.budget import BudgetLimits
from vaeforge.search.dispatch.data_transfer import publish_data, unseen_nodes
from vaeforge.search.dispatch.dispatcher_actor import DispatcherActor
from vaeforge.search.dispatch.group_failure import GroupFailure
from vaeforge.search.dispatch.resources import Placement
from vaeforge.search.dispatch.types import DispatchConfig
from vaeforge.search.dispatch.worker import WorkerConfig
from vaeforge.search.plan import Plan
from vaeforge.search.schedulers.base import Scheduler
from vaeforge.training.checkpoint_files import require_usable

# calls that may wait in the dispatcher: two for each worker group's trial (Tune's for its report, the group's for its
# answer). Were it less, they would take all places and keep out the reports that they wait for.
MOST_CALLS = 100_000


def dispatch_config(plan: Plan, scheduler: Scheduler, placement: Placement) -> DispatchConfig:
    """What the dispatcher of this search goes by."""
    search = plan.config.search
    return DispatchConfig(
        epochs=scheduler.epochs,
        releases_worker=scheduler.releases_worker,
        attempts=search.attempts,
        hang_seconds=search.hang_seconds,
        cores=float(placement.workers * placement.threads),
        gpus=placement.workers * placement.gpus_per_worker,
        limits=BudgetLimits.of(search.budget.model_dump()),
        floors=tuple(plan.space.objective.floors.items()),
    )


def start_dispatcher(plan: Plan, config: DispatchConfig) -> Any:
    """The dispatcher, on this node, restarted whenever it dies."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "max_concurrency": MOST_CALLS}
    actor = ray.remote(DispatcherActor).options(scheduling_strategy=here, **options)
    search = plan.config.search
    # a finalist whose model is to be handed on must still have it when it has been repeated
    keep = max(search.keep_checkpoints, search.finalists if search.repeats > 1 else 0)
    return actor.remote(str(plan.folder), config, keep, plan.space.objective)


@dataclass(frozen=True)
class GroupCalls:
    """What is asked of the dispatcher about worker groups; waits for the answer."""

    dispatcher: Any

    def generation(self, number: int) -> int:
        return int(ray.get(self.dispatcher.generation.remote(number)))

    def released(self, number: int) -> bool:
        return bool(ray.get(self.dispatcher.released.remote(number)))

    def failed(self, failure: GroupFailure) -> int:
        return int(ray.get(self.dispatcher.failed.remote(failure.number, failure.cause, failure.text)))


def worker_config(plan: Plan, dispatcher: Any, data: Path, lanes: int | Literal["auto"]) -> WorkerConfig:
    """What every rank of every worker group is told; the training data are kept in the folder `data`."""
    search = plan.config.search
    limit = search.host_memory_gb
    return WorkerConfig(
        dispatcher=dispatcher,
        checkpoints=checkpoint_root(plan.header, plan.folder),
        data=publish_data(plan.prepared, data, cluster=plan.address is not None),
        space=plan.space,
        experiment=plan.config.experiment,
        seed=search.seed,
        memory_limit=None if limit is None else int(limit * 1e9),
        lanes=lanes,
        trials=search.trials,
    )


def require_shared(plan: Plan) -> None:
    """Refuse, before anything trains, a search on nodes that cannot see where its checkpoints are to lie.

    Raises:
        ResourceError: naming the nodes.
        ConfigError: if the storage cannot be written and read.
    """
    root = checkpoint_root(plan.header, plan.folder)
    if "://" in root:
        require_usable(root)
    elif plan.address is not None:
        Path(root).mkdir(parents=True, exist_ok=True)
        unseen = unseen_nodes(Path(root))
        if unseen:
            raise ResourceError(
                f"search.storage: checkpoints are to lie in {root}, which not all nodes of the cluster share: "
                f"{'; '.join(unseen)}: give --storage a folder that all of them see, or a URL such as s3://bucket/prefix"
            )
