"""The replay of a stack of lanes: its clock, what is known when, and that one lane is a worker group without lanes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
KEY = ("constant", 1.0, 24, 0.001)
WIDE = ("linear", 1.0, 72, 0.001)


@pytest.fixture(autouse=True)
def found(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The benchmarks on the path, for as long as a test lasts."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield


class Scripted:
    """Proposes KEY, WIDE, KEY, …, stops the wide ones at the first rung, and notes what it is asked and told."""

    epochs = frozenset({3, 9})

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def ask(self, number: int) -> dict[str, Any]:
        from search_replay import params_of

        self.calls.append(("ask", number))
        return params_of((KEY, WIDE)[number % 2])

    def stops(self, number: int, params: dict[str, Any], epoch: int, value: float) -> bool:
        self.calls.append((f"decide at {epoch}", number))
        return bool(params["beta.schedule"] == "linear")

    def tell(self, number: int, params: dict[str, Any], state: str, value: float | None, epoch: int) -> None:
        self.calls.append((f"{state} at {epoch}", number))


@pytest.fixture
def table() -> Any:
    from search_replay import Table

    curves = {KEY: 100.0 - np.arange(1.0, 28.0), WIDE: 200.0 - np.arange(1.0, 28.0)}
    return Table(curves, {8: 1.0, 24: 1.0, 72: 3.0, 216: 3.0}, "nearest")  # a mean full training takes 27 * 2 s


def test_one_lane_is_one_worker_group_without_lanes(table: Any) -> None:
    from search_lanes import replay_lanes
    from search_replay import replay

    alone, stacked = Scripted(), Scripted()
    one, other = replay(alone, table, 6.1, hosts=1), replay_lanes(stacked, table, 6.1, lanes=1)
    assert other.costs == pytest.approx(one.costs) and len(one.costs) > 5
    assert (other.values, other.trials) == (one.values, one.trials)
    ends = min(len(alone.calls), len(stacked.calls))
    assert alone.calls[:ends] == stacked.calls[:ends]


def test_lanes_end_their_epochs_together_and_share_its_cost(table: Any) -> None:
    from search_lanes import replay_lanes

    strategy = Scripted()
    trace = replay_lanes(strategy, table, budget=0.3, lanes=3)
    # an epoch of trials 0, 1, 2 takes 1 + 3 + 1 s, three of them 15 s of 54; the next one would end at 20 of 16.2
    assert strategy.calls == [
        *[("ask", 0), ("ask", 1), ("ask", 2)],
        *[("decide at 3", 0), ("decide at 3", 1), ("stopped at 3", 1), ("decide at 3", 2)],
        ("ask", 3),
    ]
    assert trace.trials == {"stopped at 3": 1} and trace.costs == []


def test_a_training_counts_when_its_stack_has_trained_it(table: Any) -> None:
    from search_lanes import replay_lanes

    trace = replay_lanes(Scripted(), table, budget=2.0, lanes=2)
    # trial 0 beside trial 1 for 3 epochs, 4 s each, then beside trial 2 for 24, 2 s each: 60 s of 54; trial 2 goes on
    # beside trial 3 for 3 epochs, 4 s each
    assert trace.costs == pytest.approx([60 / 54, 72 / 54])
    assert trace.values == [73.0, 73.0]


def test_what_lanes_must_gain_is_the_cost_at_which_they_are_as_good(table: Any) -> None:
    import search_lanes

    single = np.array([[9.0, 8, 7, 6, 5, 4, 3, 2, 1, 0]] * 3)
    later = np.array([[9.0, 9, 9, 8, 8, 7, 6, 5, 4, 3]] * 3)
    found = search_lanes.beside_one_lane(later, single)
    # one lane has 5 at cost 5, lanes at 8; at 10 it has 0, which they never have
    assert found["needed"] == {"5": 1.6, "10": None}
    assert found["worse"] == {"5": [3.0, 3.0, 3.0], "10": [3.0, 3.0, 3.0]}
