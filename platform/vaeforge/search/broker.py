"""The actor between trials and hosts: the board, plus waiting for what has not happened yet.

It owns the ledger and lies on the driver's node. It may be killed at any moment: Ray restarts it, it rebuilds itself
from the ledger, and every call may be repeated. No call waits longer than `PATIENCE`; callers ask again.
"""

import asyncio
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from vaeforge.search.board import Board, Lease, Reply
from vaeforge.search.history import FINAL_OUTCOMES, TrialRecord, read_history
from vaeforge.search.ledger import Event, Ledger

PATIENCE = 8.0
T = TypeVar("T")


class Broker:
    """Runs as a Ray actor; see `Board` for what each call means."""

    def __init__(self, folder: str, rungs: list[int], attempts: int, keep: int):
        self.folder, self.keep = Path(folder), keep
        ledger = Ledger(self.folder / "ledger.jsonl")
        self.board = Board(ledger, read_history(ledger.path), rungs, attempts)
        self.board.readopt(time.monotonic())
        self.changed = asyncio.Condition()
        self.failure: str | None = None

    async def _do(self, change: Callable[[], T]) -> T:
        """Apply `change` and wake whoever waits; a full disk ends the search cleanly instead of losing a line."""
        try:
            return change()
        except OSError as error:
            self.failure = f"the ledger could not be written: {error}"
            self.board.closing = True
            raise
        finally:
            async with self.changed:
                self.changed.notify_all()

    async def _until(self, ready: Callable[[], bool]) -> None:
        """Wait until `ready`, PATIENCE at most."""
        async with self.changed:
            try:
                await asyncio.wait_for(self.changed.wait_for(ready), PATIENCE)
            except TimeoutError:
                return

    # for trials and the driver

    async def submit(self, number: int, params: dict[str, Any], group: str) -> None:
        await self._do(lambda: self.board.submit(number, params, group))

    async def reports(self, number: int, after: int) -> list[dict[str, Any]]:
        """The trial's reports after epoch `after`, as soon as there is one; the last one of an ended trial says so."""
        trial = self.board.history.trials[number]
        if number in self.board.parked:
            await self._do(lambda: self.board.submit(number, trial.params, trial.group))
        await self._until(lambda: trial.epoch > after or trial.state is not None)
        fresh = [_slim(report) for epoch, report in sorted(trial.reports.items()) if epoch > after]
        if trial.state is not None and not (fresh and fresh[-1]["outcome"] in (*FINAL_OUTCOMES, "nan")):
            fresh.append({"epoch": trial.epoch, "value": trial.value, "outcome": _outcome(trial)})
        return fresh

    async def decide(
        self, number: int, epoch: int, action: Literal["go", "stop"], value: float, cutoff: float | None
    ) -> None:
        await self._do(lambda: self.board.decide(number, epoch, action, value, cutoff))
        self._prune()

    async def park(self, number: int) -> Event | None:
        return await self._do(lambda: self.board.park(number))

    async def stop(self, number: int, cause: str) -> None:
        await self._do(lambda: self.board.stop(number, cause))
        self._prune()

    async def record(self, event: str, **fields: Any) -> None:
        await self._do(lambda: self.board.record(event, **fields))

    async def close(self) -> None:
        """No more leases: hosts return, running trials stay unfinished."""
        self.board.closing = True
        await self._do(lambda: None)

    async def overdue(self) -> list[dict[str, Any]]:
        """Processes of hosts that gave no sign of life in time; their leases are taken back."""
        late = self.board.overdue(time.monotonic())
        for number, _ in late:
            await self._do(partial(self.board.forget, number))
        return [process for _, host in late for process in host.processes]

    async def snapshot(self) -> dict[str, Any]:
        """What the live view shows."""
        history = self.board.history
        trials = [
            {
                "trial": t.number,
                "params": t.params,
                "epoch": t.epoch,
                "value": t.value,
                "state": t.state or ("running" if t.number in self.board.leases else "waiting"),
                "host": t.host if t.number in self.board.leases else None,
                "cause": t.cause,
            }
            for t in history.trials.values()
        ]
        hosts = {number: host.processes for number, host in self.board.hosts.items()}
        return {"trials": trials, "hosts": hosts, "counts": history.counts(), "failure": self.failure}

    # for hosts

    async def register(self, host: int, processes: list[dict[str, Any]]) -> int:
        return await self._do(lambda: self.board.register(host, processes, time.monotonic()))

    async def take(self, host: int, generation: int) -> dict[str, Any]:
        """A lease with what is needed to start it, `idle`, `again` (register first), or `end`."""
        board = self.board
        if board.closing:
            return {"kind": "end"}
        if not board.heard(host, generation, time.monotonic()):
            return {"kind": "again"}
        await self._until(lambda: board.closing or bool(board.waiting) or board.held_by(host) is not None)
        current = board.hosts.get(host)
        if board.closing:
            return {"kind": "end"}
        if current is None or current.generation != generation:
            return {"kind": "again"}
        lease = await self._do(lambda: board.lease(host, generation))
        if lease is None:
            await asyncio.sleep(0.05)  # a trial waits for its rung's decision: do not spin
            return {"kind": "idle"}
        trial = board.history.trials[lease.trial]
        return {"kind": "lease", "lease": lease, "params": trial.params, "checkpoints": trial.checkpoints()}

    async def report(self, lease: Lease, report: dict[str, Any]) -> Reply:
        self.board.heard(lease.host, lease.generation, time.monotonic())
        first = await self._do(lambda: self.board.report(lease, report))
        if report["outcome"] != "running":
            self._prune()
        return first if first != "hold" else await self.reply(lease, report["epoch"])

    async def reply(self, lease: Lease, epoch: int) -> Reply:
        """What the host does after `epoch`, once Tune has decided; `hold` means ask again."""
        self.board.heard(lease.host, lease.generation, time.monotonic())
        await self._until(lambda: self.board.reply(lease, epoch) != "hold")
        return self.board.reply(lease, epoch)

    async def pulse(self, host: int, generation: int) -> None:
        self.board.heard(host, generation, time.monotonic())

    async def crash(self, lease: Lease, cause: str, traceback: str) -> None:
        await self._do(lambda: self.board.crash(lease, cause, traceback))

    def _prune(self) -> None:
        """Remove checkpoints of ended trials that are not among the best."""
        history = self.board.history
        kept = {trial.number for trial in history.ranked()[: self.keep]}
        for trial in history.trials.values():
            folder = trial_folder(self.folder, trial.number)
            if trial.state is None or not folder.exists():
                continue
            if trial.number not in kept:
                shutil.rmtree(folder, ignore_errors=True)
            elif trial.best is not None:
                _keep_only(folder, Path(trial.best["file"]))


def trial_folder(search: Path, number: int) -> Path:
    """Where the checkpoints of a trial lie."""
    return search / "trials" / f"{number:05d}"


def _keep_only(folder: Path, file: Path) -> None:
    for other in folder.iterdir():
        if other.name != file.name:
            other.unlink(missing_ok=True)


def _slim(report: Event) -> dict[str, Any]:
    return {key: report[key] for key in ("epoch", "value", "outcome")}


def _outcome(trial: TrialRecord) -> str:
    """How an ended trial without a last report of its own ended: `crash`, or `stopped`."""
    return "crash" if trial.state == "failed" else str(trial.state)


def checkpoint_event(checkpoint: Any) -> dict[str, Any] | None:
    """A checkpoint as the ledger writes it."""
    return None if checkpoint is None else asdict(checkpoint)
