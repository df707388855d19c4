"""The minutes of worker groups that train several trials at once: whose time it was, and what is drawn where."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from ledger_events import event
from reported import header, written_search
from vaeforge.report.figure import Figure, Layer
from vaeforge.report.figures.minutes import LANES, by_group, minutes
from vaeforge.report.lane_rows import first_rows, rows_of
from vaeforge.report.ranked_table import ranked_table
from vaeforge.report.record import SearchRecord, read_search
from vaeforge.report.spans import Span, TimeSpent, time_spent


def leased(time: float, trial: int, host: int = 0, attempt: int = 1) -> dict[str, Any]:
    return {"event": "leased", "time": time, "trial": trial, "attempt": attempt, "host": host, "generation": 1}


def reported(time: float, trial: int, epoch: int, seconds: float, *beside: int) -> dict[str, Any]:
    line = {"event": "reported", "time": time, "trial": trial, "epoch": epoch, "seconds": seconds, "metrics": {}}
    return line | ({"beside": list(beside)} if beside else {})


def ended(time: float, trial: int) -> dict[str, Any]:
    return {"event": "finished", "time": time, "trial": trial, "state": "completed", "epoch": 2, "seconds": 1.0}


REGISTERED = [{"event": "registered", "time": 1000.0 + host, "host": host, "generation": 1} for host in (0, 1)]
# Group 0 trains trial 0 alone, then 0 and 1, then 1 and 2, and then nothing; group 1 trains trial 3.
TWO_GROUPS = [
    {"time": 1000.0, **header("lanes")},
    *REGISTERED,
    *({"event": "submitted", "time": 1001.0, "trial": n, "params": {"beta.schedule": "linear"}} for n in range(4)),
    leased(1010.0, 0),
    leased(1010.0, 3, host=1),
    reported(1020.0, 0, 1, 9.0),
    leased(1020.0, 1),
    reported(1040.0, 0, 2, 8.0, 1),
    reported(1040.0, 1, 1, 8.0, 0),
    ended(1040.0, 0),
    leased(1041.0, 2),
    reported(1060.0, 1, 2, 9.0, 2),
    reported(1060.0, 2, 1, 9.0, 1),
    ended(1061.0, 1),
    ended(1061.0, 2),
    reported(1070.0, 3, 1, 50.0),
    ended(1070.0, 3),
    {"event": "ended", "time": 1100.0, "reason": "trials", "seconds": 100.0},
]


def spent(lines: Sequence[dict[str, Any]]) -> TimeSpent:
    kinds = [(line["event"], {name: value for name, value in line.items() if name != "event"}) for line in lines]
    return time_spent([event(kind, **fields) for kind, fields in kinds])


@pytest.fixture
def lanes(tmp_path: Path) -> SearchRecord:
    return read_search(written_search(tmp_path, "lanes", TWO_GROUPS), "lanes")


def test_a_lane_goes_on_when_its_group_takes_another_trial() -> None:
    spans = {span.trial: span for span in spent(TWO_GROUPS).spans}
    found = {n: (one.start - 1000, one.end - 1000, one.epochs, one.training) for n, one in spans.items()}
    assert found == {0: (10, 40, 2, 17.0), 1: (20, 61, 2, 17.0), 2: (41, 61, 1, 9.0), 3: (10, 70, 1, 50.0)}
    assert [sorted(spans[n].beside) for n in range(4)] == [[1], [0, 2], [1], []]


def test_a_paused_trial_ends_with_its_last_epoch_whatever_its_group_takes() -> None:
    """Trial 0 is paused after its epoch and its group takes trial 1, which is still trained when the session ends."""
    lines = [*REGISTERED[:1], leased(1010.0, 0), reported(1020.0, 0, 1, 9.0), leased(1030.0, 1)]
    for last in ({"event": "interrupted", "time": 1090.0}, ended(1090.0, 0)):
        assert [(s.trial, s.end - 1000) for s in spent([*lines, last]).spans] == [(0, 20), (1, 90)]


def test_a_lane_that_crashes_was_trained_until_then() -> None:
    crashed = [{"event": "crashed", "time": 1033.0, "trial": n, "cause": "lost"} for n in (0, 1)]
    lines = [*REGISTERED[:1], leased(1010.0, 0), reported(1020.0, 0, 1, 9.0), leased(1021.0, 1), *crashed]
    assert [(s.trial, s.end - 1000) for s in spent(lines).spans] == [(0, 33), (1, 33)]


def test_minutes_of_lanes_add_up_to_those_of_their_group() -> None:
    """Group 0: busy from 10 to 61 without a gap, 43 s of it in training, then idle for 39 s."""
    phases = [[60 * minutes for minutes in group] for group in by_group(spent(TWO_GROUPS)).values()]
    assert phases[0] == pytest.approx([0.0, 43.0, 8.0, 49.0])  # idle from 0 to 10, too
    assert phases[1] == pytest.approx([1.0, 50.0, 10.0, 39.0])


def bars(layer: Layer) -> Iterator[tuple[float, float, float, int | None]]:
    """Row, start, end and colour of each bar."""
    for start, long, row in zip(layer.start, layer.x, layer.y, strict=True):
        assert start is not None and long is not None and row is not None
        yield row, start, start + long, layer.colour


def test_no_bar_lies_on_another_and_groups_keep_apart(lanes: SearchRecord) -> None:
    figure = minutes(lanes)
    assert isinstance(figure, Figure) and LANES in figure.remarks
    timeline = figure.panels[1]
    drawn = [bar for layer in timeline.layers for bar in bars(layer)]
    assert sorted(row for row, *_ in drawn) == [0, 0, 1, 2.5]
    for (row, start, end, colour), (other, begin, finish, hue) in combinations(drawn, 2):
        assert row != other or end <= begin or finish <= start
        assert row != other or colour != hue  # neighbours in a row
    assert timeline.y.ticks == ((0.5, "0"), (2.5, "1"))
    notes = {note for layer in timeline.layers for note in layer.notes}
    assert "trial 1, attempt 1: 2 epochs, beside trials 0, 2" in notes
    assert "trial 3, attempt 1: 1 epochs" in notes


def test_without_lanes_each_group_is_a_row_of_its_own() -> None:
    spans = [Span(2, 0, 1, 0.0, 5.0), Span(7, 1, 1, 0.0, 5.0), Span(2, 2, 1, 5.0, 6.0)]
    rows = rows_of(spans)
    assert set(rows.values()) == {0}
    assert first_rows([2, 7, 9], rows) == {2: (0.0, 1), 7: (1.0, 1), 9: (2.0, 1)}


def test_the_ranked_table_has_lanes_where_there_were_some(lanes: SearchRecord, tmp_path: Path) -> None:
    assert {row["trial"]: row["lanes"] for row in ranked_table(lanes).records()} == {0: 2, 1: 2, 2: 2, 3: 1}
    alone = [{name: value for name, value in line.items() if name != "beside"} for line in TWO_GROUPS]
    record = read_search(written_search(tmp_path / "alone", "alone", alone), "alone")
    assert "lanes" not in ranked_table(record).columns
    figure = minutes(record)
    assert isinstance(figure, Figure) and LANES not in figure.remarks
