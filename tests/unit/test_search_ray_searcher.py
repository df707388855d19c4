"""What Ray Tune is proposed, and what becomes of trials that it gives up, without Ray and without a sampler."""

from types import SimpleNamespace
from typing import Any

import pytest

from vaeforge.ledger.history import SearchHistory
from vaeforge.search.ray_searcher import ENDS, OptunaTuneSearcher, SearchTargets
from vaeforge.search.space.objective import SINGLE


class Constant:
    """A sampler, and a dashboard, that take everything."""

    goals = SINGLE.goals

    def __init__(self) -> None:
        self.told: list[Any] = []

    def ask(self, number: int, given: Any = None) -> dict[str, Any]:
        return given or {"x": number}

    def tell(self, trial: Any) -> None:
        self.told.append(trial)

    def submitted(self, number: int, params: Any) -> None:
        pass

    def ended(self, trial: Any, attributes: Any = None) -> None:
        pass

    def close(self) -> None:
        pass


def searcher(sampler: Any, trials: int = 3, announced: list[int] | None = None) -> OptunaTuneSearcher:
    targets = SearchTargets(trials, start=({"x": 9},), ahead=0)
    return OptunaTuneSearcher(
        sampler,
        SearchHistory(),
        targets,
        lambda params: "group",
        lambda: 2,
        lambda count: [],
        sampler,
        ([] if announced is None else announced).append,
    )


def test_trials_are_handed_out_as_tune_takes_them_and_no_more_than_may_run() -> None:
    announced: list[int] = []
    own = searcher(Constant(), announced=announced)
    first, second = own.suggest("a"), own.suggest("b")
    assert first == {"trial": 0, "params": {"x": 9}, "group": "group", "repeat_of": None}
    assert isinstance(second, dict) and second["params"] == {"x": 1}
    assert own.suggest("c") is None and own.remaining == 1
    assert announced == [0, 1]
    own.close()


def test_trials_that_tune_gives_up_or_forgets_are_lost() -> None:
    sampler = Constant()
    own = searcher(sampler)
    for name in ("a", "b"):
        own.suggest(name)
    own.on_trial_complete("a", {"epoch": 2, "value": 1.5, "outcome": "completed"})
    assert own.lost == [1]  # handed out, and not completed
    own.on_trial_complete("b", None, error=True)
    assert own.lost == [1]
    own._thread.submit(lambda: None).result()  # what was told before has arrived
    own.close()
    told = [(trial.number, trial.state, trial.values) for trial in sampler.told]
    assert told == [(0, "completed", (1.5,)), (1, "failed", None)]


def test_how_often_trials_end_is_known_from_the_last_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    made = searcher(Constant())
    assert made.seconds_between_ends is None
    clock = iter([0.0, 100.0, *(100.0 + 2 * number for number in range(1, ENDS + 1))])
    monkeypatch.setattr("vaeforge.search.ray_searcher.time", SimpleNamespace(monotonic=lambda: next(clock)))
    made.on_trial_complete("a")
    assert made.seconds_between_ends is None
    made.on_trial_complete("b")
    assert made.seconds_between_ends == 100
    for number in range(ENDS):
        made.on_trial_complete(str(number))
    assert made.seconds_between_ends == 2
    made.close()
