"""Engine of a search: runs Ray Tune in a thread, worker groups beside it, and watches over both until the end.

`search/step.py` calls `run_search`, once the search has its name, its lock and its ledger. Nothing is trained here and
nothing decided: Tune asks the searcher for trials and the scheduler for decisions, each of its trials is a `TuneTrial`
that trains nothing, and the dispatcher, an actor that owns the ledger, hands the trials to the worker groups. Ray is
imported inside of functions: it takes seconds, and a refused search should not wait for it.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from vaeforge.errors import SearchError
from vaeforge.ledger.events import SearchInterrupted
from vaeforge.ledger.history import SearchHistory, read_history
from vaeforge.search.dispatch.cluster import cluster
from vaeforge.search.dispatch.kept_data import kept_data
from vaeforge.search.dispatch.liveness import FIRST_EPOCH
from vaeforge.search.dispatch.node_watch import NodeWatch
from vaeforge.search.dispatch.process_starts import START_SECONDS
from vaeforge.search.dispatch.resources import Placement
from vaeforge.search.node_loss import GO_ON, NodeLoss
from vaeforge.search.plan import Plan
from vaeforge.search.progress_view import OPEN, Mode, ProgressView
from vaeforge.search.requests import done, pending
from vaeforge.search.results.search_end import search_ended
from vaeforge.search.search_lock import SearchLock
from vaeforge.search.signals import InterruptHandler

if TYPE_CHECKING:  # Ray, which brings seconds of imports, starts first
    from vaeforge.search.dispatch.snapshot import Snapshot

TICK_SECONDS = 0.25  # between two looks of the watch at Tune's thread and at signals
MOST_STARTS = 64  # of trials at once where their number is still to be measured
SNAPSHOT_SECONDS = 1.0  # between two snapshots, after which requests of other processes are handled, too
HEALTH_CHECK_SECONDS = 5.0
GOODBYE_SECONDS = 1.0  # that ranks have to return once the dispatcher has told them of the end
END_SECONDS = 20.0  # that worker groups have to return, and Tune's thread after an interruption


@dataclass(frozen=True)
class SessionOutcome:
    """How a session of a search ended.

    Attributes:
        history: of all sessions.
        exit_code: 0, or 128 + the signal that interrupted it.
        timings: seconds that its parts took, as they are written into `timings.json`.
    """

    history: SearchHistory
    exit_code: int
    timings: dict[str, float]


def run_search(
    plan: Plan, begin: Callable[[], SearchHistory], lock: SearchLock, console: Console, mode: Mode = "live"
) -> SessionOutcome:
    """Run or continue `plan` until all its trials have ended, its budget is used up, or someone interrupts it.

    Args:
        plan: the search, checked and named.
        begin: writes this session's first lines into the ledger and returns the history until then. It is called once
            the cluster is known to be large enough, so that a refused search leaves nothing behind.
        lock: the search's lock, held by the caller; this process's children are noted there.
        console: where progress is shown.
        mode: how progress is shown; `json` writes to standard output instead.

    Raises:
        ResourceError: if the cluster is too small.
        SearchError: if no worker group can be kept running, Tune fails, or the ledger cannot be written.
    """
    started = time.monotonic()
    with (
        InterruptHandler() as interrupt,
        # the state of Tune and Train, which nothing reads: a search resumes from its ledger
        tempfile.TemporaryDirectory(prefix="vaeforge-", ignore_cleanup_errors=True) as scratch,
        kept_data(plan.prepared, plan.folder) as data,
        cluster(plan, interrupt, console) as placement,
        NodeWatch(loss := NodeLoss(plan, interrupt, (Path(scratch), data)), own=plan.address is None) as node,
    ):
        from vaeforge.search.dispatch.ray_actors import require_shared

        require_shared(plan)
        timings, earlier = {"cluster_seconds": time.monotonic() - started}, begin()
        shown = Console(file=sys.stdout) if mode == "json" else console
        total, space = plan.config.search.trials, plan.space
        ended = [trial.number for trial in earlier.ended_trials]
        with ProgressView(shown, plan.name, total, space.fidelity.max, mode, space.objective, ended) as view:
            loss.view = view
            run = _SearchRun(plan, earlier, lock, placement, Path(scratch), data, interrupt, node, view)
            with run.accountable():
                run.watch()
        with run.accountable():
            run.end()
        timings |= {"sampler_seconds": run.searcher.ask_seconds, "sampler_wait_seconds": run.searcher.wait_seconds}
    timings["search_seconds"] = time.monotonic() - started
    history = read_history(plan.ledger)
    view.end(history, history.ended.reason if history.ended else "interrupted")
    return SessionOutcome(history, 128 + interrupt.signal if interrupt.signal else 0, timings)


class _SearchRun:
    """One session of a search: everything is started by the constructor, then `watch`, then `end`.

    The order of the constructor matters: the scheduler replays the ledger before anything can report to it, and Tune's
    thread comes last, because its first call already needs the searcher and the dispatcher.

    Attributes:
        registered: numbers of the worker groups that are up, by the newest snapshot.
        over: why the search ends early (a budget, a target), where it does.
        unfinished: trials that have begun and not ended, by the newest snapshot.
        without_model: trials that would be repeated, had an earlier session kept their models.
    """

    def __init__(
        self,
        plan: Plan,
        earlier: SearchHistory,
        lock: SearchLock,
        placement: Placement,
        scratch: Path,
        data: Path,
        interrupt: InterruptHandler,
        node: NodeWatch,
        view: ProgressView,
    ):
        from vaeforge.search.dispatch.ray_actors import GroupCalls, dispatch_config, start_dispatcher, worker_config
        from vaeforge.search.dispatch.worker_groups import WorkerGroups
        from vaeforge.search.tune_thread import TuneThread

        self.plan, self.lock = plan, lock
        self.interrupt, self.node, self.view = interrupt, node, view
        self.started = time.monotonic()
        search = plan.config.search
        self.registered: frozenset[int] = frozenset()
        self.scheduler = plan.space.build_scheduler(search.seed, search.trials)
        self.scheduler.replay(earlier)
        self.dispatcher = start_dispatcher(plan, dispatch_config(plan, self.scheduler, placement))
        config = worker_config(plan, self.dispatcher, data, placement.lanes(search))
        self.lanes = 1 if config.lanes == "auto" else config.lanes
        self.worker_groups = WorkerGroups(
            placement,
            config,
            str(scratch),
            GroupCalls(self.dispatcher),
            lambda: self.registered,
            grows=plan.address is not None,
            patience=search.hang_seconds * FIRST_EPOCH,
        )
        self.worker_groups.start()
        self.searcher = self._searcher(earlier)
        self.over: str | None = None
        self.unfinished: list[int] = []
        self.without_model: list[int] = []
        self._starts = None if config.lanes == 1 else (MOST_STARTS if config.lanes == "auto" else config.lanes)
        self.tune = TuneThread(plan, self.searcher, self.scheduler, self.dispatcher, self._starts)
        self.tune.start(scratch, interrupt.requested)

    def _searcher(self, earlier: SearchHistory) -> Any:
        from vaeforge.search.ray_searcher import OptunaTuneSearcher, SearchTargets
        from vaeforge.search.samplers.optuna_bridge.dashboard import Dashboard

        plan, search = self.plan, self.plan.config.search
        base = plan.config.experiment
        points = [trial.params for other in earlier.warm_starts if other.use == "points" for trial in other.trials]
        targets = SearchTargets(
            trials=search.trials,
            start=(*plan.space.start, *points),
            repeats=search.repeats,
            finalists=min(search.finalists, search.trials),
            ahead=0 if search.deterministic else 1,
            stagnation=search.budget.stagnation,
        )
        return OptunaTuneSearcher(
            plan.space.build_sampler(search.seed),
            earlier,
            targets,
            lambda params: plan.space.group(params, base),
            self._max_concurrent,
            self._finalists,
            Dashboard(plan.folder / "optuna.journal", plan.name, plan.space, earlier),
            self._announce,
        )

    def _announce(self, number: int) -> None:
        """Tell the dispatcher of a trial that Tune has, where Tune starts one process at a time and pauses no trial."""
        if self._starts is None and not self.scheduler.releases_worker:
            self.dispatcher.announce.remote(number)

    def _max_concurrent(self) -> int:
        """How many trials Tune may hold: as many as worker groups, and where trials are long one more.

        A group that ends a trial then finds the next one, in a process that Tune has started meanwhile. Where trials
        end sooner than a process starts there is none more, as ends are told to Tune only once no process is starting
        (`process_starts.py`). The limit does not grow with the groups: all count once the first one is up, and before,
        processes would take its cores.
        """
        if not self.registered:
            return 1
        if self.scheduler.releases_worker:
            return self.plan.config.search.trials
        if self.plan.config.search.deterministic:
            return 1
        between = self.searcher.seconds_between_ends
        spare = self.lanes > 1 or (between is not None and between >= START_SECONDS)
        return self.worker_groups.wanted * self.lanes + spare

    def _finalists(self, count: int) -> list[int]:
        import ray

        found: list[int]
        found, self.without_model = ray.get(self.dispatcher.finalists.remote(count))
        return found

    def watch(self) -> None:
        """Until Tune is done or someone interrupts: show progress, carry out requests, end processes that hang.

        Raises:
            SearchError: if Tune failed, or ended before all its trials had.
        """
        shown = checked = 0.0
        while self.tune.alive and not self.interrupt.requested.is_set():
            now = time.monotonic()
            if now - shown >= SNAPSHOT_SECONDS:
                shown = now
                self._refresh()
                self._handle_requests()
            if now - checked >= HEALTH_CHECK_SECONDS:
                checked = now
                self._health_check()
            self.tune.join(TICK_SECONDS)
        if (problem := self.tune.problem) is not None:
            raise SearchError(f"search {self.plan.name!r}: Ray Tune failed: {problem!r}; {GO_ON}") from problem
        self._refresh()
        known = read_history(self.plan.ledger).trials if self.searcher.lost else {}
        missing = sorted({*self.unfinished, *(number for number in self.searcher.lost if number not in known)})
        if self.interrupt.signal is None and missing:
            raise SearchError(
                f"search {self.plan.name!r}: Ray Tune ended before trials {missing}; continue with --resume"
            )

    def _refresh(self) -> None:
        import ray

        wall = time.monotonic() - self.started
        snapshot: Snapshot = ray.get(self.dispatcher.tick.remote(wall, self.searcher.remaining))
        self.registered = snapshot.hosts
        self.lanes = max(self.lanes, snapshot.lanes)
        self.unfinished = [trial.trial for trial in snapshot.trials if trial.state in OPEN]
        if snapshot.failure:
            raise SearchError(f"search {self.plan.name!r}: {snapshot.failure}, then continue with --resume")
        if snapshot.over:
            self.over = snapshot.over
            self.searcher.end(self.over)
        note = f"{n} worker group(s) wait for room in the cluster" if (n := self.worker_groups.waiting) else None
        self.view.update(snapshot, note)
        if self.without_model:
            gone, self.without_model = ", ".join(map(str, self.without_model)), []
            self.view.warn(f"not repeated, as an earlier session kept no checkpoint of theirs: trials {gone}")

    def _handle_requests(self) -> None:
        """Carry out what other processes have asked for meanwhile: stop one trial, or the search."""
        import ray

        for request in pending(self.plan.folder):
            if request.trial is None:
                self.interrupt.request()
            else:
                ray.get(self.dispatcher.stop.remote(request.trial, f"stopped on request of {request.by}"))
            done(self.plan.folder, request)

    def _health_check(self) -> None:
        """Note child processes, kill those that hang, report lost worker groups, and start more where there is room.

        Raises:
            SearchError: if no worker group is left while trials remain.
        """
        import ray

        from vaeforge.search.dispatch.worker_groups import kill_processes

        self.lock.remember()
        nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
        kill_processes(ray.get(self.dispatcher.end_hanging.remote(nodes)))
        self.worker_groups.end_hanging()
        for failure in self.worker_groups.new_failures():
            self.view.warn(str(failure))
        if self.worker_groups.alive == 0 and self.tune.alive:
            self._require_groups()
        self._scale_up()

    def _require_groups(self) -> None:
        """Once all worker groups have ended, nothing may be left to train; a snapshot newer than their end says so."""
        self._refresh()
        if self.unfinished or self.searcher.remaining:
            found = dict.fromkeys(str(failure) for failure in self.worker_groups.failures if failure.given_up)
            raise SearchError(
                f"search {self.plan.name!r}: no worker group could be kept running: {'; '.join(found)}; "
                "mend that, then continue with --resume"
            )

    def _scale_up(self) -> None:
        """Start more worker groups where the cluster has room that the remaining trials can use."""
        search = self.plan.config.search
        limit = 1 if search.deterministic else search.hosts or search.trials
        useful = min(limit, self.searcher.open) - self.worker_groups.wanted - self.worker_groups.given_up
        if useful > 0 and (room := self.worker_groups.room()) > 0:
            self.worker_groups.scale_up(min(useful, room))

    def _interrupted(self, signal: str = "", problem: str | None = None) -> SearchInterrupted:
        return SearchInterrupted(signal=signal, seconds=time.monotonic() - self.started, problem=problem)

    @contextmanager
    def accountable(self) -> Iterator[None]:
        """What keeps the session from going on is told in a sentence, and in the ledger as far as it can be written.

        Raises:
            SearchError: in place of Ray's own errors, too; where Ray's node has ended, the session ends here.
        """
        from ray.exceptions import RayActorError, RayError, RaySystemError

        try:
            yield
        except (RayActorError, RaySystemError) as error:
            self.node.hold()
            problem = f"search {self.plan.name!r}: Ray failed: {error}; {GO_ON}"
            self._abandon(problem, GOODBYE_SECONDS)
            raise SearchError(problem) from error
        except SearchError as error:
            lost = isinstance(error.__cause__, RayError)
            if lost:
                self.node.hold()
            self._abandon(str(error), GOODBYE_SECONDS if lost else END_SECONDS)
            raise

    def _abandon(self, problem: str, patience: float) -> None:
        """End after a problem: say so in the ledger, let Tune and the worker groups return, as far as it can be done.

        Tune's thread has `patience` seconds: a thread that is in Ray when Ray shuts down ends the process.
        """
        import ray

        self.searcher.interrupted = True
        self.worker_groups.close()
        with suppress(ray.exceptions.RayError, OSError):  # the cluster or the disk may be what the problem is
            ray.get(self.dispatcher.close.remote(), timeout=END_SECONDS)
            ray.get(self.dispatcher.record.remote(self._interrupted(problem=problem)), timeout=END_SECONDS)
        self.tune.abandon(patience)
        self._let_groups_go(END_SECONDS, early=True)

    def end(self) -> None:
        """Write into the ledger how the session ended, and let the worker groups return.

        After an interruption little is waited for: whoever presses Ctrl-C wants the prompt back, and Ray's end takes
        the worker groups with it.
        """
        import ray

        self.searcher.interrupted = self.interrupt.signal is not None
        self.worker_groups.close()
        ray.get(self.dispatcher.close.remote())
        if self.interrupt.signal is not None:
            self.tune.join(END_SECONDS)
            ray.get(self.dispatcher.record.remote(self._interrupted(signal=self.interrupt.signal.name)))
        else:
            reason = self.over or self.searcher.ended or "trials"
            ray.get(self.dispatcher.record.remote(search_ended(self.plan, reason, time.monotonic() - self.started)))
        early = self.over is not None or self.interrupt.signal is not None
        self._let_groups_go(END_SECONDS if self.interrupt.signal is None else END_SECONDS / 4, early)

    def _let_groups_go(self, seconds: float, early: bool) -> None:
        """Let groups return, of a Ray of one's own for a moment, others up to `seconds`; end the rest.

        A thread in Ray when Ray shuts down could end the process. Only a session that ends `early` may have handed out
        trials that have not begun.
        """
        patience = min(seconds, GOODBYE_SECONDS) if self.plan.address is None else seconds
        if not self.worker_groups.join(patience):
            self.worker_groups.end(END_SECONDS)
        known = None
        with suppress(OSError, SearchError):  # the disk may be what the search ended for
            known = read_history(self.plan.ledger) if early else None
        self.searcher.close(known)
