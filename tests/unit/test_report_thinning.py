"""What lists and pages of large searches leave out, and that they say so."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from vaeforge.ledger.history import SearchHistory, read_history
from vaeforge.report.thinning import few_of, told
from vaeforge.report.trial_points import TrialPoint
from vaeforge.search.results import reports
from vaeforge.search.results.ranking import ranked
from vaeforge.search.results.report_rows import TrialRow
from vaeforge.search.space.objective_form import objective_of

LEDGERS = sorted((Path(__file__).parents[1] / "ledgers").glob("*.jsonl"))
POINT = TrialPoint(
    number=0,
    rank=None,
    state="stopped",
    why="",
    schedule="constant",
    latent_size=None,
    full_beta=None,
    value=None,
    mean=None,
    sd=None,
    metrics={},
    params={},
    epochs=(),
    started=0.0,
    finished=None,
    seconds=0.0,
    attempts=1,
    repeat_of=None,
    chosen=False,
    on_front=False,
    collapsed=False,
)


def points(count: int, ranked: int) -> list[TrialPoint]:
    """Trials of which the last ones rank, the very last one first."""
    return [replace(POINT, number=n, rank=count - n if n >= count - ranked else None) for n in range(count)]


@pytest.mark.parametrize(("count", "ranked"), [(1000, 0), (1000, 7), (1000, 400), (1000, 1000), (101, 60)])
def test_the_best_half_and_others_from_all_over_the_search(count: int, ranked: int) -> None:
    every = points(count, ranked)
    shown = few_of(every, 100)
    numbers = [trial.number for trial in shown]
    assert len(set(numbers)) == 100 and numbers == sorted(numbers)
    best = range(count - min(ranked, 50), count)
    assert set(best) <= set(numbers)
    gaps = [b - a for a, b in pairwise(numbers) if b not in best]
    assert max(gaps, default=1) <= -(-count // 50)
    assert f"100 of {count}" in told(shown, every, "Drawn are")[0]


def test_a_search_that_is_small_is_shown_as_a_whole() -> None:
    every = points(100, 20)
    assert few_of(every, 100) == every and told(every, every, "Drawn are") == ()


@pytest.mark.parametrize("path", LEDGERS, ids=lambda path: path.stem)
def test_the_list_of_trials_needs_no_epochs_but_the_kept_and_the_last(path: Path) -> None:
    assert reports.trials(read_history(path, slim=True)) == reports.trials(read_history(path))


def test_people_are_shown_the_best_and_the_newest_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "MOST_BEST", 3)
    monkeypatch.setattr(reports, "MOST_NEWEST", 4)
    history = read_history(LEDGERS[0])
    row = reports.trials(history)[0]
    rows: list[TrialRow] = [replace(row, trial=n, value=None if n % 5 == 0 else float(-n % 7)) for n in range(30)]
    shown = reports.few_rows(rows, SearchHistory())
    valued = [one for one in rows[:-4] if one.value is not None]
    best = sorted(valued, key=lambda one: (one.value or 0.0, one.trial))[:3]
    assert shown == sorted(best, key=lambda one: one.trial) + rows[-4:]
    assert reports.few_rows(rows[:7], history) == rows[:7]
    title = str(reports.trials_table(rows, "s", history).title)
    assert title.startswith("30 trials of s; shown are the 3 best and the 4 newest")
    assert str(reports.trials_table(rows[:7], "s", history).title) == "7 trials of s"


def test_the_best_are_those_that_rank_first_not_those_of_the_lowest_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "MOST_BEST", 2)
    monkeypatch.setattr(reports, "MOST_NEWEST", 1)
    history = read_history(LEDGERS[0].with_name("population.jsonl"))
    standings = ranked(history, objective_of(history)).standings
    order = [one.trial.number for one in standings]
    row = reports.trials(history)[0]
    rows = [replace(row, trial=number, value=float(-place)) for place, number in enumerate(order)]  # the last is lowest
    rows = [*sorted(rows, key=lambda one: one.trial), replace(row, trial=1 + max(order))]
    assert len(order) > 3
    assert [one.trial for one in reports.few_rows(rows, history)] == [*sorted(order[:2]), 1 + max(order)]
