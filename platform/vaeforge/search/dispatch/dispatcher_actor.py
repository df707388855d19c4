"""The actor between trials and hosts: the board, plus waiting for what has not happened yet.

It owns the ledger and lies on the driver's node. It may be killed at any moment: Ray restarts it, it rebuilds itself
from the ledger, and every call may be repeated. No call waits longer than `PATIENCE`; callers ask again.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from vaeforge.ledger.events import FINAL_OUTCOMES, EpochReported, LedgerEvent, Params, TrialDecided, WorkerProcess
from vaeforge.ledger.file import Ledger
from vaeforge.ledger.history import TrialRecord, read_history
from vaeforge.search.dispatch.checkpoint_retention import Keeper, checkpoint_root
from vaeforge.search.dispatch.dispatcher import Board
from vaeforge.search.dispatch.snapshot import Snapshot, snapshot
from vaeforge.search.dispatch.types import Lease, NoTask, Relayed, Reply, Task, Terms, TrialReport
from vaeforge.search.results.ranking import finalists
from vaeforge.search.space.objective import Objective, objective_values

PATIENCE = 8.0
T = TypeVar("T")


class Broker:
    """Runs as a Ray actor; see `Board` for what each call means."""

    def __init__(self, folder: str, terms: Terms, keep: int, objective: Objective):
        ledger = Ledger(Path(folder) / "ledger.jsonl")
        history = read_history(ledger.path, slim=True)
        assert history.header is not None
        self.objective = objective
        self.board = Board(ledger, history, terms)
        self.board.readopt(time.monotonic())
        self.keeper = Keeper(history, self.objective, keep, checkpoint_root(history.header, Path(folder)))
        self.board.spend()
        self.changed = asyncio.Condition()
        self.failure: str | None = None

    async def _do(self, change: Callable[[], T]) -> T:
        """Apply `change` and wake whoever waits; a full disk ends the search cleanly instead of losing a line."""
        ended = self.board.ends
        try:
            return change()
        except OSError as error:
            self.failure = f"the ledger could not be written: {error}"
            self.board.closing = True
            raise
        finally:
            async with self.changed:
                self.changed.notify_all()
            if self.board.ends != ended:
                await asyncio.to_thread(self.keeper.carry_out, self.keeper.surplus())

    async def _until(self, ready: Callable[[], bool]) -> None:
        """Wait until `ready`, PATIENCE at most."""
        async with self.changed:
            try:
                await asyncio.wait_for(self.changed.wait_for(ready), PATIENCE)
            except TimeoutError:
                return

    # for trials and the driver

    async def submit(self, number: int, params: Params, group: str, repeat_of: int | None = None) -> bool:
        return await self._do(lambda: self.board.submit(number, params, group, repeat_of))

    async def reports(self, number: int, after: int) -> list[Relayed]:
        """The trial's reports after epoch `after`, as soon as there is one; the last one of an ended trial says so."""
        trial = self.board.history.trials[number]
        if number in self.board.parked:
            await self._do(lambda: self.board.submit(number, trial.params, trial.group))
        await self._until(lambda: trial.epoch > after or trial.state is not None)
        fresh = [_slim(report) for epoch, report in sorted(trial.reports.items()) if epoch > after]
        if trial.state is not None:
            goals = tuple(objective_values(trial, self.objective.goals))
            last = Relayed(trial.epoch, trial.value, _outcome(trial), goals=goals)
            fresh = [report for report in fresh if report.epoch < trial.epoch] + [last]
        return fresh

    async def decide(self, decisions: Sequence[TrialDecided]) -> None:
        trials = self.board.history.trials
        for decision in decisions:
            inherited = None
            if decision.donor is not None and decision.epoch not in trials[decision.trial].decisions:
                donor = trials[decision.donor]
                inherited = await asyncio.to_thread(self.keeper.inherit, donor, decision.trial, decision.epoch)
            await self._do(partial(self.board.decide, decision, inherited))

    async def park(self, number: int) -> EpochReported | None:
        return await self._do(lambda: self.board.park(number))

    async def stop(self, number: int, cause: str) -> None:
        await self._do(lambda: self.board.stop(number, cause))

    async def record(self, event: LedgerEvent) -> None:
        await self._do(lambda: self.board.record(event))

    async def close(self) -> None:
        """No more leases: hosts return, running trials stay unfinished."""
        self.board.closing = True
        await self._do(lambda: None)

    async def tick(self, wall: float, expected: int) -> Snapshot:
        """The driver's look: `wall` seconds of this session, `expected` trials that it may still submit."""
        board = self.board
        board.wall, board.expected = board.history.wall_seconds + wall, expected
        await self._do(board.spend)
        return snapshot(board, self.failure)

    async def finalists(self, count: int) -> list[int]:
        return finalists(self.board.history, self.objective, count)

    async def overdue(self, nodes: list[str]) -> list[WorkerProcess]:
        """Processes of hosts that gave no sign of life in time; their leases are taken back.

        So are those of hosts with a process on a node that is not one of the living `nodes`.
        """
        late = self.board.overdue(time.monotonic())
        for number, _ in late:
            await self._do(partial(self.board.forget, number))
        for number in self.board.orphaned(nodes):
            await self._do(partial(self.board.forget, number, "a node on which it was trained is gone"))
        return [process for _, host in late for process in host.processes]

    async def released(self, host: int) -> bool:
        """Whether a host that returned is not to come back."""
        return self.board.closing or host in self.board.released

    # for hosts

    async def register(self, host: int, processes: Sequence[WorkerProcess]) -> int:
        return await self._do(lambda: self.board.register(host, processes, time.monotonic()))

    async def take(self, host: int, generation: int) -> Task | NoTask:
        """A lease with what is needed to start it, `idle` (ask again), `again` (register first), or `end`."""
        board = self.board
        if board.closing or host in board.released:
            return "end"
        if not board.heard(host, generation, time.monotonic()):
            return "again"
        await self._until(lambda: board.closing or board.ready() or board.held_by(host) is not None)
        current = board.hosts.get(host)
        if board.closing or board.release(host):
            return "end"
        if current is None or current.generation != generation:
            return "again"
        lease = await self._do(lambda: board.lease(host, generation))
        if lease is None:
            return "idle"
        trial = board.history.trials[lease.trial]
        return Task(lease, trial.params, tuple(trial.checkpoints()), trial.starts_inherited)

    async def report(self, lease: Lease, report: TrialReport) -> Reply:
        self.board.heard(lease.host, lease.generation, time.monotonic())
        first = await self._do(lambda: self.board.report(lease, report))
        return first if first != "hold" else await self.reply(lease, report.epoch)

    async def reply(self, lease: Lease, epoch: int) -> Reply:
        """What the host does after `epoch`, once Tune has decided; `hold` means ask again."""
        self.board.heard(lease.host, lease.generation, time.monotonic())
        await self._until(lambda: self.board.reply(lease, epoch) != "hold")
        return self.board.reply(lease, epoch)

    async def pulse(self, host: int, generation: int) -> None:
        self.board.heard(host, generation, time.monotonic())

    async def crash(self, lease: Lease, cause: str, traceback: str) -> None:
        await self._do(lambda: self.board.crash(lease, cause, traceback))


def _slim(report: EpochReported) -> Relayed:
    return Relayed(report.epoch, report.value, "running", report.metrics.get("val/nelbo"))


def _outcome(trial: TrialRecord) -> str:
    """How an ended trial ended, as the sampler is told."""
    if trial.state == "failed":
        return "nan" if trial.cause == "nan" else "crash"
    return str(trial.state) if trial.state in FINAL_OUTCOMES else "stopped"
