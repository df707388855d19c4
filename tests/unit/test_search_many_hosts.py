"""What keeps a search of many worker groups and trials from slowing down: each shortcut beside the plain way."""

import asyncio
import random
from pathlib import Path

import pytest

from vaeforge.ledger import file as ledger_file
from vaeforge.ledger.events import (
    EpochReported,
    SearchHeader,
    TrialDecided,
    TrialFinished,
    TrialRetried,
    TrialSubmitted,
)
from vaeforge.ledger.file import repair
from vaeforge.ledger.history import SearchHistory
from vaeforge.search.dispatch.callers import ANY_TRIAL, Callers
from vaeforge.search.dispatch.checkpoint_retention import CheckpointRetention
from vaeforge.search.dispatch.dispatcher_actor import DispatcherActor
from vaeforge.search.dispatch.leases import Leases
from vaeforge.search.dispatch.process_starts import START_SECONDS, ProcessStarts
from vaeforge.search.dispatch.ray_actors import MOST_CALLS
from vaeforge.search.dispatch.types import DispatchConfig, Lease, Task, TrialReport
from vaeforge.search.results.ranking import retained_trials
from vaeforge.search.space.objective import SINGLE, Goal, Knee, Objective
from vaeforge.training.checkpoint_files import Checkpoint

FRONT = Objective((Goal("val/nelbo", "min"), Goal("val/rate", "max")), {}, Knee())


def test_only_those_are_asked_again_whom_a_change_concerns() -> None:
    asked: list[int] = []

    async def waits(callers: Callers, trial: int, done: set[int]) -> None:
        def ready() -> bool:
            asked.append(trial)
            return trial in done

        await callers.until(trial, ready)

    async def whole() -> None:
        callers, done = Callers(60.0), set[int]()
        waiting = [asyncio.create_task(waits(callers, trial, done)) for trial in range(100)]
        await asyncio.sleep(0)
        asked.clear()
        done.add(7)
        callers.wake([7, 8])
        await waiting[7]
        assert sorted(asked) == [7, 8] and callers.count(7) == 0 and callers.count(8) == 1
        done.update(range(100))
        callers.wake_all()
        await asyncio.gather(*waiting)
        assert not callers._waiting

    asyncio.run(whole())


def test_of_idle_groups_those_that_wait_longest_are_asked_and_nobody_waits_longer_than_the_patience() -> None:
    async def whole() -> None:
        callers, free = Callers(0.05), list[int]()
        first, second = (asyncio.create_task(callers.until(ANY_TRIAL, lambda: bool(free))) for _ in range(2))
        await asyncio.sleep(0)
        free.append(0)
        callers.wake([ANY_TRIAL], most=1)
        await first
        assert not second.done()
        free.clear()
        await second  # its patience ends
        assert callers.count(ANY_TRIAL) == 0

    asyncio.run(whole())


def test_leases_of_a_group_are_those_of_all_that_name_it() -> None:
    draw, leases = random.Random(0), Leases()
    for _ in range(2000):
        trial = draw.randrange(30)
        if draw.random() < 0.5:
            leases[trial] = Lease(trial, 1, draw.randrange(6), 1)
        else:
            leases.pop(trial, None)
        for host in range(6):
            assert leases.held_by(host) == [lease for lease in leases.values() if lease.host == host]
    assert len(leases) == len(list(leases))


@pytest.mark.parametrize("objective", [SINGLE, FRONT], ids=["one goal", "a front"])
def test_retention_asks_few_trials_and_keeps_what_all_of_them_say(objective: Objective, tmp_path: Path) -> None:
    draw, history = random.Random(1), SearchHistory()
    history.apply(SearchHeader(name="s", family="f", space={}))
    retention = CheckpointRetention(history, objective, 3, str(tmp_path))
    there: set[int] = set()
    for number in range(150):
        origin = draw.randrange(number) if number > 20 and draw.random() < 0.1 else None
        history.apply(TrialSubmitted(trial=number, params={}, repeat_of=origin))
        value, rate = draw.random(), draw.random()
        file = Checkpoint(f"e{number}", "0", 1)
        metrics = {"val/nelbo": value, "val/rate": rate}
        history.apply(EpochReported(trial=number, epoch=1, metrics=metrics, value=value, checkpoint=file, best=file))
        state = draw.choice(["stopped"] if number < 10 else ["completed", "stopped", "failed"])
        history.apply(TrialFinished(trial=number, state=state, value=value, epoch=1, seconds=1.0))
        there |= {number}
        there -= set(retention.due_deletions().trials)
        whole = retained_trials(history, objective, 3)
        assert there == {n for n in whole if n in there} and whole - history.repeated <= there


def test_counts_and_the_best_value_are_those_of_all_trials() -> None:
    draw, history = random.Random(2), SearchHistory()
    for step in range(1500):
        number = draw.randrange(60)
        trial = history.trials.get(number)
        value = draw.choice([None, draw.random()])
        if trial is None:
            history.apply(TrialSubmitted(trial=number, params={}))
        elif trial.state == "failed" and draw.random() < 0.5:
            history.apply(TrialRetried(trial=number))
        elif trial.state is None and draw.random() < 0.5:
            history.apply(EpochReported(trial=number, epoch=1 + step % 3, metrics={}, value=value))
        elif trial.state is None:
            state = draw.choice(["completed", "stopped", "failed"])
            history.apply(TrialFinished(trial=number, state=state, value=value, epoch=trial.epoch, seconds=0.0))
        known = history.trials.values()
        assert history.counts() == {
            state: count
            for state in ("completed", "stopped", "failed", "running")
            if (count := sum((one.state or "running") == state for one in known))
        }
        valued = [(one.value, one.number) for one in known if one.value is not None]
        assert (history.best_value() or (None,))[0] == min(valued, default=(None,))[0]
        assert all(list(one.reports) == sorted(one.reports) for one in known)


@pytest.mark.parametrize("content", [b"", b"a\n", b"a\nbc", b"abc", b"\n", b"a\n" + b"x" * 99, b"x" * 99 + b"\ny"])
def test_a_torn_end_is_found_from_the_end(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_file, "TAIL_BYTES", 7)
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(content)
    whole = content[: content.rfind(b"\n") + 1]
    assert repair(path) == len(content) - len(whole)
    assert path.read_bytes() == whole


def test_a_thousand_groups_fit_into_the_dispatcher() -> None:
    assert MOST_CALLS > 10 * 1000  # each has two calls in it: Tune's for the trial's report, its own for the answer


def test_groups_that_wait_at_a_rung_and_for_trials_go_on_at_once(tmp_path: Path) -> None:
    """Through the actor's own calls: a submitted trial wakes an idle group, a report its reader, an end everybody."""
    ledger = ledger_file.Ledger(tmp_path / "ledger.jsonl")
    ledger.append(SearchHeader(name="s", family="f", space={}))
    ledger.close()

    async def whole() -> None:
        actor = DispatcherActor(str(tmp_path), DispatchConfig(), 3, SINGLE)
        for host in range(3):
            await actor.register(host, [])
        idle = [asyncio.create_task(actor.next_task(host, 1)) for host in range(3)]
        await asyncio.sleep(0)
        await actor.submit(0, {}, "g")
        task = await idle[0]
        assert isinstance(task, Task) and not idle[1].done()
        read = asyncio.create_task(actor.reports(0, 0))
        await asyncio.sleep(0)
        assert await actor.report(task.lease, TrialReport(1, {"val/nelbo": 1.0}, 1.0, "running", 1.0)) == "continue"
        assert [one.epoch for one in await read] == [1]
        await actor.close()
        assert [await idle[1], await idle[2]] == ["end", "end"]
        actor.dispatcher.ledger.close()

    asyncio.run(asyncio.wait_for(whole(), 5.0))  # far below the patience of a call


def test_a_trial_ends_for_tune_once_no_process_is_starting(tmp_path: Path) -> None:
    """Through the actor's own calls: neither an end nor a rung is told while Tune starts the process of a trial."""
    ledger = ledger_file.Ledger(tmp_path / "ledger.jsonl")
    ledger.append(SearchHeader(name="s", family="f", space={}))
    ledger.close()

    async def whole() -> None:
        actor = DispatcherActor(str(tmp_path), DispatchConfig(epochs=frozenset({2})), 3, SINGLE)
        await actor.register(0, [])
        await actor.announce(0)
        await actor.submit(0, {}, "g")
        task = await actor.next_task(0, 1)
        assert isinstance(task, Task)
        await actor.announce(1)
        await actor.report(task.lease, TrialReport(1, {"val/nelbo": 1.0}, 1.0, "running", 1.0))
        assert [one.epoch for one in await actor.reports(0, 0)] == [1]  # an epoch like any other does not wait
        rung = asyncio.create_task(actor.report(task.lease, TrialReport(2, {"val/nelbo": 1.0}, 1.0, "running", 1.0)))
        told = asyncio.create_task(actor.reports(0, 1))
        await asyncio.sleep(0.1)
        assert not told.done()
        await actor.submit(1, {}, "g")
        assert [one.epoch for one in await told] == [2]
        await actor.announce(1)  # comes late, as calls of two processes may: trial 1 has its process
        await actor.decide([TrialDecided(trial=0, epoch=2, action="stop", value=1.0)])
        assert [one.outcome for one in await actor.reports(0, 2)] == ["stopped"]
        assert await rung == "stop"
        await actor.close()
        actor.dispatcher.ledger.close()

    asyncio.run(asyncio.wait_for(whole(), 5.0))  # far below the patience of a call


def test_a_process_that_never_starts_is_not_waited_for() -> None:
    starts = ProcessStarts()
    starts.announce(3, now=0.0)
    assert starts.any_starting(now=START_SECONDS - 1)
    assert not starts.any_starting(now=START_SECONDS)
    assert starts.submitted(3) and not starts.submitted(3)
