"""What a person, and a program, sees of a search: in a terminal, without one, quietly, and as JSON lines."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from ledger_events import event
from vaeforge.ledger.events import LedgerEvent
from vaeforge.ledger.history import SearchHistory, fold
from vaeforge.progress_bar import duration
from vaeforge.search.dispatch.snapshot import BestSoFar, Snapshot, TrialStatus
from vaeforge.search.progress_view import (
    Mode,
    ProgressView,
    causes,
    in_bytes,
    mode_for,
    number,
    ranking,
)
from vaeforge.search.space.objective import SINGLE
from vaeforge.search.space.objective_form import objective_of, read_objective

PARAMS = {"model.latent_dim": 12, "beta.schedule": "linear", "beta.value": 0.123456}
DONE = TrialStatus(0, PARAMS, 6, 12.345, "completed")
RUNS = TrialStatus(1, PARAMS, 2, 20.0, "running", host=1)
SNAPSHOT = Snapshot(
    trials=(DONE, RUNS),
    counts={"completed": 1, "running": 1},
    ended=1,
    best=BestSoFar(0, 12.345),
    hosts=frozenset({0, 1}),
    budget="25% of 2 h",
)
TWO = {"metrics": {"val/rate": "min", "val/distortion": "min"}}


def table_of(found: SearchHistory, limit: int = 10) -> Table:
    """The ranking by the objective that the history's header names."""
    return ranking(found, objective_of(found), limit)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def viewed(
    mode: Mode,
    snapshots: Iterator[tuple[float, Snapshot]],
    terminal: bool = False,
    total: int = 4,
    note: str | None = None,
    **more: Any,
) -> str:
    """What a view prints of snapshots at seconds after its start."""
    text, clock = io.StringIO(), Clock()
    console = Console(file=text, force_terminal=terminal, width=150)
    with ProgressView(console, "s[1]", total, 6, mode, clock=clock, **more) as view:
        for seconds, snapshot in snapshots:
            clock.now = 100.0 + seconds
            view.update(snapshot, note)
    return text.getvalue()


def at(*seconds: float, **changes: Any) -> Iterator[tuple[float, Snapshot]]:
    return iter([(second, replace(SNAPSHOT, **changes)) for second in seconds])


def test_a_terminal_gets_a_table_and_a_file_gets_lines() -> None:
    live, plain = viewed("live", at(1), terminal=True), viewed("plain", at(1))
    for text in (live, plain):
        assert "s[1]: 1/4 trials ended (1 completed, 1 running)" in text
        assert (
            "2 trials in parallel" in text and "best val/nelbo 12.35 (trial 0)" in text and "budget: 25% of 2 h" in text
        )
    assert "latent_dim=12 schedule=linear value=0.1235" in live and "6/6" in live
    assert len(plain.splitlines()) == 1
    assert viewed("live", at(1), terminal=False) == plain


def test_on_a_narrow_terminal_parameters_alone_give_way() -> None:
    long = replace(RUNS, params={**PARAMS, "optimizer.lr": 0.00123456, "model.dropout": 0.3333333})
    console = Console(file=io.StringIO(), width=70, record=True)
    view = ProgressView(console, "s", 4, 6, "plain")
    console.print(view._table(replace(SNAPSHOT, trials=(DONE, long)), None))
    lines = console.export_text().splitlines()
    (row,) = [line for line in lines if "running" in line and "│" in line]
    assert "2/6" in row and "latent_dim=12" in row and "…" in row
    assert any("val/nelbo" in line for line in lines) and sum("│" in line for line in lines) == 2


def test_repeats_and_what_holds_worker_groups_back_are_shown_where_they_are_known() -> None:
    rows = (replace(RUNS, repeat_of=0),)
    text = viewed("live", at(1, trials=rows), terminal=True, note="1 host waits for room")
    assert "2/6" in text and "1 (repeats 0)" in text and "1 host waits for room" in " ".join(text.split())
    assert "starting workers" in viewed("plain", at(1, hosts=frozenset(), best=None))


def test_of_groups_with_lanes_the_trials_that_run_are_counted_and_each_names_its_company() -> None:
    lanes = [replace(RUNS, trial=n, host=3, beside=tuple(m for m in (1, 2, 5) if m != n)) for n in (1, 2, 5)]
    crowded = replace(RUNS, trial=7, host=4, beside=tuple(range(10, 25)))
    changes: dict[str, Any] = {"trials": (*lanes, crowded), "counts": {"running": 4}, "lanes": 16}
    plain, live = (
        viewed("plain", at(1, **changes, hosts=frozenset({3, 4}))),
        viewed("live", at(1, **changes, hosts=frozenset({3, 4})), terminal=True),
    )
    assert "4 trials in parallel (2 hosts of up to 16 lanes)" in plain
    assert "3, beside 2, 5" in live and "3, beside 1, 2" in live and "4, beside 15 others" in live
    alone = {"counts": {"running": 1}, "hosts": frozenset({3})}
    assert "1 trial in parallel (1 host of up to 4 lanes)" in viewed("plain", at(1, lanes=4, **alone))
    assert "1 trial in parallel," in viewed("plain", at(1, lanes=1, **alone)) and "beside" not in viewed(
        "live", at(1), terminal=True
    )


def test_pace_counts_from_the_first_start_of_this_session() -> None:
    """3 trials had ended before; the first starts after 75 s; 2 more end within the 1,800 s that follow: 4 an hour."""
    waiting = replace(RUNS, state="waiting", host=None)
    states = [
        (10.0, replace(SNAPSHOT, trials=(DONE, waiting), ended=3)),
        (75.0, replace(SNAPSHOT, ended=3)),
        (1875.0, replace(SNAPSHOT, ended=5)),
    ]
    first, second, third = viewed("plain", iter(states), total=9).splitlines()
    assert "trials/h" not in first and "trials/h" not in second
    assert "4 trials/h, about 60 min left" in third  # 4 of 9 are left


def test_lines_come_when_something_changed_and_once_a_minute() -> None:
    assert len(viewed("plain", at(0, 1, 9, 20, 40, 59)).splitlines()) == 1
    assert len(viewed("plain", at(0, 61)).splitlines()) == 2
    changed = iter([(0.0, SNAPSHOT), (5.0, replace(SNAPSHOT, ended=2)), (11.0, replace(SNAPSHOT, ended=2))])
    assert len(viewed("plain", changed).splitlines()) == 2


def test_several_goals_name_the_rule_of_choice() -> None:
    text = viewed("plain", at(1), objective=read_objective(TWO))
    assert "(trial 0), chosen at the end: knee of the front" in text


def finished(
    number: int, value: float | None, state: str, repeats: int | None = None, **metrics: float
) -> list[LedgerEvent]:
    """The events of a trial that has ended after 3 epochs."""
    best = {"file": "f", "sha256": "0", "epoch": 3}
    measured = {"val/nelbo": value} | {f"val/{name}": metric for name, metric in metrics.items()}
    cause = "oom" if state == "failed" else None
    return [
        event("submitted", trial=number, params=PARAMS, group="linear", repeat_of=repeats),
        event("reported", trial=number, epoch=3, seconds=1.0, best=best, metrics=measured, value=value),
        event("finished", trial=number, state=state, cause=cause, value=value, epoch=3, seconds=1.0),
    ]


def history(*trials: list[LedgerEvent], goals: Any = None) -> SearchHistory:
    header = event("search", name="s", family="f", space={"objective": goals or {}})
    return fold([header, *(one for events in trials for one in events)])


def test_json_lines_tell_the_start_each_end_each_new_best_and_the_end() -> None:
    text, clock = io.StringIO(), Clock()
    with ProgressView(Console(file=text, width=20), "s", 4, 6, "json", SINGLE, earlier={7}, clock=clock) as view:
        view.update(replace(SNAPSHOT, trials=(replace(DONE, trial=7), RUNS), best=None))
        stacked = replace(SNAPSHOT, trials=(replace(DONE, lanes=4), RUNS))
        view.update(stacked)
        view.update(stacked)
        view.warn("a host [0] ended")
        view.end(history(finished(0, 12.345, "completed"), finished(2, 10.0, "completed", rate=2.0)), "trials")
    events = [json.loads(line) for line in text.getvalue().splitlines()]
    assert [one["event"] for one in events] == ["start", "trial", "best", "warning", "trial", "end"]
    start, first, best, warning, missed, end = events
    assert start["search"] == "s" and start["trials"] == 4 and start["epochs"] == 6
    assert start["goals"] == [{"metric": "val/nelbo", "mode": "min"}]
    assert first["trial"] == 0 and first["state"] == "completed" and first["value"] == 12.345
    assert first["params"] == PARAMS and first["cause"] is None and first["repeat_of"] is None
    assert first["lanes"] == 4 and missed["lanes"] == 1
    assert best["trial"] == 0 and best["value"] == 12.345
    assert warning["text"] == "a host [0] ended"
    assert missed["trial"] == 2  # it ended after the last snapshot
    assert end["reason"] == "trials" and end["trials"] == {"completed": 2} and end["problem"] is None
    assert end["best"]["trial"] == 2 and end["best"]["metrics"]["val/rate"] == 2.0 and end["best"]["sd"] is None
    assert end["front"] == []
    assert end["told"] == {"runs": [2], "value": 10.0, "sd": None, "optimistic": True}


def test_quiet_says_warnings_and_the_end_alone() -> None:
    text = io.StringIO()
    with ProgressView(Console(file=text, width=150), "s", 4, 6, "quiet", clock=Clock()) as view:
        view.update(SNAPSHOT)
        assert text.getvalue() == ""
        view.warn("a host [0] ended")
        view.end(history(finished(0, 12.345, "completed"), finished(1, None, "failed")), "trials")
    warning, end = text.getvalue().splitlines()
    assert warning == "warning: a host [0] ended"
    done = "Search 's' finished in 0 s: all 2 trials done (1 completed, 1 failed)"
    assert end == f"{done}; best trial: 0, val/nelbo 12.35 (of 1 run, no part of the choice)"


def test_modes_follow_the_options_then_the_console() -> None:
    terminal, file = Console(file=io.StringIO(), force_terminal=True), Console(file=io.StringIO())
    assert (mode_for(terminal), mode_for(file)) == ("live", "plain")
    assert mode_for(terminal, quiet=True) == "quiet"
    assert mode_for(terminal, quiet=True, json=True) == "json"


def printed(table: Any) -> str:
    text = io.StringIO()
    Console(file=text, width=170).print(table)
    return text.getvalue()


def test_ranking_and_causes() -> None:
    found = history(finished(0, 7.5, "completed", rate=2.25, active_units=5.0), finished(1, None, "failed"))
    text = printed(table_of(found))
    assert all(part in text for part in ("7.50", "2.25", "completed", "lower is better)")) and "front" not in text
    assert "oom" in printed(causes(found))
    floors = history(finished(0, 7.5, "completed"), goals={"require": {"val/active_units": 4}})
    assert "those with val/active_units >= 4 first" in printed(table_of(floors))


def test_ranking_shows_mean_and_spread_of_repeats_and_says_which_failed() -> None:
    """1.0 and 2.0: mean 1.5, sample standard deviation 0.7071."""
    again = [finished(2, 2.0, "completed", 0), finished(3, None, "failed", 1)]
    text = printed(table_of(history(finished(0, 1.0, "completed"), finished(1, 1.2, "completed"), *again)))
    assert "1.50 ± 0.7071" in text and "1 + 1 failed" in text
    assert "trial 1: repeats 3 failed or were stopped" in text and "by their mean ± standard deviation" in text
    assert "best trial: 0, val/nelbo 2.00 (of 1 run, no part of the choice)" in text


def test_the_front_is_shown_whole_with_the_chosen_point_and_its_rule() -> None:
    rows = [(10.0, 200.0), (12.0, 130.0), (20.0, 100.0), (30.0, 300.0)]
    trials = [finished(n, 1.0, "completed", rate=rate, distortion=d) for n, (rate, d) in enumerate(rows)]
    text = printed(
        table_of(history(*trials, finished(4, 0.1, "stopped", rate=0.0, distortion=0.0), goals=TWO), limit=1)
    )
    assert "Front of val/rate (min), val/distortion (min); chosen: knee of the front" in text
    lines = [line for line in text.splitlines() if "completed" in line]
    assert [line.split("│")[1].strip() for line in lines] == ["chosen", "front", "front"]
    assert lines[0].split("│")[2].strip() == "1"
    assert "1 trials were stopped early; they are in the ledger and not on the front" in text
    rule = {**TWO, "choose": {"constraint": {"val/rate": 1.0}, "best": "val/distortion"}}
    unmet = printed(table_of(history(*trials, goals=rule)))
    assert "no point of the front keeps val/rate <= 1" in " ".join(unmet.split()) and "│ chosen" not in unmet


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (9000, "2.5 h"), (172800, "2 d")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_numbers() -> None:
    assert [number(value) for value in (None, -19720.123, 1.0, 0.0123456, 0.0)] == [
        "",
        "-19720.12",
        "1.00",
        "0.01235",
        "0",
    ]
    assert [in_bytes(size) for size in (12, 1500, 38_600_000, 2_000_000_000)] == ["12 B", "1.5 kB", "38.6 MB", "2 GB"]
