"""What the driver starts in the cluster: the broker on its own node, and what each host is told."""

from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from vaeforge.errors import ResourceError
from vaeforge.search.budget import Limits
from vaeforge.search.dispatch.checkpoint_retention import checkpoint_root
from vaeforge.search.dispatch.data_transfer import ship, unseen_nodes
from vaeforge.search.dispatch.dispatcher_actor import Broker
from vaeforge.search.dispatch.resources import Placement
from vaeforge.search.dispatch.types import Terms
from vaeforge.search.dispatch.worker import HostConfig
from vaeforge.search.plan import Plan
from vaeforge.search.schedulers.base import Scheduler
from vaeforge.train.checkpoint_files import require_usable


def terms_of(plan: Plan, scheduler: Scheduler, placement: Placement) -> Terms:
    """What the board of this search goes by."""
    search = plan.config.search
    return Terms(
        epochs=scheduler.epochs,
        yields=scheduler.releases_worker,
        attempts=search.attempts,
        cores=float(placement.workers * placement.threads),
        gpus=placement.workers * placement.gpus_per_worker,
        limits=Limits.of(search.budget.model_dump()),
        floors=tuple(plan.space.objective.floors.items()),
    )


def start_broker(plan: Plan, terms: Terms) -> Any:
    """The broker, on this node, restarted whenever it dies."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "max_concurrency": 1000}
    actor = ray.remote(Broker).options(scheduling_strategy=here, **options)
    search = plan.config.search
    # a finalist whose model is to be handed on must still have it when it has been repeated
    keep = max(search.keep_checkpoints, search.finalists if search.repeats > 1 else 0)
    return actor.remote(str(plan.folder), terms, keep, plan.space.objective)


def host_config(plan: Plan, broker: Any) -> HostConfig:
    """What every rank of every host is told."""
    search = plan.config.search
    limit = search.host_memory_gb
    return HostConfig(
        broker=broker,
        checkpoints=checkpoint_root(plan.header, plan.folder),
        shipment=ship(plan.prepared, cluster=plan.address is not None),
        space=plan.space,
        experiment=plan.config.experiment,
        seed=search.seed,
        memory_limit=None if limit is None else int(limit * 1e9),
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
