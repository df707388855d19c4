"""Group commit of the ledger: one wait for the disk for all that wait, and nobody is told of what is not on it."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from project import CODE_PATH
from vaeforge.ledger.events import SearchHeader, SearchResumed
from vaeforge.ledger.file import Ledger, read_events
from vaeforge.search.dispatch.dispatcher_actor import DispatcherActor
from vaeforge.search.dispatch.types import DispatchConfig, Task, TrialReport
from vaeforge.search.space.objective import SINGLE

WRITES = """
import os, signal, sys
from pathlib import Path
from vaeforge.ledger.events import SearchResumed
from vaeforge.ledger.file import Ledger

ledger = Ledger(Path(sys.argv[1]))
ledger.append(SearchResumed(trials=1))
ledger.write(SearchResumed(trials=2))
os.kill(os.getpid(), signal.SIGKILL)
"""


class Disk:
    """The system's `fdatasync`, which can be kept from returning and can be let fail; `calls` counts it."""

    def __init__(self) -> None:
        self.calls = 0
        self.free = threading.Event()
        self.free.set()
        self.error: OSError | None = None

    def fdatasync(self, _: int) -> None:
        self.calls += 1
        assert self.free.wait(10)
        if self.error is not None:
            raise self.error


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    found = Disk()
    monkeypatch.setattr(os, "fdatasync", found.fdatasync)
    yield found
    found.free.set()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append(SearchHeader(name="s", family="f", space={}))
    ledger.close()
    return tmp_path / "ledger.jsonl"


def kinds(path: Path) -> list[str]:
    return [event.kind for event in read_events(path)]


def play(path: Path, whole: Any) -> None:
    async def inside() -> None:
        actor = DispatcherActor(str(path.parent), DispatchConfig(), 3, SINGLE)
        await whole(actor)
        actor.ledger.close()

    asyncio.run(asyncio.wait_for(inside(), 20.0))


async def soon() -> None:
    """Whatever can go on without the disk has gone on."""
    await asyncio.sleep(0.05)


async def trained(actor: DispatcherActor) -> Task:
    """Trial 0, leased to group 0."""
    await actor.register(0, [])
    await actor.submit(0, {}, "g")
    task = await actor.next_task(0, 1)
    assert isinstance(task, Task)
    return task


def report(epoch: int, outcome: str = "running") -> TrialReport:
    return TrialReport(epoch, {"val/nelbo": 1.0}, 1.0, outcome, 1.0)


def test_many_changes_wait_for_the_disk_once_and_none_is_answered_before(path: Path, disk: Disk) -> None:
    async def whole(actor: DispatcherActor) -> None:
        disk.free.clear()
        before = disk.calls
        calls = [asyncio.create_task(actor.submit(number, {}, "g")) for number in range(50)]
        await soon()
        assert kinds(path).count("submitted") == 50 and not any(call.done() for call in calls)
        disk.free.set()
        assert all(await asyncio.gather(*calls))
        assert disk.calls - before <= 2  # the first one's, and one for those that came meanwhile

    play(path, whole)


def test_who_waits_for_a_report_is_not_told_of_one_that_is_not_on_disk(path: Path, disk: Disk) -> None:
    async def whole(actor: DispatcherActor) -> None:
        task = await trained(actor)
        read = asyncio.create_task(actor.reports(0, 0))
        await soon()
        disk.free.clear()
        call = asyncio.create_task(actor.report(task.lease, report(1, "completed")))
        await soon()
        assert kinds(path)[-2:] == ["reported", "finished"]
        assert not call.done() and not read.done()
        disk.free.set()
        assert await call == "stop" and (await read)[-1].outcome == "completed"

    play(path, whole)


def test_checkpoints_go_only_once_the_end_of_their_trial_is_on_disk(
    path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def whole(actor: DispatcherActor) -> None:
        task, deleted = await trained(actor), list[Any]()
        monkeypatch.setattr(actor.retention, "delete", deleted.append)
        disk.free.clear()
        call = asyncio.create_task(actor.report(task.lease, report(1, "completed")))
        await soon()
        assert not deleted
        disk.free.set()
        await call
        assert len(deleted) == 1

    play(path, whole)


def test_what_does_not_come_onto_the_disk_did_not_happen(path: Path, disk: Disk) -> None:
    async def whole(actor: DispatcherActor) -> None:
        task = await trained(actor)
        before = path.read_bytes()
        disk.free.clear()
        calls = [asyncio.create_task(actor.report(task.lease, report(1)))]
        calls += [asyncio.create_task(actor.submit(number, {}, "g")) for number in (1, 2)]
        await soon()
        disk.error = OSError(28, "No space left on device")
        disk.free.set()
        for error in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(error, OSError)
        assert path.read_bytes() == before
        disk.error = None
        snapshot = await actor.tick(1.0, 0)
        assert snapshot.failure is not None and "No space left" in snapshot.failure
        with pytest.raises(OSError, match="No space left"):
            await actor.reports(0, 0)
        assert await actor.next_task(0, 1) == "end"
        with pytest.raises(OSError, match="No space left"):
            await actor.submit(3, {}, "g")
        assert path.read_bytes() == before

    play(path, whole)
    play(path, lambda actor: actor.submit(4, {}, "g"))  # the next session goes on where the disk stands
    assert kinds(path)[-1] == "submitted"


def test_a_writer_that_is_killed_before_it_waits_for_the_disk(path: Path, disk: Disk) -> None:
    """Its line is whole in the file, and whoever opens it next has it on disk before anything else."""
    command = [sys.executable, "-c", WRITES, str(path)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": CODE_PATH}, timeout=300)
    assert done.returncode == -signal.SIGKILL
    ledger, events = Ledger(path), list(read_events(path))
    assert disk.calls == 1 and ledger.on_disk == ledger.written == path.stat().st_size
    assert [event.trials for event in events if isinstance(event, SearchResumed)] == [1, 2]
    ledger.close()
