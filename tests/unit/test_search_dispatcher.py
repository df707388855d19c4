"""Leases, rungs and the ledger, without Ray: what follows from each message, and from each message twice."""

import io
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from vaeforge.errors import SearchError
from vaeforge.ledger import file as ledger_module
from vaeforge.ledger.events import (
    EpochReported,
    InheritedState,
    LedgerEvent,
    SearchEnded,
    SearchHeader,
    SearchInterrupted,
    SearchResumed,
    TrialDecided,
    TrialRetried,
    TrialSubmitted,
    WorkerProcess,
)
from vaeforge.ledger.file import Ledger, read_events
from vaeforge.ledger.history import read_history
from vaeforge.search.budget import BudgetLimits, BudgetSpent
from vaeforge.search.dispatch.dispatcher import OUTAGE, Dispatcher
from vaeforge.search.dispatch.types import DispatchConfig, Lease, TrialReport
from vaeforge.search.progress_view import ranking
from vaeforge.search.results.ranking import rank
from vaeforge.search.space.objective import SINGLE
from vaeforge.training.checkpoint_files import Checkpoint

CONFIG = DispatchConfig(epochs=frozenset({2}))
PROCESS = WorkerProcess(1, 0.0, "n")


def report(epoch: int, value: float | None = 1.0, outcome: str = "running") -> TrialReport:
    state = Checkpoint(f"e{epoch}", "0", epoch)
    return TrialReport(epoch, {"val/nelbo": value}, value, outcome, 1.0, state, state)


def shown(table: Table) -> str:
    console = Console(width=200, file=io.StringIO())
    console.print(table)
    return " ".join(str(console.file.getvalue()).split())  # type: ignore[attr-defined]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def decided(trial: int, epoch: int, action: str, value: float, needed: float | None = None) -> TrialDecided:
    why = "" if needed is None else f"rung {epoch}: {value:g}, cut-off {needed:g}"
    return TrialDecided(trial=trial, epoch=epoch, action=action, value=value, needed=needed, why=why)


def dispatcher_at(path: Path, config: DispatchConfig = CONFIG) -> Dispatcher:
    dispatcher = Dispatcher(Ledger(path), read_history(path), config)
    dispatcher.recover(now=0.0)
    return dispatcher


@pytest.fixture
def dispatcher(path: Path) -> Iterator[Dispatcher]:
    dispatcher = dispatcher_at(path)
    dispatcher.submit(0, {"x": 1}, "constant")
    assert dispatcher.register(0, [PROCESS], now=0.0) == 1
    yield dispatcher
    dispatcher.ledger.close()


@contextmanager
def restarted(dispatcher: Dispatcher, path: Path) -> Iterator[Dispatcher]:
    """The dispatcher after its process was killed and started again."""
    dispatcher.ledger.close()
    again = dispatcher_at(path)
    try:
        yield again
    finally:
        again.ledger.close()


def leased(dispatcher: Dispatcher, host: int = 0, generation: int = 1) -> Lease:
    lease = dispatcher.lease(host, generation, now=0.0)
    assert lease is not None
    return lease


def events(path: Path, kind: str) -> list[Any]:
    return [event for event in read_events(path) if event.kind == kind]


def kinds(path: Path) -> list[str]:
    return [event.kind for event in read_events(path)]


def test_a_trial_from_submission_to_its_end(dispatcher: Dispatcher, path: Path) -> None:
    lease = leased(dispatcher)
    assert dispatcher.report(lease, report(1)) == "continue"
    assert dispatcher.report(lease, report(2)) == "wait"  # a rung: Tune has not decided
    dispatcher.decide(decided(0, 2, "go", 1.0, None))
    assert dispatcher.reply(lease, 2) == "continue"
    assert dispatcher.report(lease, report(3, 0.5, "completed")) == "stop"
    trial = read_history(path).trials[0]
    assert (trial.state, trial.value, trial.epoch, trial.seconds) == ("completed", 0.5, 3, 3.0)
    assert dispatcher.lease(0, 1, now=0.0) is None


def test_each_message_twice_changes_nothing(dispatcher: Dispatcher, path: Path) -> None:
    dispatcher.submit(0, {"x": 1}, "constant")
    lease = leased(dispatcher)
    assert leased(dispatcher) == lease  # the answer to the first take was lost
    for _ in range(2):
        assert dispatcher.report(lease, report(1)) == "continue"
    for _ in range(2):
        assert dispatcher.report(lease, report(2)) == "wait"
    for _ in range(2):
        dispatcher.decide(decided(0, 2, "stop", 1.0, 0.5))
    for _ in range(2):
        assert dispatcher.reply(lease, 2) == "stop"
    dispatcher.stop(0, "again")
    assert kinds(path) == ["submitted", "registered", "leased", "reported", "reported", "decided", "finished"]
    assert events(path, "finished")[0].cause == "rung 2: 1, cut-off 0.5"


def test_a_restarted_worker_group_gives_its_lease_back_and_an_old_one_is_void(
    dispatcher: Dispatcher, path: Path
) -> None:
    old = leased(dispatcher)
    dispatcher.report(old, report(1))
    assert dispatcher.register(0, [PROCESS], now=1.0) == 2
    assert not dispatcher.ask(0, 1, now=1.0)
    assert dispatcher.report(old, report(2)) == "release"
    new = leased(dispatcher, generation=2)
    assert (new.attempt, dispatcher.history.trials[0].checkpoints()[0].epoch) == (2, 1)
    assert [event.cause for event in events(path, "crashed")] == ["lost"]
    assert dispatcher.report(old, report(3)) == "release"
    assert dispatcher.report(new, report(2)) == "wait"


def test_a_trial_that_crashes_its_worker_group_three_times_has_failed(dispatcher: Dispatcher, path: Path) -> None:
    dispatcher.submit(1, {"x": 2}, "constant")
    for _ in range(3):
        lease = leased(dispatcher)
        assert lease.trial == 0  # a crashed trial is tried again first
        dispatcher.crash(lease, "crash", "Traceback …")
    assert dispatcher.history.trials[0].state == "failed"
    assert leased(dispatcher).trial == 1
    assert [event.trial for event in events(path, "finished")] == [0]


@pytest.mark.parametrize(("cause", "starts"), [("oom", 2), ("checkpoint", 3), ("crash", 3), ("lost", 3)])
def test_each_cause_has_its_number_of_starts(dispatcher: Dispatcher, cause: str, starts: int) -> None:
    for _ in range(starts):
        assert dispatcher.history.trials[0].state is None
        dispatcher.crash(leased(dispatcher), cause, "")
    assert (dispatcher.history.trials[0].state, dispatcher.history.trials[0].cause) == ("failed", cause)


@pytest.mark.parametrize(("cause", "first"), [("disk", 1), ("checkpoint", 2)])
def test_an_outage_of_the_storage_ends_the_session_and_no_trial(
    dispatcher: Dispatcher, path: Path, cause: str, first: int
) -> None:
    """Of unreadable checkpoints, those of a single trial may be damaged; what cannot be written is an outage."""
    for number in range(1, first):
        dispatcher.submit(number, {"x": number}, "constant")
    trials = []
    for _ in range(OUTAGE):
        assert dispatcher.outage is None
        lease = leased(dispatcher)
        trials.append(lease.trial)
        dispatcher.crash(lease, cause, "Traceback …\nOSError: no room")
    assert len(set(trials)) == first  # another trial shows whether it is the storage
    assert dispatcher.outage is not None and "OSError: no room" in dispatcher.outage and dispatcher.closing
    assert events(path, "finished") == []


def test_a_storage_that_works_again_is_no_outage(dispatcher: Dispatcher) -> None:
    for epoch in range(1, 3):
        for _ in range(OUTAGE - 1):
            dispatcher.crash(leased(dispatcher), "disk", "OSError")
        dispatcher.report(leased(dispatcher), report(epoch))
    assert (dispatcher.outage, dispatcher.closing, dispatcher.history.trials[0].state) == (None, False, None)


def test_a_trial_that_is_tried_again_is_as_if_it_had_just_been_submitted(dispatcher: Dispatcher, path: Path) -> None:
    lease = leased(dispatcher)
    dispatcher.report(lease, report(1))
    dispatcher.report(lease, report(2))
    dispatcher.decide(decided(0, 2, "go", 1.0))
    for _ in range(3):
        dispatcher.crash(leased(dispatcher), "lost", "…")
    assert [trial.number for trial in dispatcher.history.failed_trials({"lost"})] == [0]
    assert dispatcher.history.failed_trials({"oom"}) == []
    for event in (SearchResumed(), TrialRetried(trial=0, cause="lost")):
        dispatcher.ledger.append(event)
    with restarted(dispatcher, path) as again:
        trial = again.history.trials[0]
        assert (trial.state, trial.cause, trial.value, trial.epoch, trial.checkpoints()) == (None, None, None, 0, [])
        assert again.history.ended_trials == [] and again.history.unfinished() == [trial]
        again.register(0, [PROCESS], now=0.0)
        new = leased(again)
        assert new.attempt == 4  # attempts are counted on
        again.report(new, report(1))
        assert again.report(new, report(2)) == "wait"  # the rung's decision was forgotten, too


def test_who_was_to_go_on_stops_once_the_budget_is_used_up(path: Path) -> None:
    """A donor's checkpoints may have gone with it by then."""
    config = DispatchConfig(epochs=frozenset({2}), releases_worker=True, limits=BudgetLimits(wall=10.0))
    dispatcher = dispatcher_at(path, config)
    for number in range(2):
        dispatcher.submit(number, {"x": number}, "constant")
        dispatcher.register(number, [PROCESS], now=0.0)
        lease = leased(dispatcher, host=number)
        dispatcher.report(lease, report(1))
        dispatcher.report(lease, report(2))
        dispatcher.pause(number)
    dispatcher.wall = 11.0
    dispatcher.spend()
    dispatcher.decide(replace(decided(0, 2, "inherit", 1.0), donor=1, params={"x": 9}))
    dispatcher.decide(decided(1, 2, "go", 1.0))
    dispatcher.ledger.close()
    ends = [(event.trial, event.state, event.cause) for event in events(path, "finished")]
    assert ends == [(number, "stopped", "wall-clock time: 0.003056 h of 0.002778 h") for number in range(2)]


def test_nan_fails_the_trial(dispatcher: Dispatcher) -> None:
    assert dispatcher.report(leased(dispatcher), report(1, None, "nan")) == "stop"
    assert (dispatcher.history.trials[0].state, dispatcher.history.trials[0].cause) == ("failed", "nan")


def test_a_silent_worker_group_loses_its_lease(dispatcher: Dispatcher) -> None:
    lease = leased(dispatcher)
    assert dispatcher.hanging(now=59.0) == {}
    assert list(dispatcher.hanging(now=61.0)) == [0]
    assert dispatcher.lose(0, "hang", "silent") == (PROCESS,)
    assert dispatcher.report(lease, report(1)) == "release"
    assert dispatcher.register(0, [PROCESS], now=62.0) == 2
    assert leased(dispatcher, generation=2).attempt == 2


def test_a_trial_that_was_ended_as_hanging_has_more_time_until_it_gets_further(dispatcher: Dispatcher) -> None:
    for seconds in (60.0, 120.0):
        leased(dispatcher, generation=dispatcher.groups[0].generation)
        assert dispatcher.hanging(now=seconds - 1) == {}
        assert "silent" in dispatcher.hanging(now=seconds + 1)[0]
        dispatcher.lose(0, "hang", "silent")
        dispatcher.register(0, [PROCESS], now=0.0)
    dispatcher.report(leased(dispatcher, generation=3), report(1))
    assert list(dispatcher.hanging(now=61.0)) == [0]
    assert dispatcher.history.trials[0].state is None


def test_trials_that_get_further_each_time_outlive_any_number_of_lost_worker_groups(dispatcher: Dispatcher) -> None:
    for generation in range(1, 7):
        dispatcher.report(leased(dispatcher, generation=generation), replace(report(generation), epoch=generation))
        dispatcher.decide(decided(0, 2, "go", 1.0))
        dispatcher.register(0, [PROCESS], now=0.0)
    assert (len(dispatcher.history.trials[0].crashes), dispatcher.history.trials[0].state) == (6, None)
    for generation in range(7, 9):  # an epoch that was reported before is nothing new
        dispatcher.report(leased(dispatcher, generation=generation), report(6))
        dispatcher.register(0, [PROCESS], now=0.0)
    assert (dispatcher.history.trials[0].state, dispatcher.history.trials[0].cause) == ("failed", "lost")


def test_a_restarted_dispatcher_knows_the_processes_of_what_hangs(dispatcher: Dispatcher, path: Path) -> None:
    leased(dispatcher)
    with restarted(dispatcher, path) as again:
        assert list(again.hanging(now=61.0)) == [0]
        assert again.lose(0, "hang", "silent") == (PROCESS,)


def test_a_restarted_dispatcher_takes_a_crashed_attempt_for_no_running_one(dispatcher: Dispatcher, path: Path) -> None:
    dispatcher.crash(leased(dispatcher), "crash", "Traceback …")
    with restarted(dispatcher, path) as again:
        assert again.leases == {} and leased(again).attempt == 2
        again.register(0, [PROCESS], now=0.0)
        assert again.history.trials[0].setbacks == 2  # this attempt's end and that one's


def test_a_paused_trial_frees_its_worker_group_and_goes_on_later(dispatcher: Dispatcher) -> None:
    lease = leased(dispatcher)
    dispatcher.report(lease, report(1))
    newest = dispatcher.pause(0)
    assert newest is not None and newest.checkpoint == Checkpoint("e1", "0", 1)
    assert dispatcher.reply(lease, 1) == "release"
    assert dispatcher.lease(0, 1, now=0.0) is None
    dispatcher.stop(0, "the process is reused")  # pausing is not stopping
    dispatcher.submit(0, {"x": 1}, "constant")
    assert leased(dispatcher).attempt == 2


def test_a_restarted_dispatcher_stands_where_the_last_one_stood(dispatcher: Dispatcher, path: Path) -> None:
    dispatcher.submit(1, {"x": 2}, "linear")
    lease = leased(dispatcher)
    dispatcher.report(lease, report(1))
    with restarted(dispatcher, path) as again:
        assert again.report(lease, report(2)) == "wait"  # the worker group continues as if nothing had been
        assert again.register(1, [PROCESS], now=0.0) == 1
        assert leased(again, host=1).trial == 1


def test_a_resumed_search_takes_no_lease_over_from_the_last_session(dispatcher: Dispatcher, path: Path) -> None:
    dispatcher.report(leased(dispatcher), report(1))
    dispatcher.record(SearchResumed())
    with restarted(dispatcher, path) as again:
        assert again.leases == {}
        again.register(0, [PROCESS], now=0.0)
        assert leased(again).attempt == 2


def test_a_trial_waits_while_its_rung_is_undecided_after_a_resume(dispatcher: Dispatcher, path: Path) -> None:
    lease = leased(dispatcher)
    dispatcher.report(lease, report(1))
    dispatcher.report(lease, report(2))
    dispatcher.record(SearchResumed())
    with restarted(dispatcher, path) as again:
        again.register(0, [PROCESS], now=0.0)
        assert again.lease(0, 1, now=0.0) is None
        again.decide(decided(0, 2, "go", 1.0, None))
        assert leased(again).attempt == 2


def test_closing_drops_trials_without_ending_them(dispatcher: Dispatcher) -> None:
    lease = leased(dispatcher)
    dispatcher.closing = True
    assert dispatcher.report(lease, report(1)) == "release"
    dispatcher.stop(0, "Tune ends")
    assert dispatcher.history.trials[0].state is None


def test_a_worker_group_that_comes_up_after_the_end_writes_nothing(dispatcher: Dispatcher, path: Path) -> None:
    dispatcher.closing = True
    before = path.read_bytes()
    dispatcher.register(1, [PROCESS], now=1.0)
    assert path.read_bytes() == before


def test_the_ledger_survives_a_torn_line_and_has_one_writer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(path)
    written = ledger.append(EpochReported(trial=0, epoch=1, metrics={"val/mse": math.inf}, value=math.nan))
    assert written.value is None and written.metrics == {"val/mse": None}
    assert json.loads(path.read_text())["value"] is None
    monkeypatch.setattr(ledger_module, "LOCK_SECONDS", 0.2)
    with pytest.raises(SearchError, match="another process"):
        Ledger(path)
    ledger.close()
    with path.open("ab") as file:
        file.write(b'{"event":"fini')
    assert len(list(read_events(path))) == 1
    repaired = Ledger(path)
    assert repaired.repaired_bytes == 14
    repaired.append(SearchEnded(reason="trials"))
    repaired.close()
    assert kinds(path) == ["reported", "ended"]


def test_a_full_disk_leaves_no_half_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(path)
    ledger.append(SearchEnded(reason="trials"))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(ledger_module.os, "fdatasync", full)
        with pytest.raises(OSError, match="No space left"):
            ledger.append(SearchResumed())
    assert kinds(path) == ["ended"]
    ledger.append(SearchResumed())
    ledger.close()
    assert len(list(read_events(path))) == 2


def test_a_used_up_budget_ends_the_search_after_the_epochs_under_way(path: Path) -> None:
    """Two worker groups of two cores, 10 core-seconds: the epoch that uses them up is the last of its trial."""
    dispatcher = dispatcher_at(path, DispatchConfig(cores=2.0, limits=BudgetLimits(core=10.0)))
    for number in range(3):
        dispatcher.submit(number, {"x": number}, "g")
    for host in range(2):
        dispatcher.register(host, [PROCESS], now=0.0)
    first, second = leased(dispatcher, host=0), leased(dispatcher, host=1)
    assert dispatcher.report(first, replace(report(1), seconds=2.0)) == "continue"  # 4 of 10
    assert dispatcher.report(first, replace(report(2), seconds=3.0)) == "stop"  # 10 of 10
    assert dispatcher.history.trials[2].state == "stopped"  # no worker group had begun it
    assert dispatcher.report(second, report(1)) == "stop"
    assert {trial.state for trial in dispatcher.history.trials.values()} == {"stopped"}
    assert dispatcher.over == dispatcher.history.trials[1].cause == "core-hours: 0.002778 h of 0.002778 h"
    assert not dispatcher.submit(3, {"x": 3}, "g")
    assert 3 not in read_history(path).trials
    dispatcher.ledger.close()


def test_a_trial_that_diverges_after_epochs_that_count_keeps_the_best_of_them(
    dispatcher: Dispatcher, path: Path
) -> None:
    for number in range(2):
        dispatcher.submit(number, {"x": number}, "g", repeat_of=None)
    dispatcher.register(0, [PROCESS], now=0.0)
    first = leased(dispatcher, host=0)
    assert dispatcher.report(first, report(1, 0.7)) == "continue"
    broken = replace(report(2, None, "nan"), value=0.7, best=Checkpoint("e1", "0", 1))
    assert dispatcher.report(first, broken) == "stop"
    assert dispatcher.report(leased(dispatcher, host=0), report(1, None, "exploded")) == "stop"
    dispatcher.ledger.close()
    history = read_history(path)
    kept, lost = history.trials[0], history.trials[1]
    assert (kept.state, kept.value, kept.diverged) == ("early_stopped", 0.7, True)
    assert kept.cause == "diverged in epoch 2 (nan); its best epoch, 1, counts"
    assert kept.best_metrics == {"val/nelbo": 0.7}
    assert (lost.state, lost.cause, lost.diverged) == ("failed", "exploded", False)
    assert [standing.trial.number for standing in rank(history, SINGLE)] == [0]
    assert "early_stopped, diverged" in shown(ranking(history, SINGLE))


def test_wall_time_counts_over_all_sessions(path: Path) -> None:
    limits = BudgetLimits(wall=100.0)
    assert limits.exhausted(BudgetSpent(wall=99.0)) is None
    assert str(limits.exhausted(BudgetSpent(wall=100.0))).startswith("wall-clock time")
    events: list[LedgerEvent] = [
        SearchHeader(time=10.0, name="s", family="f", space={}),
        TrialSubmitted(time=11.0, trial=0, params={}, group="g"),
        SearchInterrupted(time=40.0, signal="SIGINT"),
        SearchResumed(time=1000.0),
        EpochReported(time=1020.0, trial=0, epoch=1, metrics={}),  # and killed
        SearchResumed(time=2000.0),
    ]
    path.write_text("".join(json.dumps(event.to_json()) + "\n" for event in events))
    assert read_history(path).wall_seconds == 30.0 + 20.0


def test_a_clock_that_jumps_uses_up_no_budget(path: Path) -> None:
    """Sessions that were interrupted, that ended, and that were killed after a report; a day went by in each clock."""
    day = 86_400.0
    events: list[LedgerEvent] = [
        SearchHeader(time=10.0, name="s", family="f", space={}),
        EpochReported(time=11.0, trial=0, epoch=1, metrics={}, wall_seconds=1.0),
        SearchInterrupted(time=40.0 + day, signal="SIGINT", seconds=30.0),
        SearchResumed(time=2 * day),
        EpochReported(time=20.0, trial=0, epoch=2, metrics={}, wall_seconds=35.0),
        EpochReported(time=4 * day, trial=0, epoch=3, metrics={}, wall_seconds=50.0),
        SearchResumed(time=5 * day),
        SearchEnded(time=7 * day, reason="trials", seconds=5.0),
    ]
    path.write_text("".join(json.dumps(event.to_json()) + "\n" for event in events))
    assert read_history(path).wall_seconds == 30.0 + 20.0 + 5.0


def test_the_trial_that_reaches_the_target_is_completed_and_the_others_are_stopped(path: Path) -> None:
    config = DispatchConfig(limits=BudgetLimits(target=0.5), floors=(("val/active_units", 4.0),))
    dispatcher = dispatcher_at(path, config)
    for number in range(2):
        dispatcher.submit(number, {"x": number}, "g")
        dispatcher.register(number, [PROCESS], now=0.0)
    first, second = leased(dispatcher, host=0), leased(dispatcher, host=1)
    assert dispatcher.report(first, report(1, 0.4)) == "continue"  # without active units it has not arrived
    better = report(2, 0.3)
    assert dispatcher.report(first, replace(better, metrics={"val/nelbo": 0.3, "val/active_units": 5.0})) == "stop"
    assert dispatcher.report(second, report(1)) == "stop"
    states = {number: (trial.state, trial.cause) for number, trial in dispatcher.history.trials.items()}
    assert states == {0: ("completed", "target: 0.3 <= 0.5"), 1: ("stopped", "target: 0.3 <= 0.5")}
    dispatcher.ledger.close()


def test_a_population_gives_worker_groups_back_while_it_waits_and_goes_on_with_inherited_weights(path: Path) -> None:
    dispatcher = dispatcher_at(path, DispatchConfig(epochs=frozenset({2}), releases_worker=True))
    dispatcher.register(0, [PROCESS], now=0.0)
    for number in range(2):
        dispatcher.submit(number, {"x": number}, "g")
        lease = leased(dispatcher)
        assert lease.trial == number
        assert dispatcher.report(lease, report(1)) == "continue"
        assert dispatcher.report(lease, report(2, 1.0 + number)) == "release"  # its worker group is free for the other
    assert dispatcher.lease(0, 1, now=0.0) is None
    checkpoint = Checkpoint("trials/00001/from-00000-epoch-00002/e2", "7", 2)
    given = replace(decided(1, 2, "inherit", 2.0), donor=0, params={"x": 0.5})
    for _ in range(2):  # the second one changes nothing
        dispatcher.decide(given, InheritedState(checkpoint, checkpoint, {"val/nelbo": 1.0}))
        dispatcher.decide(decided(0, 2, "go", 1.0))
    with restarted(dispatcher, path) as again:
        trial = again.history.trials[1]
        assert (trial.params, trial.checkpoints(), trial.starts_inherited) == ({"x": 0.5}, [checkpoint], True)
        again.register(0, [PROCESS], now=0.0)
        lease = again.lease(0, 2, now=0.0)
        while lease is not None and lease.trial != 1:
            again.report(lease, report(3, 0.5, "completed"))
            lease = again.lease(0, 2, now=0.0)
        assert lease is not None
        again.report(lease, replace(report(3, 0.4), best=checkpoint))
        assert [c.epoch for c in trial.checkpoints()] == [3, 2]  # never its own from before
        assert not trial.starts_inherited
        assert trial.best_metrics == {"val/nelbo": 1.0}  # the donor's, whose weights its best epoch had


def test_repeats_are_not_compared(dispatcher: Dispatcher) -> None:
    dispatcher.submit(1, {"x": 1}, "repeat", repeat_of=0)
    leased(dispatcher)
    assert dispatcher.register(1, [PROCESS], now=0.0) == 1
    lease = leased(dispatcher, host=1)
    assert lease.trial == 1
    assert [dispatcher.report(lease, report(epoch)) for epoch in (1, 2)] == ["continue", "continue"]


def test_worker_groups_that_no_trial_will_need_are_given_back(dispatcher: Dispatcher) -> None:
    dispatcher.register(1, [PROCESS], now=0.0)
    dispatcher.expected = 0
    assert not dispatcher.release(1)  # a trial waits for a worker group: this one takes it
    dispatcher.expected = None
    leased(dispatcher)
    assert not dispatcher.release(1)  # nobody has said yet how many trials may come
    dispatcher.expected = 1
    assert not dispatcher.release(1)
    dispatcher.expected = 0
    assert not dispatcher.release(0)  # it trains
    assert dispatcher.release(1) and dispatcher.release(1)
    assert 1 not in dispatcher.groups


def test_a_lost_node_voids_the_leases_of_its_worker_groups(dispatcher: Dispatcher) -> None:
    lease = leased(dispatcher)
    assert dispatcher.on_dead_nodes(["n", "m"]) == []
    assert dispatcher.on_dead_nodes(["m"]) == [0]
    dispatcher.lose(0, "lost", "a node is gone")
    assert dispatcher.report(lease, report(1)) == "release"
    assert [crash.cause for crash in dispatcher.history.trials[0].crashes] == ["lost"]


def test_a_slim_history_keeps_what_is_needed_of_ended_trials(dispatcher: Dispatcher, path: Path) -> None:
    lease = leased(dispatcher)
    dispatcher.report(lease, report(1))
    dispatcher.report(lease, report(2))
    dispatcher.decide(decided(0, 2, "go", 1.0))
    best = Checkpoint("e2", "0", 2)
    dispatcher.report(lease, replace(report(3), best=best))
    dispatcher.report(lease, replace(report(4, 0.5, "completed"), best=best))
    whole, slim = read_history(path), read_history(path, slim=True)
    assert sorted(whole.trials[0].reports) == [1, 2, 3, 4]
    assert sorted(slim.trials[0].reports) == [2, 4]
    for name in ("value", "epoch", "seconds", "best_metrics", "state"):
        assert getattr(whole.trials[0], name) == getattr(slim.trials[0], name), name


@pytest.mark.parametrize(
    ("last", "state", "cause"),
    [
        ({"outcome": "completed"}, "completed", None),
        ({"outcome": "nan", "value": None}, "failed", "nan"),
        ({}, "stopped", "rung 2: 3, cut-off 1"),
    ],
)
def test_an_end_that_a_crash_left_unsaid_is_said_after_the_restart(
    dispatcher: Dispatcher, path: Path, last: dict[str, Any], state: str, cause: str | None
) -> None:
    dispatcher.report(leased(dispatcher), report(1))
    dispatcher.ledger.append(replace(EpochReported(trial=0, **vars(report(2))), **last))
    if not last:
        dispatcher.ledger.append(decided(0, 2, "stop", 3.0, 1.0))
    with restarted(dispatcher, path) as again:
        trial = again.history.trials[0]
        assert (trial.state, trial.cause) == (state, cause)
        assert 0 not in again.waiting and 0 not in again.leases
