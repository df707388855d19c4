"""Actor between trials and worker groups: the dispatcher, plus waiting for what has not happened yet.

It owns the ledger and lies on the driver's node. It may be killed at any moment: Ray restarts it, it rebuilds itself
from the ledger, and every call may be repeated. No call waits longer than twice `PATIENCE`; callers ask again. Changes
of many calls go onto the disk at once, and no call is answered before everything that its answer rests on is there.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from vaeforge.errors import CheckpointError
from vaeforge.ledger.checkpoint_places import checkpoint_root
from vaeforge.ledger.events import (
    FINAL_OUTCOMES,
    UNSOUND_OUTCOMES,
    EpochReported,
    LedgerEvent,
    Params,
    TrialDecided,
    WorkerProcess,
)
from vaeforge.ledger.file import Ledger
from vaeforge.ledger.kept_fold import EVERY, KeptFold
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.search.dispatch.callers import ANY_TRIAL, STARTED_PROCESS, Callers
from vaeforge.search.dispatch.checkpoint_retention import CheckpointRetention
from vaeforge.search.dispatch.dispatcher import Dispatcher
from vaeforge.search.dispatch.liveness import Pulse
from vaeforge.search.dispatch.process_starts import ProcessStarts
from vaeforge.search.dispatch.snapshot import Snapshot, snapshot
from vaeforge.search.dispatch.types import DispatchConfig, Lease, NoTask, Reply, Task, TrialReport, TuneReport
from vaeforge.search.results.ranking import finalists
from vaeforge.search.space.objective import Objective, objective_values

PATIENCE = 8.0
T = TypeVar("T")


class DispatcherActor:
    """Runs as a Ray actor; see `Dispatcher` for what each call means."""

    def __init__(self, folder: str, config: DispatchConfig, keep: int, objective: Objective):
        self.ledger = ledger = Ledger(Path(folder) / "ledger.jsonl")
        self.fold = KeptFold(ledger.path)
        history = self.fold.history
        assert history.header is not None
        self.objective = objective
        self.dispatcher = Dispatcher(ledger, history, config)
        self.dispatcher.recover(time.monotonic())
        ledger.sync()
        self._sync: asyncio.Task[None] | None = None
        self.retention = CheckpointRetention(
            history, self.objective, keep, checkpoint_root(history.header, Path(folder))
        )
        self.callers = Callers(PATIENCE)
        self.failure: str | None = None
        self.starts = ProcessStarts()

    async def _do(self, change: Callable[[], T]) -> T:
        """Apply `change`, wake whoever waits, and return once it is on disk.

        A full disk ends the search cleanly instead of losing a line.
        """
        ended = self.dispatcher.ends
        try:
            return change()
        except OSError as error:
            self._fail(error)
            raise
        finally:
            self._wake()
            due = self.retention.due_deletions() if self.dispatcher.ends != ended else None
            await self._on_disk()
            if due is not None:  # only now: a trial whose end is lost goes on from its checkpoints
                self.fold.keep(EVERY)
                await asyncio.to_thread(self.retention.delete, due)

    def _fail(self, error: OSError) -> None:
        self.failure = self.failure or f"the ledger could not be written: {error}; free the disk"
        self.dispatcher.closing = True

    async def _on_disk(self) -> None:
        """Wait until everything that has been recorded until now is on disk, together with all others that wait.

        Raises:
            OSError: if it does not come there, or something did not before: nobody may be told of it then.
        """
        until = self.ledger.written
        while self.ledger.on_disk < until and self.ledger.lost is None:
            if self._sync is None:
                self._sync = asyncio.create_task(self._flush())
            await asyncio.shield(self._sync)
        if self.ledger.lost is not None:
            raise OSError(self.ledger.lost)

    async def _flush(self) -> None:
        try:
            await asyncio.to_thread(self.ledger.sync)
        except OSError as error:
            self.ledger.take_back(str(error))
            self._fail(error)
            self._wake()
        finally:
            self._sync = None

    def _wake(self) -> None:
        """Ask those again whom the last change concerns; of idle worker groups as many as there are trials."""
        dispatcher = self.dispatcher
        if dispatcher.closing:
            self.callers.wake_all()
            return
        self.callers.wake(dispatcher.touched)
        dispatcher.touched.clear()
        if idle := self.callers.count(ANY_TRIAL):
            self.callers.wake([ANY_TRIAL], dispatcher.ready(idle))

    # for trials and the driver

    async def announce(self, number: int) -> None:
        """Note that Tune has been handed the trial `number`, which submits itself once it has a process."""
        self.starts.announce(number, time.monotonic())

    async def submit(self, number: int, params: Params, group: str, repeat_of: int | None = None) -> bool:
        if self.starts.submitted(number):
            self.callers.wake([STARTED_PROCESS])
        return await self._do(lambda: self.dispatcher.submit(number, params, group, repeat_of))

    async def reports(self, number: int, after: int) -> list[TuneReport]:
        """The trial's reports after epoch `after`, as soon as there is one; the last one of an ended trial says so.

        What may end it waits for the processes that are starting, see `process_starts.py`.
        """
        trial = self.dispatcher.history.trials[number]
        if number in self.dispatcher.paused:
            await self._do(lambda: self.dispatcher.submit(number, trial.params, trial.group))
        await self.callers.until(number, lambda: trial.epoch > after or trial.state is not None)
        if trial.state is not None or self.dispatcher.undecided(trial):
            await self.callers.until(
                STARTED_PROCESS, lambda: self.dispatcher.closing or not self.starts.any_starting(time.monotonic())
            )
        fresh = [_relayed(report) for epoch, report in trial.reports.items() if epoch > after]
        if trial.state is not None:
            goals = tuple(objective_values(trial, self.objective.goals))
            last = TuneReport(trial.epoch, trial.value, _outcome(trial), goals=goals)
            fresh = [report for report in fresh if report.epoch < trial.epoch] + [last]
        await self._on_disk()
        return fresh

    async def decide(self, decisions: Sequence[TrialDecided]) -> None:
        trials = self.dispatcher.history.trials
        for decision in decisions:
            inherited = None
            open_ = decision.epoch not in trials[decision.trial].decisions and not self.dispatcher.over
            if decision.donor is not None and open_:
                donor = trials[decision.donor]
                try:
                    inherited = await asyncio.to_thread(self.retention.inherit, donor, decision.trial, decision.epoch)
                except (CheckpointError, OSError) as error:
                    problem = f"trial {decision.trial} could not inherit trial {decision.donor}'s checkpoints ({error})"
                    await self._do(partial(self.dispatcher.stop_for_storage, problem))
                    return
            await self._do(partial(self.dispatcher.decide, decision, inherited))

    async def pause(self, number: int) -> EpochReported | None:
        return await self._do(lambda: self.dispatcher.pause(number))

    async def stop(self, number: int, cause: str) -> None:
        await self._do(lambda: self.dispatcher.stop(number, cause))

    async def record(self, event: LedgerEvent) -> None:
        await self._do(lambda: self.dispatcher.record(event))

    async def close(self) -> None:
        """Hand out no more leases: worker groups return, running trials stay unfinished."""
        self.dispatcher.closing = True
        await self._do(lambda: None)

    async def tick(self, wall: float, expected: int) -> Snapshot:
        """A snapshot for the driver.

        Args:
            wall: seconds that this session has run.
            expected: trials that it may still submit.
        """
        dispatcher = self.dispatcher
        dispatcher.wall, dispatcher.expected = dispatcher.history.wall_seconds + wall, expected
        with suppress(OSError):  # which the snapshot tells
            await self._do(dispatcher.spend)
        outage = dispatcher.outage and f"{dispatcher.outage}; mend the place where they lie"
        return snapshot(dispatcher, self.failure or outage)

    async def finalists(self, count: int) -> tuple[list[int], list[int]]:
        """The best `count` trials whose models are there to be handed on, and better ones whose models are not."""
        trials, found, gone = self.dispatcher.history.trials, list[int](), list[int]()
        for number in finalists(self.dispatcher.history, self.objective, len(trials)):
            if len(found) < count:
                there = await asyncio.to_thread(self.retention.has_model, trials[number])
                (found if there else gone).append(number)
        return found, gone

    async def end_hanging(self, nodes: list[str]) -> list[WorkerProcess]:
        """Take back the leases of worker groups that hang; their processes, which are to be ended.

        So are the leases of groups with a process on a node that is not one of the living `nodes`.
        """
        found: list[WorkerProcess] = []
        for number, problem in self.dispatcher.hanging(time.monotonic()).items():
            why = f"its worker group was ended: {problem}"
            found += await self._do(partial(self.dispatcher.lose, number, "hang", why))
        for number in self.dispatcher.on_dead_nodes(nodes):
            why = "a node on which it was trained is gone"
            await self._do(partial(self.dispatcher.lose, number, "lost", why))
        return found

    async def released(self, host: int) -> bool:
        """Whether the worker group `host`, which has returned, is not to start again."""
        return self.dispatcher.closing or host in self.dispatcher.released

    async def failed(self, host: int, cause: str, why: str) -> int:
        """A worker group's processes are gone: its lease is taken back; how often the group has registered."""
        await self._do(partial(self.dispatcher.lose, host, cause, why))
        return await self.generation(host)

    async def generation(self, host: int) -> int:
        """How often the worker group `host` has registered in this session."""
        known = self.dispatcher.history.groups.get(host)
        return 0 if known is None else known.generation

    # for worker groups

    async def register(self, host: int, processes: Sequence[WorkerProcess]) -> int:
        return await self._do(lambda: self.dispatcher.register(host, processes, time.monotonic()))

    async def next_task(self, host: int, generation: int, known: Sequence[int] = (), lanes: int = 1) -> Task | NoTask:
        """A lease with what is needed to start it, `idle` (ask again), `register` (do so first), or `end`.

        A group that trains several trials at once says which ones it has, `known`, and its number of `lanes`; it is not
        kept waiting while it has any.
        """
        dispatcher = self.dispatcher
        if dispatcher.closing or host in dispatcher.released:
            return "end"
        if not dispatcher.ask(host, generation, time.monotonic()):
            return "register"
        dispatcher.groups[host].lanes = lanes
        if not known:
            await self.callers.until(
                ANY_TRIAL,
                lambda: dispatcher.closing or dispatcher.has_waiting_trial() or bool(dispatcher.held_by(host)),
            )
        current = dispatcher.groups.get(host)
        if dispatcher.closing or dispatcher.release(host):
            return "end"
        if current is None or current.generation != generation:
            return "register"
        lease = await self._do(lambda: dispatcher.lease(host, generation, time.monotonic(), known))
        if lease is None:
            return "idle"
        trial = dispatcher.history.trials[lease.trial]
        most = dispatcher.company.most(host)
        return Task(lease, trial.params, tuple(trial.checkpoints()), trial.starts_inherited, most_lanes=most)

    async def report(self, lease: Lease, report: TrialReport) -> Reply:
        self.dispatcher.ask(lease.host, lease.generation, time.monotonic())
        first = await self._do(lambda: self.dispatcher.report(lease, report))
        return first if first != "wait" else await self.reply(lease, report.epoch)

    async def reply(self, lease: Lease, epoch: int) -> Reply:
        """What the worker group does after `epoch`, once the scheduler has decided; `wait` means ask again."""
        self.dispatcher.ask(lease.host, lease.generation, time.monotonic())
        await self.callers.until(lease.trial, lambda: self.dispatcher.reply(lease, epoch) != "wait")
        reply = self.dispatcher.reply(lease, epoch)
        await self._on_disk()
        return reply

    async def beat(self, lease: Lease, rank: int, pulse: Pulse) -> None:
        self.dispatcher.beat(lease, rank, pulse, time.monotonic())

    async def crash(self, lease: Lease, cause: str, traceback: str, most: int | None = None) -> None:
        await self._do(lambda: self.dispatcher.crash(lease, cause, traceback, most))


def _relayed(report: EpochReported) -> TuneReport:
    return TuneReport(report.epoch, report.value, "running", report.metrics.get("val/nelbo"))


def _outcome(trial: TrialRecord) -> str:
    """How an ended trial ended, as the sampler is told."""
    if trial.state == "failed":
        return "nan" if trial.cause in UNSOUND_OUTCOMES else "crash"
    return str(trial.state) if trial.state in FINAL_OUTCOMES else "stopped"
