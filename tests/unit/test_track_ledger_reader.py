"""Reading a ledger and adding its events up, without any store."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from vaeforge.track.ledger_reader import Fold, flatten, read_lines

SEARCH = {
    "event": "search",
    "time": 0.0,
    "name": "s",
    "family": "endoscopy",
    "space": {"objective": {"metric": "val/nelbo", "mode": "min"}},
    "settings": {},
    "data_identity": "a" * 64,
    "data_source": "data/endoscopy",
    "project_run_id": None,
}


def event(kind: str, time: float, **values: Any) -> dict[str, Any]:
    return {"event": kind, "time": time, **values}


def report(trial: int, epoch: int, time: float, **metrics: float | None) -> dict[str, Any]:
    named = {key.replace("_", "/"): value for key, value in metrics.items()}
    return event("reported", time, trial=trial, attempt=1, epoch=epoch, metrics=named, value=None, seconds=2.5)


def finished(trial: int, time: float, state: str = "completed", value: float | None = 1.5) -> dict[str, Any]:
    return event("finished", time, trial=trial, state=state, cause=None, value=value, epoch=3, seconds=9.0)


def fold_of(*events: dict[str, Any]) -> Fold:
    fold = Fold()
    for one in (SEARCH, *events):
        fold.take(one)
    return fold


def test_a_torn_last_line_is_left_for_the_next_read(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    whole, torn = json.dumps(SEARCH) + "\n", json.dumps(event("resumed", 1.0)) + "\n"
    ledger.write_text(whole + torn[:10])
    first = read_lines(ledger, 0)
    assert [e["event"] for e in first.events] == ["search"]
    assert first.offset == len(whole)

    ledger.write_text(whole + torn)
    second = read_lines(ledger, first.offset)
    assert [e["event"] for e in second.events] == ["resumed"]
    assert read_lines(ledger, second.offset).events == []


def test_reading_up_to_a_byte_takes_only_lines_that_end_before_it(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    line = json.dumps(event("resumed", 1.0)) + "\n"
    ledger.write_text(3 * line)
    assert read_lines(ledger, 0, until=2 * len(line)).offset == 2 * len(line)
    assert read_lines(ledger, 0, until=2 * len(line) - 1).offset == len(line)


@pytest.mark.parametrize(
    "line",
    [
        b'{"event": "reported", "ti',
        b"[1, 2]",
        b'{"event": "resumed"}',
        b'{"event": "leased", "time": 1.0, "trial": 0}',
        b"\xff\xfe",
    ],
)
def test_a_complete_line_that_is_no_event_is_counted_and_skipped(tmp_path: Path, line: bytes) -> None:
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_bytes(line + b"\n" + json.dumps(event("resumed", 2.0)).encode() + b"\n")
    lines = read_lines(ledger, 0)
    assert (len(lines.events), lines.damaged) == (1, 1)


def test_an_event_of_a_later_version_is_passed_over() -> None:
    assert fold_of(event("celebrated", 5.0)).last_time == 5.0


def test_metrics_carry_the_epoch_and_the_time_of_the_ledger() -> None:
    fold = fold_of(event("submitted", 1.0, trial=0, params={}), report(0, 2, 7.0, val_nelbo=3.5, beta=None))
    points = {(p.key, p.value, p.time, p.step) for p in fold.trials[0].points}
    assert points == {("val/nelbo", 3.5, 7.0, 2), ("epoch_seconds", 2.5, 7.0, 2)}


@pytest.mark.parametrize("value", [None, math.inf, math.nan])
def test_only_the_objective_is_logged_where_it_is_not_finite(value: float | None) -> None:
    fold = fold_of(report(0, 1, 7.0, val_nelbo=value, train_loss=value))
    by_key = {p.key: p.value for p in fold.trials[0].points}
    assert by_key.keys() == {"val/nelbo", "epoch_seconds"}
    assert math.isnan(by_key["val/nelbo"])


def test_an_epoch_trained_again_after_a_crash_gives_no_second_point() -> None:
    crash = event("crashed", 3.0, trial=0, attempt=1, cause="oom", traceback="t")
    fold = fold_of(report(0, 1, 1.0, beta=1), report(0, 2, 2.0, beta=1), crash, report(0, 2, 4.0, beta=1))
    assert [(p.step, p.time) for p in fold.trials[0].points if p.key == "beta"] == [(1, 1.0), (2, 2.0)]
    assert (fold.trials[0].crash, fold.trials[0].cause) == ("oom", None)


def test_attempts_are_counted_by_their_leases() -> None:
    leases = [event("leased", t, trial=0, attempt=a, host=0, generation=0) for t, a in ((1.0, 1), (2.0, 2), (3.0, 2))]
    assert len(fold_of(*leases).trials[0].attempts) == 2


def test_final_metrics_of_a_trial() -> None:
    fold = fold_of(finished(4, 8.0))
    assert {p.key: p.value for p in fold.trials[4].points} == {"value": 1.5, "epochs": 3.0, "seconds": 9.0}
    assert fold.trials[4].terminal


def test_an_interruption_shows_in_unfinished_trials_until_the_search_resumes() -> None:
    events = [event("submitted", 1.0, trial=0, params={}), finished(1, 2.0), event("interrupted", 3.0, signal="SIGINT")]
    fold = fold_of(*events)
    assert (fold.over, fold.phase_time) == (True, 3.0)
    assert [fold.shown_state(fold.trials[n]) for n in (0, 1)] == ["interrupted", "completed"]

    fold.take(event("resumed", 4.0, project_run_id="p2"))
    assert (fold.over, fold.shown_state(fold.trials[0])) == (False, "submitted")
    assert fold.resumed_by == ["p2"]


def test_the_end_counts_trials_by_state() -> None:
    end = event("ended", 9.0, reason="trials done", seconds=9.0, trials=3, best=0, value=1.5)
    fold = fold_of(finished(0, 1.0), finished(1, 2.0, "failed", None), event("submitted", 3.0, trial=2, params={}), end)
    counts = {p.key: p.value for p in fold.points}
    assert counts["trials/completed"] == counts["trials/failed"] == counts["trials/interrupted"] == 1
    assert (counts["trials/total"], counts["trials/stopped"], counts["best/value"]) == (3, 0, 1.5)


def test_abandoning_ends_a_session_only_where_it_did_not_end_itself() -> None:
    quiet, ended = fold_of(finished(0, 5.0)), fold_of(event("ended", 6.0, reason="r"))
    quiet.abandon()
    ended.abandon()
    assert (quiet.phase, quiet.phase_time) == ("interrupted", 5.0)
    assert ended.phase == "ended"


def test_forgetting_spares_trials_that_no_store_knows() -> None:
    fold = fold_of(finished(0, 1.0), finished(1, 1.0))
    fold.forget_points([0, 7])
    assert (fold.trials[0].points, len(fold.trials[1].points)) == ([], 3)


def test_flatten_joins_keys_with_dots_and_keeps_empty_sections() -> None:
    assert flatten({"a": {"b": 1, "c": {"d": None}}, "e": {}, "f": [1]}) == {"a.b": 1, "a.c.d": None, "e": {}, "f": [1]}
