"""Ray cluster that a search runs on: this machine, or one at an address."""

import importlib
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from vaeforge.job_limits import job_cores
from vaeforge.search.dispatch.ray_memory import require_memory
from vaeforge.search.dispatch.ray_messages import messages_kept
from vaeforge.search.dispatch.ray_session import close_token_file, own_session
from vaeforge.search.dispatch.ray_start import start_patiently, without_idle_processes
from vaeforge.search.dispatch.resources import Placement, Supply, place_on
from vaeforge.search.plan import Plan
from vaeforge.search.signals import InterruptHandler

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    # a thread that is late when a search ends must not start, or join, another cluster
    "RAY_ENABLE_AUTO_CONNECT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "3600",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.25",
    # a worker group that finds no room gives its request up soon and waits in the driver, which can be interrupted
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "10",
    # Ray runs workers at niceness 15, behind whatever else this machine does, our own tracking included
    "RAY_worker_niceness": "0",
    "OMP_WAIT_POLICY": "PASSIVE",  # see cli.main
    # processes and threads of each worker group that nothing here uses
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    # Ray Train's controllers run in this process, whose logs are its own affair
    "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",
    # ranks of one node see each other's GPUs, as NCCL wants it; Ray Train does so by itself for its own torch backend
    "TRAIN_ENABLE_SHARE_CUDA_VISIBLE_DEVICES": "1",
}
PINNED = 0.0001  # of a node's own resource, of which each has 1
LATER = (
    "vaeforge.search.dispatch.worker_groups",
    "ray.tune",
    "vaeforge.search.ray_searcher",
    "vaeforge.search.samplers.optuna_bridge.own_samplers",
)


@contextmanager
def cluster(plan: Plan, interrupt: InterruptHandler, console: Console) -> Iterator[Placement]:
    """Ray, on this machine or at the plan's address, and what of the search there is room for now.

    Args:
        plan: the search.
        interrupt: takes its signals back from Ray.
        console: where is said what is unusual about a Ray on this machine.

    Raises:
        ResourceError: if the cluster could never hold one worker group, or this machine's memory is in use.
    """
    settle_environment()
    import ray

    with messages_kept(plan.folder), ExitStack() as session:
        owned = not ray.is_initialized()
        if owned:
            if plan.address is None:
                require_memory()
            # a second or more of imports, made while Ray's processes start and this one waits for them
            imports = threading.Thread(target=_import_ahead, daemon=True)
            imports.start()
            if plan.address is None:
                folder = session.enter_context(own_session(console))
            else:
                folder = None
                close_token_file(console)
            _start(plan.address, folder, console)
            imports.join()
        interrupt.install()  # Ray takes SIGTERM for itself
        try:
            nodes, free = supplies()
            # what has just been started reports what is free a moment later
            yield place_on(plan.config.search, nodes, _whole(nodes) if owned and not plan.address else free)
        finally:
            if owned:
                ray.shutdown()


def settle_environment() -> None:
    """Before Ray is imported: no telemetry, tokens on, code on the workers' path, and what nobody here uses off."""
    roots = [
        str(Path(module.__file__ or "").parents[1])
        for module in map(sys.modules.get, ("vaeforge", "vaeforge_models"))
        if module
    ]
    os.environ["PYTHONPATH"] = os.pathsep.join([*roots, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)


def _start(address: str | None, folder: str | None, console: Console) -> None:
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        own: dict[str, Any] = {"num_cpus": job_cores(), "include_dashboard": False, "_temp_dir": folder}
        with without_idle_processes():
            start_patiently(lambda: ray.init(address="local", **own, **quiet), console)
        return
    from vaeforge.search.dispatch.data_transfer import code_packages

    # processes of a cluster that runs already have neither this one's environment nor its code
    settings = {name: os.environ[name] for name in SETTINGS if name not in ("RAY_AUTH_MODE",)}
    ray.init(address=address, runtime_env={"py_modules": code_packages(), "env_vars": settings}, **quiet)


def _import_ahead() -> None:
    """What the search needs next; an import that fails here fails again where it is needed, and is told there."""
    for name in LATER:
        try:
            importlib.import_module(name)
        except Exception:
            return


def pin_to_this_node() -> dict[str, float]:
    """What a process must reserve beside a share of a core to run on the node of this one; nothing where that has none.

    For Tune's thin trials: the end of the driver's node is that of the search, that of another is not.
    """
    import ray

    here = ray.get_runtime_context().get_node_id()
    (resources,) = (node["Resources"] for node in ray.nodes() if node["NodeID"] == here)
    named = [name for name in resources if name.startswith("node:") and "__" not in name]
    return dict.fromkeys(named, PINNED) if resources.get("CPU", 0.0) >= 1 else {}


def supplies() -> tuple[list[Supply], Supply]:
    """What each living node of the cluster has, and what of all that is unused now."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    free = ray.available_resources()
    return [_supply(node) for node in nodes], _supply(free)


def _supply(resources: dict[str, float]) -> Supply:
    return Supply(resources.get("CPU", 0.0), resources.get("GPU", 0.0))


def _whole(nodes: list[Supply]) -> Supply:
    return Supply(sum(node.cpus for node in nodes), sum(node.gpus for node in nodes))
