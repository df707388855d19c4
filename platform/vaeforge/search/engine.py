"""Running a search: Tune decides in one thread, hosts train in their own processes, this one watches over both.

In the order of the file: what a search returns, the run itself, the cluster, the pieces that Tune is given, the
watch, and the end.
"""

import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from vaeforge.errors import SearchError
from vaeforge.search.history import History, read_history
from vaeforge.search.interrupt import Interrupt
from vaeforge.search.ledger import Ledger
from vaeforge.search.plan import Plan
from vaeforge.search.resources import Placement, place
from vaeforge.search.session import Session
from vaeforge.search.view import View

TICK_SECONDS = 0.25
SNAPSHOT_SECONDS = 1.0
CARE_SECONDS = 5.0
END_SECONDS = 20.0


@dataclass(frozen=True)
class Outcome:
    """How a search ended: its history, 0 or the exit code of an interruption, and the seconds that its parts took."""

    history: History
    exit_code: int
    timings: dict[str, float]


def run_search(plan: Plan, earlier: History, session: Session, console: Console) -> Outcome:
    """Run or continue `plan` until all its trials have ended or someone interrupts it.

    The caller holds the session's lock and has written the search's header.

    Raises:
        ResourceError: if the cluster is too small.
        SearchError: if hosts cannot be kept running or the ledger cannot be written.
    """
    started = time.monotonic()
    with Interrupt() as interrupt, _scratch() as scratch, _cluster(plan, interrupt) as placement:
        run = _Run(plan, earlier, session, placement, scratch, interrupt)
        timings = {"cluster_seconds": time.monotonic() - started}
        with View(console, plan.name, plan.settled.search.trials, plan.space.fidelity.max) as view:
            run.watch(view)
        run.end(time.monotonic() - started)
        timings |= {"sampler_seconds": run.sampler.ask_seconds}
    timings["search_seconds"] = time.monotonic() - started
    exit_code = 128 + interrupt.signal if interrupt.signal else 0
    return Outcome(read_history(plan.ledger), exit_code, timings)


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for what Tune and Train write and nobody reads: their state is not what a search resumes from."""
    folder = Path(tempfile.mkdtemp(prefix="vaeforge-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _settle_environment() -> None:
    """Before Ray is imported: no telemetry, tokens on, code on the workers' path, and Ray's own noise off."""
    roots = [
        str(Path(module.__file__ or "").parents[1])
        for module in map(sys.modules.get, ("vaeforge", "vaeforge_models"))
        if module
    ]
    os.environ["PYTHONPATH"] = os.pathsep.join([*roots, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    defaults = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
        "RAY_AIR_NEW_OUTPUT": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_GLOBAL_CHECKPOINT_S": "3600",
        "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "3600",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


@contextmanager
def _cluster(plan: Plan, interrupt: Interrupt) -> Iterator[Placement]:
    """Ray, on this machine or at the plan's address, with room for the search."""
    _settle_environment()
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if ray.is_initialized():
        owned = False
    else:
        owned = True
        if plan.address:
            # workers of a cluster that runs already find the code where this process does: on the shared folder
            paths = {"env_vars": {"PYTHONPATH": os.environ["PYTHONPATH"]}}
            ray.init(address=plan.address, runtime_env=paths, **quiet)
        else:
            ray.init(address="local", num_cpus=os.cpu_count(), include_dashboard=False, **quiet)
    interrupt.install()  # Ray takes SIGTERM for itself
    try:
        there = ray.cluster_resources()
        yield place(plan.settled.search, there.get("CPU", 0.0), there.get("GPU", 0.0))
    finally:
        if owned:
            ray.shutdown()


class _Run:
    """One session of one search."""

    def __init__(
        self, plan: Plan, earlier: History, session: Session, placement: Placement, scratch: Path, interrupt: Interrupt
    ):
        from vaeforge.search.hosts import Hosts
        from vaeforge.search.rungs import Rungs
        from vaeforge.search.sampler import TruthfulSearch

        self.plan, self.session, self.placement = plan, session, placement
        self.scratch, self.interrupt = scratch, interrupt
        search, base = plan.settled.search, plan.settled.experiment
        self.broker = _start_broker(plan)
        self.hosts = Hosts(placement, _host_config(plan, self.broker), str(scratch))
        self.hosts.start()
        self.rungs = Rungs(plan.space.fidelity)
        self.rungs.replay(earlier)
        journal = plan.folder / "optuna.journal"
        self.sampler = TruthfulSearch(plan.space, base, earlier, search.seed, search.trials, journal)
        self.problem: BaseException | None = None
        self.tune = threading.Thread(target=self._tune, daemon=True)
        self.tune.start()

    def _tune(self) -> None:
        """Tune's own loop, in a thread of its own so that signals stay ours."""
        try:
            if self.sampler.remaining:
                self._tuner().fit()
        except BaseException as error:  # re-raised by the watch
            self.problem = error

    def _tuner(self) -> Any:
        from ray import tune

        from vaeforge.search.scheduler import GroupedASHA, OnRequest
        from vaeforge.search.trial import HostedTrial

        trainable = tune.with_resources(tune.with_parameters(HostedTrial, broker=self.broker), {"CPU": 0.01})
        return tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                num_samples=self.sampler.remaining,
                # one more than hosts, so that a host that ends a trial finds the next one waiting
                max_concurrent_trials=self.placement.hosts + 1,
                reuse_actors=True,
                search_alg=self.sampler,
                scheduler=GroupedASHA(self.rungs, self._decide),
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(self.scratch),
                verbose=0,
                stop=OnRequest(self.interrupt.requested),
                failure_config=tune.FailureConfig(max_failures=-1),
            ),
        )

    def _decide(self, number: int, epoch: int, action: str, value: float, cutoff: float | None) -> None:
        import ray

        ray.get(self.broker.decide.remote(number, epoch, action, value, cutoff))

    def watch(self, view: View) -> None:
        """Until Tune is done or someone interrupts: show, remember processes, end workers that hang."""
        shown = cared = 0.0
        while self.tune.is_alive() and not self.interrupt.requested.is_set():
            now = time.monotonic()
            if now - shown >= SNAPSHOT_SECONDS:
                shown = now
                self._show(view)
            if now - cared >= CARE_SECONDS:
                cared = now
                self._care(view)
            self.tune.join(TICK_SECONDS)
        if self.problem is not None:
            raise SearchError(f"search {self.plan.name!r}: Ray Tune failed: {self.problem!r}") from self.problem
        self._show(view)

    def _show(self, view: View) -> None:
        import ray

        snapshot = ray.get(self.broker.snapshot.remote())
        if snapshot["failure"]:
            raise SearchError(f"search {self.plan.name!r}: {snapshot['failure']}; free the disk, then --resume")
        view.update(snapshot)

    def _care(self, view: View) -> None:
        import ray

        from vaeforge.search.hosts import kill_processes

        self.session.remember()
        kill_processes(ray.get(self.broker.overdue.remote()))
        if self.hosts.alive == 0 and self.tune.is_alive():
            raise SearchError(f"search {self.plan.name!r}: no host could be kept running: {self.hosts.errors!r}")
        for error in self.hosts.new_errors():
            view.console.print(f"[yellow]warning[/]: a host ended, the others go on: {error!r}", highlight=False)

    def end(self, seconds: float) -> None:
        """Say in the ledger how the session ended, and let hosts return."""
        import ray

        self.sampler.interrupted = self.interrupt.signal is not None
        ray.get(self.broker.close.remote())
        if self.interrupt.signal is not None:
            self.tune.join(END_SECONDS / 4)
            ray.get(self.broker.record.remote("interrupted", signal=self.interrupt.signal.name))
        else:
            ray.get(self.broker.record.remote("ended", **_ending(self.plan, seconds)))
            self.hosts.join(END_SECONDS)


def _ending(plan: Plan, seconds: float) -> dict[str, Any]:
    history = read_history(plan.ledger)
    best = history.ranked()[:1]
    return {
        "reason": "trials",
        "seconds": seconds,
        "trials": len(history.trials),
        "best": best[0].number if best else None,
        "value": best[0].value if best else None,
    }


def _start_broker(plan: Plan) -> Any:
    """The broker, on this node, restarted whenever it dies."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from vaeforge.search.broker import Broker

    search = plan.settled.search
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "max_concurrency": 1000}
    actor = ray.remote(Broker).options(scheduling_strategy=here, **options)
    return actor.remote(str(plan.folder), plan.space.fidelity.rungs(), search.attempts, search.keep_checkpoints)


def _host_config(plan: Plan, broker: Any) -> dict[str, Any]:
    return {
        "broker": broker,
        "folder": str(plan.folder),
        "prepared": str(plan.prepared.folder),
        "space": dict(plan.space.content),
        "space_source": plan.space.source,
        "experiment": plan.settled.experiment.model_dump(mode="json"),
        "seed": plan.settled.search.seed,
    }


def open_search(plan: Plan, earlier: History, project_run_id: str | None) -> None:
    """Write the ledger's next line: what is searched, or that it goes on."""
    ledger = Ledger(plan.ledger)
    try:
        if earlier.header is None:
            ledger.append("search", **plan.header, project_run_id=project_run_id)
        else:
            ledger.append("resumed", project_run_id=project_run_id, trials=plan.settled.search.trials)
    finally:
        ledger.close()
