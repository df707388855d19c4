"""What a tracking store is told of a search: metric points, phases and states, without any store."""

import math

import pytest

from ledger_events import event
from vaeforge.ledger.events import LedgerEvent
from vaeforge.track.tracked_search import TrackedSearch, flatten

SEARCH = event("search", name="s", family="f", space={"objective": {"metric": "val/nelbo", "mode": "min"}})


def report(trial: int, epoch: int, time: float, **metrics: float | None) -> LedgerEvent:
    named = {key.replace("_", "/"): value for key, value in metrics.items()}
    return event("reported", time, trial=trial, attempt=1, epoch=epoch, metrics=named, value=None, seconds=2.5)


def finished(trial: int, time: float, state: str = "completed", value: float | None = 1.5) -> LedgerEvent:
    return event("finished", time, trial=trial, state=state, cause=None, value=value, epoch=3, seconds=9.0)


def tracked(*events: LedgerEvent) -> TrackedSearch:
    search = TrackedSearch()
    for one in (SEARCH, *events):
        search.take(one)
    return search


def test_an_event_of_a_later_version_is_passed_over() -> None:
    assert tracked(event("celebrated", 5.0)).history.newest == 5.0


def test_metrics_carry_the_epoch_and_the_time_of_the_ledger() -> None:
    search = tracked(event("submitted", 1.0, trial=0, params={}), report(0, 2, 7.0, val_nelbo=3.5, beta=None))
    points = {(p.key, p.value, p.time, p.step) for p in search.trial_points[0]}
    assert points == {("val/nelbo", 3.5, 7.0, 2), ("epoch_seconds", 2.5, 7.0, 2)}


def test_only_the_objective_is_logged_where_it_is_not_finite() -> None:
    search = tracked(report(0, 1, 7.0, val_nelbo=None, train_loss=None))
    by_key = {p.key: p.value for p in search.trial_points[0]}
    assert by_key.keys() == {"val/nelbo", "epoch_seconds"}
    assert math.isnan(by_key["val/nelbo"])


CRASH = event("crashed", 3.0, trial=0, attempt=1, cause="oom", traceback="t")


def test_an_epoch_trained_again_after_a_crash_gives_a_later_point() -> None:
    search = tracked(report(0, 1, 1.0, beta=1), report(0, 2, 2.0, beta=2), CRASH, report(0, 2, 4.0, beta=5))
    points = [(p.step, p.time, p.value) for p in search.trial_points[0] if p.key == "beta"]
    assert points == [(1, 1.0, 1), (2, 2.0, 2), (2, 4.0, 5)]
    assert (search.trials[0].crashes[-1].cause, search.trials[0].cause) == ("oom", None)


def test_a_number_is_followed_by_nan_where_the_epoch_gave_none_when_it_was_trained_again() -> None:
    search = tracked(report(0, 1, 1.0, val_mse=9.0), CRASH, report(0, 1, 4.0, val_mse=None, beta=None))
    first, second = [p for p in search.trial_points[0] if p.key == "val/mse"]
    assert (first.value, first.time, second.time) == (9.0, 1.0, 4.0) and math.isnan(second.value)
    assert "beta" not in {p.key for p in search.trial_points[0]}


def test_lanes_are_a_metric_from_the_first_epoch_in_company_on() -> None:
    def lane(epoch: int, beside: list[int] | None) -> LedgerEvent:
        return event("reported", float(epoch), trial=0, epoch=epoch, metrics={}, seconds=1.0, beside=beside)

    search = tracked(lane(1, None), lane(2, [4, 7]), lane(3, [7]), lane(4, None))
    assert [(p.step, p.value) for p in search.trial_points[0] if p.key == "lanes"] == [(2, 3.0), (3, 2.0), (4, 1.0)]
    assert (search.trials[0].lanes, search.trials[0].beside) == (3, {4, 7})


def test_final_metrics_of_a_trial() -> None:
    search = tracked(finished(4, 8.0))
    assert {p.key: p.value for p in search.trial_points[4]} == {"value": 1.5, "epochs": 3.0, "seconds": 9.0}
    assert search.trials[4].state == "completed"


def test_an_interruption_shows_in_unfinished_trials_until_the_search_resumes() -> None:
    events = [event("submitted", 1.0, trial=0, params={}), finished(1, 2.0), event("interrupted", 3.0, signal="SIGINT")]
    search = tracked(*events)
    assert (search.over, search.phase_time) == (True, 3.0)
    assert [search.shown_state(search.trials[n]) for n in (0, 1)] == ["interrupted", "completed"]

    search.take(event("resumed", 4.0, project_run_id="p2"))
    assert (search.over, search.shown_state(search.trials[0])) == (False, "submitted")
    assert search.resumed_by == ["p2"]


def test_the_end_counts_trials_by_state() -> None:
    end = event("ended", 9.0, reason="trials done", seconds=9.0, trials=3, best=0, value=1.5)
    last = event("submitted", 3.0, trial=2, params={})
    search = tracked(finished(0, 1.0), finished(1, 2.0, "failed", None), last, end)
    counts = {p.key: p.value for p in search.points}
    assert counts["trials/completed"] == counts["trials/failed"] == counts["trials/interrupted"] == 1
    assert (counts["trials/total"], counts["trials/stopped"], counts["best/value"]) == (3, 0, 1.5)


def test_abandoning_ends_a_session_only_where_it_did_not_end_itself() -> None:
    quiet, ended = tracked(finished(0, 5.0)), tracked(event("ended", 6.0, reason="r"))
    quiet.abandon()
    ended.abandon()
    assert (quiet.phase, quiet.phase_time) == ("interrupted", 5.0)
    assert ended.phase == "ended"
    quiet.take(event("resumed", 7.0))
    assert (quiet.phase, quiet.phase_time, quiet.abandoned) == ("running", 7.0, False)


def test_forgetting_spares_trials_that_no_store_knows() -> None:
    search = tracked(finished(0, 1.0), finished(1, 1.0))
    search.forget_points([0, 7])
    assert (search.trial_points.get(0, []), len(search.trial_points[1])) == ([], 3)


@pytest.mark.parametrize("space", [{}, {"objective": None}, {"objective": {}}])
def test_without_an_objective_trials_are_compared_by_the_usual_metric(space: dict[str, None]) -> None:
    search = TrackedSearch()
    search.take(event("search", name="s", family="f", space=space))
    assert search.objective == "val/nelbo"


def test_flatten_joins_keys_with_dots_and_keeps_empty_sections() -> None:
    assert flatten({"a": {"b": 1, "c": {"d": None}}, "e": {}, "f": [1]}) == {"a.b": 1, "a.c.d": None, "e": {}, "f": [1]}
