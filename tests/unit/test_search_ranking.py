"""Who wins, who is run again, whose checkpoints stay; figures small enough to follow by hand."""

import io
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from vaeforge.errors import SearchError
from vaeforge.ledger.events import from_json
from vaeforge.ledger.history import SearchHistory, fold
from vaeforge.search.progress_view import ranking, ranking_within
from vaeforge.search.results import reports
from vaeforge.search.results.ranking import best_so_far, finalists, rank, ranked, retained_trials, winner
from vaeforge.search.space.objective import SINGLE, Objective
from vaeforge.search.space.objective_form import objective_of, read_objective

FLOOR = {"require": {"val/active_units": 4}}
TWO = {"metrics": {"val/rate": "min", "val/distortion": "min"}}


def objective(content: dict[str, Any]) -> Objective:
    return read_objective(content)


def trial(
    number: int, value: float | None, state: str | None = "completed", repeats: int | None = None, **metrics: float
) -> list[dict[str, Any]]:
    """The events of a trial with one epoch; metrics without their `val/`."""
    one = {"trial": number, "time": 0.0}
    best = {"file": f"{number}.pt", "sha256": "0", "epoch": 1} if value is not None else None
    measured = {"val/nelbo": value} | {f"val/{name}": metric for name, metric in metrics.items()}
    report = {"epoch": 1, "attempt": 1, "value": value, "seconds": 1.0, "metrics": measured, "outcome": "running"}
    events = [
        {"event": "submitted", **one, "params": {}, "group": "g", "repeat_of": repeats},
        {"event": "reported", **one, **report, "checkpoint": best, "best": best},
    ]
    if state is not None:
        events.append({"event": "finished", **one, "state": state, "value": value, "epoch": 1, "seconds": 1.0})
    return events


def history(*trials: list[dict[str, Any]], goals: dict[str, Any] | None = None, slim: bool = False) -> SearchHistory:
    header = {"event": "search", "time": 0.0, "name": "s", "family": "f", "space": {"objective": goals or {}}}
    return fold(map(from_json, [header, *(event for events in trials for event in events)]), slim)


def order(found: SearchHistory, goals: Objective = SINGLE) -> list[int]:
    return [standing.trial.number for standing in rank(found, goals)]


def test_trials_trained_to_their_end_come_before_any_stopped_one() -> None:
    found = history(
        trial(0, 5.0), trial(1, 1.0, "stopped"), trial(2, 4.0, "early_stopped"), trial(3, None, "failed"), trial(4, 4.0)
    )
    assert order(found) == [2, 4, 0]
    assert winner(found, SINGLE).value == 4.0
    assert order(history(trial(0, 5.0, "stopped"), trial(1, 3.0, "stopped"), trial(2, 1.0, None))) == [1, 0]


def test_those_that_keep_the_floors_come_first() -> None:
    goals = objective(FLOOR)
    found = history(trial(0, 1.0, active_units=3), trial(1, 2.0, active_units=4), trial(2, 3.0), goals=FLOOR)
    assert order(found, goals) == [1, 0, 2]
    assert [standing.keeps_floors for standing in rank(found, goals)] == [True, False, False]
    assert objective_of(found) == goals
    assert finalists(found, goals, 2) == [1, 0] and retained_trials(found, goals, 1) == {1}


def test_collapsed_models_are_flagged_in_the_results() -> None:
    found = history(trial(0, 1.0, active_units=0), trial(1, 2.0, active_units=3))
    assert [standing.trial.collapsed for standing in rank(found, SINGLE)] == [True, False]
    assert [row.collapsed for row in reports.trials(found)] == [True, False]
    shown = text_of(ranking(found, SINGLE))
    assert "completed, collapsed" in shown and "trial 0: posterior collapse: no dimension of the latent" in shown
    assert "posterior collapse" in text_of(reports.trials_table(reports.trials(found), "s", found))


def test_names_in_captions_are_no_markup() -> None:
    found = history(trial(0, None, "failed"))
    assert found.header is not None
    found.header = replace(found.header, name="scan [n, c] a[/b]")
    assert "`vaeforge trials scan [n, c] a[/b]` says" in text_of(ranking(found, SINGLE))


def text_of(table: Table) -> str:
    console = Console(width=300, file=io.StringIO())
    with console.capture() as captured:
        console.print(table)
    return " ".join(captured.get().split())


def test_a_narrow_terminal_shows_each_trial_in_two_lines() -> None:
    found = repeated()
    console = Console(width=80, file=io.StringIO())
    with console.capture() as captured:
        console.print(ranking_within(80, found, SINGLE))
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.split()[:2] == ["1", "1"] for line in lines) == 1  # rank 1, trial 1, its numbers
    assert len(lines) <= 4 + 2 * (4 + 3) + 6
    assert "val/nelbo" in captured.get() and "active_units" in captured.get()


def test_nothing_to_rank_is_said() -> None:
    with pytest.raises(SearchError, match=r"search 's': no trial ended with a value"):
        winner(history(trial(0, None, "failed")), SINGLE)
    with pytest.raises(SearchError, match="1 were stopped early and have no point on the front"):
        winner(history(trial(0, 1.0, "stopped", rate=1.0, distortion=1.0)), objective(TWO))


def repeated(*others: list[dict[str, Any]]) -> SearchHistory:
    """0 was the best by luck: 1.0, 7.0, 4.0 have the mean 4; 1 is steady: 2.0, 3.0, 2.5 have 2.5."""
    again = [trial(3, 7.0, repeats=0), trial(4, 4.0, repeats=0), trial(5, 3.0, repeats=1), trial(6, 2.5, repeats=1)]
    return history(trial(0, 1.0), trial(1, 2.0), trial(2, 2.2), *again, *others)


def test_the_winner_of_repeated_trials_is_the_best_mean() -> None:
    found = repeated()
    first, second, third = rank(found, SINGLE)
    assert [first.trial.number, second.trial.number, third.trial.number] == [1, 0, 2]
    assert first.runs == (1, 5, 6) and first.value == pytest.approx(2.5) and first.sd == pytest.approx(0.5)
    assert second.value == pytest.approx(4.0) and second.sd == pytest.approx(3.0)
    assert third.sd is None and third.runs == (2,) and not third.repeated  # 2.2 by one run does not beat a mean of 4
    assert (first.chosen, second.chosen, third.chosen) == (True, False, False)
    assert first.metrics["val/nelbo"] == pytest.approx(2.5) and first.spread["val/nelbo"] == pytest.approx(0.5)


@pytest.mark.parametrize("state", ["failed", "stopped", None])
def test_a_trial_without_all_its_repeats_does_not_compete_as_repeated(state: str | None) -> None:
    again = [
        trial(2, 3.0, repeats=0),
        trial(3, 3.0, repeats=1),
        trial(4, None, state, repeats=1),
        trial(5, 3.0, repeats=0),
    ]
    found = history(trial(0, 2.0), trial(1, 1.0), *again)
    first, second = rank(found, SINGLE)
    assert (first.trial.number, second.trial.number) == (0, 1)
    assert second.runs == (1, 3) and not second.repeated
    assert second.failed == ((4,) if state else ())


def test_a_trial_with_fewer_repeats_than_others_waits_for_them() -> None:
    found = history(
        trial(0, 5.0), trial(1, 1.0), trial(2, 5.0, repeats=0), trial(3, 5.0, repeats=0), trial(4, 1.0, repeats=1)
    )
    assert order(found) == [0, 1]


def test_finalists_do_not_change_while_they_are_repeated() -> None:
    before = history(trial(0, 1.0), trial(1, 2.0), trial(2, 2.2))
    assert finalists(before, SINGLE, 2) == finalists(repeated(), SINGLE, 2) == [0, 1]
    assert finalists(before, SINGLE, 9) == [0, 1, 2]
    assert finalists(history(trial(0, 1.0, "stopped")), SINGLE, 2) == []


def test_checkpoints_of_the_best_and_of_repeated_trials_stay() -> None:
    found = repeated(trial(7, 0.5))
    assert retained_trials(found, SINGLE, 1) == {7, 0, 1}
    assert retained_trials(found, SINGLE, 2) == {7, 0, 1}
    assert retained_trials(found, SINGLE, 4) == {7, 0, 1, 2}
    assert retained_trials(history(trial(0, 1.0, "stopped"), trial(1, 2.0, "stopped")), SINGLE, 1) == {0}
    assert retained_trials(history(), SINGLE, 3) == set()


def test_what_was_removed_is_never_wanted_again() -> None:
    """Trials end one after another; whatever is kept at any time was kept ever since it ended."""
    draw = random.Random(5)
    for goals in (SINGLE, objective(TWO)):
        trials: list[list[dict[str, Any]]] = []
        gone: set[int] = set()
        for number in range(60):
            metrics = {"rate": draw.random(), "distortion": draw.random()}
            trials.append(trial(number, draw.random(), draw.choice(["completed", "completed", "stopped"]), **metrics))
            stays = retained_trials(history(*trials, slim=True), goals, 3)
            assert not stays & gone
            gone = set(range(number + 1)) - stays


FRONT = [
    trial(0, 9.0, rate=10.0, distortion=200.0, active_units=9),
    trial(1, 8.0, rate=12.0, distortion=130.0, active_units=5),
    trial(2, 7.0, rate=20.0, distortion=100.0, active_units=3),
    trial(3, 6.0, rate=21.0, distortion=101.0, active_units=3),
    trial(4, 5.0, rate=22.0, distortion=102.0, active_units=9),
    trial(5, 1.0, "stopped", rate=0.0, distortion=0.0),
    trial(6, 1.0, "failed", rate=0.0, distortion=0.0),
    trial(7, 1.0, rate=1.0),
]


def test_several_goals_put_the_chosen_one_first_then_the_front_then_the_other_ranks() -> None:
    goals = objective(TWO)
    found = history(*FRONT, goals=TWO)
    standings = rank(found, goals)
    assert [standing.trial.number for standing in standings] == [1, 0, 2, 3, 4]
    assert [standing.on_front for standing in standings] == [True, True, True, False, False]
    assert [standing.chosen for standing in standings] == [True, False, False, False, False]
    assert retained_trials(found, goals, 1) == {0, 1, 2} and finalists(found, goals, 2) == [1, 0]
    best = best_so_far(found, goals)
    assert best is not None and best.number == 1


def test_a_constraint_chooses_and_where_none_keeps_it_nothing_wins() -> None:
    def by(units: float) -> Objective:
        return objective({**TWO, "choose": {"constraint": {"val/active_units": units}, "best": "val/distortion"}})

    found = history(*FRONT)
    assert winner(found, by(4)).trial.number == 1
    assert winner(found, by(8)).trial.number == 0
    with pytest.raises(SearchError, match=r"val/active_units >= 10 \(nearest: val/active_units 9 in trial 0\)"):
        winner(found, by(10))
    assert not any(standing.chosen for standing in rank(found, by(10)))
    assert {s.trial.number for s in rank(found, by(10)) if s.on_front} == {0, 1, 2}


def test_the_choice_of_several_goals_is_among_repeated_trials() -> None:
    """The knee, 1, proves to be (25, 140) in the mean, which 2 in its own mean beats."""
    again = [
        trial(8, 8.0, repeats=1, rate=38.0, distortion=150.0, active_units=5),
        trial(9, 7.0, repeats=2, rate=20.0, distortion=110.0, active_units=3),
    ]
    standings = rank(history(*FRONT, *again), objective(TWO))
    assert [standing.trial.number for standing in standings[:2]] == [2, 1]
    assert standings[0].chosen and standings[0].metrics["val/distortion"] == pytest.approx(105.0)
    assert standings[1].metrics["val/rate"] == pytest.approx(25.0) and not standings[1].on_front
    rule = objective({**TWO, "choose": {"constraint": {"val/active_units": 8}, "best": "val/distortion"}})
    assert winner(history(*FRONT, *again), rule).trial.number == 0  # no repeated one keeps it


def test_a_repeated_trial_that_another_one_beats_is_not_chosen() -> None:
    """0 and 1 are equal in the goal that decides; 1 is better in the other."""
    rule = objective({**TWO, "choose": {"constraint": {"val/rate": 20.0}, "best": "val/distortion"}})
    again = [
        trial(2, 1.0, repeats=0, rate=10.0, distortion=100.0),
        trial(3, 1.0, repeats=1, rate=5.0, distortion=100.0),
    ]
    first = [trial(0, 1.0, rate=10.0, distortion=100.0), trial(1, 1.0, rate=5.0, distortion=100.0)]
    assert winner(history(*first, *again), rule).trial.number == 1


def test_leading_before_anything_has_ended() -> None:
    assert best_so_far(history(), SINGLE) is None
    best = best_so_far(history(trial(0, 3.0, None), trial(1, 2.0, None), trial(2, None, None)), SINGLE)
    assert best is not None and best.number == 1
    best = best_so_far(history(trial(0, 3.0), trial(1, 2.0, None)), SINGLE)
    assert best is not None and best.number == 0


@pytest.mark.parametrize("goals", [SINGLE, objective(TWO)], ids=["one goal", "two goals"])
def test_order_does_not_depend_on_the_order_of_ends(goals: Objective) -> None:
    draw = random.Random(1)
    rows = [
        trial(number, draw.choice([1.0, 2.0]), rate=draw.choice([1.0, 2.0, 3.0]), distortion=draw.choice([1.0, 2.0]))
        for number in range(30)
    ]
    forwards, backwards = ranked(history(*rows), goals), ranked(history(*reversed(rows)), goals)
    assert _numbers(forwards.standings) == _numbers(backwards.standings)


def _numbers(standings: Sequence[Any]) -> list[int]:
    return [standing.trial.number for standing in standings]


def test_the_dispatcher_can_import_it_without_heavy_libraries() -> None:
    root = Path(__file__).parents[2]
    program = (
        "import sys, vaeforge.search.results.ranking, vaeforge.search.results.pareto; "
        "assert not {'torch', 'ray', 'optuna', 'matplotlib', 'mlflow', 'numpy'} & set(sys.modules)"
    )
    environment = {"PYTHONPATH": f"{root / 'platform'}:{root / 'models'}", "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
