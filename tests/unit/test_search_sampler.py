"""What Optuna is told, and that a resumed search proposes what an uninterrupted one would."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from vaeforge.config import Experiment
from vaeforge.search.history import History, fold
from vaeforge.search.sampler import TruthfulSearch
from vaeforge.search.space import Space, parse

SPACE = {
    "family": "endoscopy",
    "fidelity": {"max": 9, "min": 3, "reduction": 3},
    "space": {
        "model.latent_dim": {"int": [2, 8], "log": True},
        "beta.schedule": {
            "choice": {
                "constant": {"beta.value": {"float": [0.1, 1]}},
                "linear": {"beta.value": {"float": [0.1, 2]}, "beta.warmup": {"float": [0.1, 0.3]}},
            }
        },
    },
    "start": [{"model.latent_dim": 5, "beta.schedule": "linear", "beta.value": 1.5, "beta.warmup": 0.2}],
}


@pytest.fixture
def space() -> Space:
    return parse(SPACE, "space.yaml")


@pytest.fixture
def make(make_experiment: Callable[..., Experiment], space: Space, tmp_path: Path) -> Callable[..., TruthfulSearch]:
    def build(history: History | None = None, trials: int = 8, seed: int = 0) -> TruthfulSearch:
        folder = tmp_path / "search"
        folder.mkdir(exist_ok=True)
        return TruthfulSearch(space, make_experiment(), history or History(), seed, trials, folder / "optuna.journal")

    return build


def states(search: TruthfulSearch) -> list[tuple[Any, ...]]:
    return [(t.state, t.value, t.intermediate_values) for t in search._ot_study.get_trials()]


def result(epoch: int, value: float, outcome: str) -> dict[str, Any]:
    return {"epoch": epoch, "value": value, "outcome": outcome}


def test_outcomes_are_told_as_what_they_are(make: Callable[..., TruthfulSearch]) -> None:
    search = make()
    for trial_id in "abcdef":
        search.suggest(trial_id)
    search.on_trial_complete("a", result(9, 1.0, "completed"))
    search.on_trial_complete("b", result(3, 7.0, "running"))  # stopped at a rung
    search.on_trial_complete("c", result(2, float("nan"), "nan"))
    search.on_trial_complete("d", result(2, float("nan"), "crash"))
    search.on_trial_complete("e", None, error=True)
    search.on_trial_complete("f", result(6, 2.0, "early_stopped"))
    assert states(search) == [
        (TrialState.COMPLETE, 1.0, {}),
        (TrialState.PRUNED, 7.0, {3: 7.0}),  # Optuna shows the last intermediate value as a pruned trial's value
        (TrialState.FAIL, None, {}),
        (TrialState.FAIL, None, {}),
        (TrialState.FAIL, None, {}),
        (TrialState.COMPLETE, 2.0, {}),
    ]
    search.on_trial_complete("a", result(9, 5.0, "completed"))
    assert states(search)[0][1] == 1.0


def test_an_interrupted_search_tells_nothing(make: Callable[..., TruthfulSearch]) -> None:
    search = make()
    search.suggest("a")
    search.interrupted = True
    search.on_trial_complete("a", result(3, 7.0, "running"))
    assert states(search)[0][0] == TrialState.RUNNING


def test_start_points_come_first_and_numbers_count_up(make: Callable[..., TruthfulSearch]) -> None:
    search = make(trials=3)
    configs = [search.suggest(trial_id) for trial_id in "abc"]
    assert [config["trial"] for config in configs] == [0, 1, 2]  # type: ignore[index]
    assert configs[0]["params"] == SPACE["start"][0]  # type: ignore[index]
    assert configs[0]["group"] == "linear"  # type: ignore[index]
    assert search.suggest("d") == "FINISHED"
    assert search.remaining == 0


def ledger_of(search: TruthfulSearch, ended: int) -> tuple[list[dict[str, Any]], list[Any]]:
    """Run `ended` trials one after the other; their events and configurations."""
    events, configs = [], []
    for number in range(ended):
        config = search.suggest(str(number))
        assert config is not None
        configs.append(config)
        value = float(config["params"]["model.latent_dim"])
        outcome = "completed" if number % 2 else "running"
        search.on_trial_complete(str(number), result(9 if number % 2 else 3, value, outcome))
        checkpoint = {"checkpoint": None, "best": None, "seconds": 1.0, "metrics": {}}
        common = {"trial": number, "attempt": 1}
        events += [
            {"event": "submitted", **{k: config[k] for k in ("trial", "params", "group")}},
            {
                "event": "reported",
                "epoch": 9 if number % 2 else 3,
                "value": value,
                "outcome": outcome,
                **common,
                **checkpoint,
            },
            {"event": "finished", "state": "completed" if number % 2 else "stopped", "cause": None, **common},
        ]
    return events, configs


def test_a_rebuilt_study_equals_the_one_that_ran(make: Callable[..., TruthfulSearch]) -> None:
    first = make(trials=20)
    events, _ = ledger_of(first, 14)
    expected = [first.suggest(f"next{n}") for n in range(1)]
    before = states(first)[:14]
    again = make(fold(events), trials=20)
    assert states(again) == before
    assert [again.suggest("x")] == expected  # the same seed for the same number, on the same history


def test_unfinished_trials_are_adopted_first(make: Callable[..., TruthfulSearch]) -> None:
    events, configs = ledger_of(make(), 3)
    history = fold(events[:-1])  # the last trial has no end
    search = make(history, trials=4)
    assert search.remaining == 2
    adopted = search.suggest("x")
    assert adopted is not None
    assert (adopted["trial"], adopted["params"]) == (2, configs[2]["params"])
    following = search.suggest("y")
    assert following is not None and following["trial"] == 3
    search.on_trial_complete("x", result(9, 1.0, "completed"))
    trials = {t.number: t.state for t in search._ot_study.get_trials()}
    assert list(trials.values()).count(TrialState.RUNNING) == 1


def test_the_journal_opens_in_optuna(make: Callable[..., TruthfulSearch], tmp_path: Path) -> None:
    ledger_of(make(), 4)
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "search/optuna.journal"))
    study = optuna.load_study(study_name="search", storage=optuna.storages.JournalStorage(backend))
    assert len(study.trials) == 4
    assert study.best_trial.state == TrialState.COMPLETE
