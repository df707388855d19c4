"""Leases, rungs and the ledger, without Ray: what follows from each message, and from each message twice."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray.tune.schedulers import AsyncHyperBandScheduler

from vaeforge.errors import SearchError
from vaeforge.search import ledger as ledger_module
from vaeforge.search.board import Board, Lease
from vaeforge.search.history import History, read_history
from vaeforge.search.ledger import Ledger, read_events
from vaeforge.search.rungs import Rungs
from vaeforge.search.space import Fidelity

PROCESS = {"pid": 1, "started": 0.0, "node": "n"}


def report(epoch: int, value: float | None = 1.0, outcome: str = "running") -> dict[str, Any]:
    checkpoint = {"file": f"e{epoch}", "sha256": "0", "epoch": epoch}
    return {
        "epoch": epoch,
        "metrics": {"val/nelbo": value},
        "value": value,
        "outcome": outcome,
        "seconds": 1.0,
        "checkpoint": checkpoint,
        "best": checkpoint,
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def board_at(path: Path) -> Board:
    board = Board(Ledger(path), read_history(path), rungs=[2], attempts=3)
    board.readopt(now=0.0)
    return board


@pytest.fixture
def board(path: Path) -> Iterator[Board]:
    board = board_at(path)
    board.submit(0, {"x": 1}, "constant")
    assert board.register(0, [PROCESS], now=0.0) == 1
    yield board
    board.ledger.close()


@contextmanager
def restarted(board: Board, path: Path) -> Iterator[Board]:
    """The board after its process was killed and started again."""
    board.ledger.close()
    again = board_at(path)
    try:
        yield again
    finally:
        again.ledger.close()


def leased(board: Board, host: int = 0, generation: int = 1) -> Lease:
    lease = board.lease(host, generation)
    assert lease is not None
    return lease


def events(path: Path, kind: str) -> list[dict[str, Any]]:
    return [event for event in read_events(path) if event["event"] == kind]


def test_a_trial_from_submission_to_its_end(board: Board, path: Path) -> None:
    lease = leased(board)
    assert board.report(lease, report(1)) == "go"
    assert board.report(lease, report(2)) == "hold"  # a rung: Tune has not decided
    board.decide(0, 2, "go", 1.0, None)
    assert board.reply(lease, 2) == "go"
    assert board.report(lease, report(3, 0.5, "completed")) == "stop"
    trial = read_history(path).trials[0]
    assert (trial.state, trial.value, trial.epoch, trial.seconds) == ("completed", 0.5, 3, 3.0)
    assert board.lease(0, 1) is None


def test_each_message_twice_changes_nothing(board: Board, path: Path) -> None:
    board.submit(0, {"x": 1}, "constant")
    lease = leased(board)
    assert leased(board) == lease  # the answer to the first take was lost
    for _ in range(2):
        assert board.report(lease, report(1)) == "go"
    for _ in range(2):
        assert board.report(lease, report(2)) == "hold"
    for _ in range(2):
        board.decide(0, 2, "stop", 1.0, 0.5)
    for _ in range(2):
        assert board.reply(lease, 2) == "stop"
    board.stop(0, "again")
    kinds = [event["event"] for event in read_events(path)]
    assert kinds == ["submitted", "registered", "leased", "reported", "reported", "decided", "finished"]
    assert events(path, "finished")[0]["cause"] == "rung 2: 1, needed <= 0.5"


def test_a_restarted_host_gives_its_lease_back_and_the_old_one_is_dropped(board: Board, path: Path) -> None:
    old = leased(board)
    board.report(old, report(1))
    assert board.register(0, [PROCESS], now=1.0) == 2
    assert not board.heard(0, 1, now=1.0)
    assert board.report(old, report(2)) == "drop"
    new = leased(board, generation=2)
    assert (new.attempt, board.history.trials[0].checkpoints()[0]["epoch"]) == (2, 1)
    assert [event["cause"] for event in events(path, "crashed")] == ["lost"]
    assert board.report(old, report(3)) == "drop"
    assert board.report(new, report(2)) == "hold"


def test_a_trial_that_crashes_its_host_three_times_has_failed(board: Board, path: Path) -> None:
    board.submit(1, {"x": 2}, "constant")
    for _ in range(3):
        lease = leased(board)
        assert lease.trial == 0  # a crashed trial is tried again first
        board.crash(lease, "crash", "Traceback …")
    assert board.history.trials[0].state == "failed"
    assert leased(board).trial == 1
    assert [event["trial"] for event in events(path, "finished")] == [0]


@pytest.mark.parametrize(("cause", "starts"), [("oom", 2), ("disk", 1), ("checkpoint", 1)])
def test_causes_that_a_retry_seldom_mends_have_fewer(board: Board, cause: str, starts: int) -> None:
    for _ in range(starts):
        assert board.history.trials[0].state is None
        board.crash(leased(board), cause, "")
    assert (board.history.trials[0].state, board.history.trials[0].cause) == ("failed", cause)


def test_nan_fails_the_trial(board: Board) -> None:
    assert board.report(leased(board), report(1, None, "nan")) == "stop"
    assert (board.history.trials[0].state, board.history.trials[0].cause) == ("failed", "nan")


def test_an_overdue_host_loses_its_lease(board: Board) -> None:
    lease = leased(board)
    assert board.overdue(now=59.0) == []
    ((number, host),) = board.overdue(now=61.0)
    assert (number, host.processes) == (0, [PROCESS])
    board.forget(0)
    assert board.report(lease, report(1)) == "drop"
    assert board.register(0, [PROCESS], now=62.0) == 2
    assert leased(board, generation=2).attempt == 2


def test_slow_epochs_raise_the_deadline(board: Board) -> None:
    lease = leased(board)
    board.report(lease, report(1) | {"seconds": 40.0})
    assert board.overdue(now=199.0) == []
    assert len(board.overdue(now=201.0)) == 1


def test_a_parked_trial_frees_its_host_and_goes_on_later(board: Board) -> None:
    lease = leased(board)
    board.report(lease, report(1))
    newest = board.park(0)
    assert newest is not None and newest["checkpoint"]["epoch"] == 1
    assert board.reply(lease, 1) == "drop"
    assert board.lease(0, 1) is None
    board.stop(0, "the process is reused")  # pausing is not stopping
    board.submit(0, {"x": 1}, "constant")
    assert leased(board).attempt == 2


def test_a_restarted_broker_stands_where_the_last_one_stood(board: Board, path: Path) -> None:
    board.submit(1, {"x": 2}, "linear")
    lease = leased(board)
    board.report(lease, report(1))
    with restarted(board, path) as again:
        assert again.report(lease, report(2)) == "hold"  # the host goes on as if nothing had been
        assert again.register(1, [PROCESS], now=0.0) == 1
        assert leased(again, host=1).trial == 1


def test_a_resumed_search_takes_no_lease_over_from_the_last_session(board: Board, path: Path) -> None:
    board.report(leased(board), report(1))
    board.record("resumed", project_run_id=None)
    with restarted(board, path) as again:
        assert again.leases == {}
        again.register(0, [PROCESS], now=0.0)
        assert leased(again).attempt == 2


def test_a_trial_waits_while_its_rung_is_undecided_after_a_resume(board: Board, path: Path) -> None:
    lease = leased(board)
    board.report(lease, report(1))
    board.report(lease, report(2))
    board.record("resumed", project_run_id=None)
    with restarted(board, path) as again:
        again.register(0, [PROCESS], now=0.0)
        assert again.lease(0, 1) is None
        again.decide(0, 2, "go", 1.0, None)
        assert leased(again).attempt == 2


def test_closing_drops_trials_without_ending_them(board: Board) -> None:
    lease = leased(board)
    board.closing = True
    assert board.report(lease, report(1)) == "drop"
    board.stop(0, "Tune ends")
    assert board.history.trials[0].state is None


def test_a_host_that_comes_up_after_the_end_writes_nothing(board: Board, path: Path) -> None:
    board.closing = True
    before = path.read_bytes()
    board.register(1, [PROCESS], now=1.0)
    assert path.read_bytes() == before


def test_the_ledger_survives_a_torn_line_and_has_one_writer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(path)
    ledger.append("submitted", trial=0, params={}, group="g", value=float("nan"))
    assert json.loads(path.read_text())["value"] is None
    monkeypatch.setattr(ledger_module, "WRITER_PATIENCE", 0.2)
    with pytest.raises(SearchError, match="another process"):
        Ledger(path)
    ledger.close()
    with path.open("ab") as file:
        file.write(b'{"event":"fini')
    assert len(list(read_events(path))) == 1
    repaired = Ledger(path)
    assert repaired.repaired_bytes == 14
    repaired.append("ended", reason="trials")
    repaired.close()
    assert [event["event"] for event in read_events(path)] == ["submitted", "ended"]


def test_a_full_disk_leaves_no_half_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(path)
    ledger.append("ended", reason="trials")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(ledger_module.os, "fdatasync", full)
        with pytest.raises(OSError, match="No space left"):
            ledger.append("resumed", project_run_id=None)
    assert [event["event"] for event in read_events(path)] == ["ended"]
    ledger.append("resumed", project_run_id=None)
    ledger.close()
    assert len(list(read_events(path))) == 2


def test_rungs_decide_as_rays_asha_does() -> None:
    """The same random trials, one after the other, through Ray's scheduler: the reference."""

    class Stand:
        def __init__(self, number: int):
            self.trial_id = str(number)

    for reduction in (2, 3, 4):
        rng = np.random.default_rng(reduction)
        reference: Any = AsyncHyperBandScheduler(
            time_attr="epoch", metric="value", mode="min", max_t=27, grace_period=2, reduction_factor=reduction
        )
        rungs = Rungs(Fidelity(27, 2, reduction))
        for number in range(60):
            reference.on_trial_add(None, Stand(number))
            for epoch in sorted(rungs.epochs):
                value = float(rng.normal())
                action, _ = rungs.decide("g", number, epoch, value)
                expected = reference.on_trial_result(None, Stand(number), {"epoch": epoch, "value": value})
                assert (action == "stop") == (expected == "STOP")
                if action == "stop":
                    break


def test_rungs_compare_within_groups_and_replay(board: Board, path: Path) -> None:
    rungs = Rungs(Fidelity(6, 2, 3))
    assert rungs.decide("a", 0, 2, 1.0) == ("go", None)
    assert rungs.decide("b", 1, 2, 9.0) == ("go", None)  # worse, but nothing of its group to compare with
    assert rungs.decide("a", 2, 2, 2.0)[0] == "stop"
    assert rungs.decide("a", 2, 2, 2.0)[0] == "stop"
    lease = leased(board)
    board.report(lease, report(1))
    board.report(lease, report(2, 1.0))
    board.decide(0, 2, "go", 1.0, None)
    again = Rungs(Fidelity(6, 2, 3))
    again.replay(read_history(path))
    assert list(again.recorded("constant", 2)) == [1.0]
    assert again.decide("constant", 0, 2, 99.0)[0] == "go"  # decided already, whatever it reports now
    assert again.decide("constant", 7, 2, 1.5) == ("stop", 1.0)


def test_ranking_prefers_trials_trained_to_their_end() -> None:
    history = History()
    rows = [(0, 5.0, "completed"), (1, 1.0, "stopped"), (2, 4.0, "early_stopped"), (3, None, "failed")]
    for number, value, state in rows:
        history.apply({"event": "submitted", "trial": number, "params": {}, "group": "g"})
        history.apply({"event": "reported", "trial": number, "attempt": 1, **report(1, value)})
        history.apply({"event": "finished", "trial": number, "state": state, "cause": None})
    assert [trial.number for trial in history.ranked()] == [2, 0]
    history.header = {"space": {"objective": {"require": {"val/nelbo": 4.5}}}}  # any reported number can be a floor
    assert [trial.number for trial in history.ranked()] == [0, 2]
    assert history.counts() == {"completed": 1, "stopped": 1, "early_stopped": 1, "failed": 1}
