"""The copy of a search that optuna-dashboard opens: the same numbers, the truth, and no harm to the search."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from vaeforge.ledger.events import EpochReported
from vaeforge.ledger.history import SearchHistory
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.search.samplers.optuna_bridge.dashboard import Dashboard, Journal
from vaeforge.search.samplers.trials import FinishedTrial
from vaeforge.search.space.space import Space, parse_space

CONTENT = {
    "family": "endoscopy",
    "fidelity": {"max": 9, "min": 3, "reduction": 3},
    "space": {
        "model.latent_dim": {"int": [2, 64], "log": True},
        "beta.schedule": {"choice": {"constant": {"beta.value": {"float": [0.1, 1]}}, "free_bits": {}}},
    },
}
PARAMS = {"model.latent_dim": 5, "beta.schedule": "constant", "beta.value": 0.5}
SEVERAL = {"objective": {"metrics": {"val/distortion": "min", "val/active_units": "max"}}}


@pytest.fixture
def space() -> Space:
    return parse_space(CONTENT, "space.yaml")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "optuna.journal"


def opened(path: Path, name: str = "a search") -> optuna.Study:
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    return optuna.load_study(study_name=name, storage=optuna.storages.JournalStorage(backend))


def written(dashboard: Dashboard, path: Path) -> list[optuna.trial.FrozenTrial]:
    assert dashboard.close()
    trials: list[optuna.trial.FrozenTrial] = opened(path).trials
    return trials


def record(number: int, state: str | None, value: float | None, epoch: int) -> TrialRecord:
    reports = {e: EpochReported(trial=number, epoch=e, metrics={}, value=value) for e in range(1, epoch + 1)}
    cause = "nan at epoch 2" if state == "failed" else None
    return TrialRecord(number, PARAMS, "constant", reports=reports, state=state, cause=cause, final_value=value)


def test_trials_are_copied_as_they_end(space: Space, path: Path) -> None:
    dashboard = Dashboard(path, "a search", space, SearchHistory())
    for number in range(5):
        dashboard.submitted(number, PARAMS)
    dashboard.ended(
        FinishedTrial(1, PARAMS, "stopped", (7.0,), 3), {1: 9.0, 2: float("nan"), 3: 7.0}, {"cause": "rung 3"}
    )
    dashboard.ended(FinishedTrial(0, PARAMS, "completed", (1.5,), 9), {9: 1.5})
    dashboard.ended(FinishedTrial(2, PARAMS, "failed", None, 2), None, {"cause": "nan", "host": None})
    dashboard.ended(FinishedTrial(3, PARAMS, "early_stopped", (2.5,), 6))
    dashboard.ended(FinishedTrial(0, PARAMS, "failed", None, 9))  # said twice: the first holds
    trials = written(dashboard, path)
    assert [(t.number, t.state, t.values) for t in trials] == [
        (0, TrialState.COMPLETE, [1.5]),
        (1, TrialState.PRUNED, None),
        (2, TrialState.FAIL, None),
        (3, TrialState.COMPLETE, [2.5]),
        (4, TrialState.RUNNING, None),
    ]
    assert [t.intermediate_values for t in trials] == [{9: 1.5}, {1: 9.0, 3: 7.0}, {}, {}, {}]
    assert [t.user_attrs for t in trials] == [{}, {"cause": "rung 3"}, {"cause": "nan"}, {}, {}]
    assert all(t.params == PARAMS for t in trials)


def test_a_number_that_is_missing_waits(space: Space, path: Path) -> None:
    """Numbers are places in Optuna; trial 0 comes last here, trial 1 is never heard of until it ends."""
    dashboard = Dashboard(path, "a search", space, SearchHistory())
    dashboard.submitted(3, PARAMS)
    dashboard.submitted(0, {**PARAMS, "beta.value": 0.25})
    dashboard.ended(FinishedTrial(1, PARAMS, "completed", (2.0,), 9))
    dashboard.ended(FinishedTrial(5, PARAMS, "completed", (3.0,), 9))
    trials = written(dashboard, path)
    assert [t.state.name for t in trials] == ["RUNNING", "COMPLETE", "WAITING", "RUNNING", "WAITING", "COMPLETE"]
    assert (trials[0].params["beta.value"], trials[1].params) == (0.25, PARAMS)


def test_a_resumed_search_is_copied_anew(space: Space, path: Path) -> None:
    path.write_text("what an earlier session left, torn", encoding="utf-8")
    history = SearchHistory()
    for number, (state, value, epoch) in enumerate([("completed", 1.0, 3), ("stopped", 4.0, 2), ("failed", None, 2)]):
        history.trials[number] = record(number, state, value, epoch)
    history.trials[4] = record(4, None, None, 0)
    dashboard = Dashboard(path, "a search", space, history)
    dashboard.submitted(4, PARAMS)  # adopted
    dashboard.ended(FinishedTrial(4, PARAMS, "completed", (0.5,), 9))
    trials = written(dashboard, path)
    assert [t.state.name for t in trials] == ["COMPLETE", "PRUNED", "FAIL", "WAITING", "COMPLETE"]
    assert [t.values for t in trials] == [[1.0], None, None, None, [0.5]]
    assert trials[1].intermediate_values == {1: 4.0, 2: 4.0}
    assert trials[2].user_attrs == {"cause": "nan at epoch 2", "group": "constant"}


def test_several_goals_keep_their_values_and_directions(path: Path) -> None:
    dashboard = Dashboard(path, "a search", parse_space(CONTENT | SEVERAL, "space.yaml"), SearchHistory())
    for number, state in enumerate(("completed", "stopped")):
        dashboard.submitted(number, PARAMS)
        dashboard.ended(FinishedTrial(number, PARAMS, state, (3.0, 12.0), 9), {9: 3.0})
    trials = written(dashboard, path)
    assert [(t.state.name, t.values) for t in trials] == [("COMPLETE", [3.0, 12.0]), ("PRUNED", None)]
    study = opened(path)
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MAXIMIZE"]
    assert study.metric_names == ["val/distortion", "val/active_units"]


def test_a_disk_that_fails_is_said_once(space: Space, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Journal, "begin", full)
    dashboard = Dashboard(path, "a search", space, SearchHistory(), said.append)
    for number in range(3):
        dashboard.submitted(number, PARAMS)
    assert dashboard.close()
    dashboard.submitted(3, PARAMS)
    assert len(said) == 1
    assert "No space left on device" in said[0]


def test_a_folder_that_is_not_there_is_said_once(space: Space, tmp_path: Path) -> None:
    said: list[str] = []
    dashboard = Dashboard(tmp_path / "absent" / "optuna.journal", "a search", space, SearchHistory(), said.append)
    dashboard.submitted(0, PARAMS)
    assert dashboard.close()
    assert len(said) == 1


@pytest.mark.slow
def test_optuna_dashboard_shows_it(space: Space, path: Path) -> None:
    """Its own server, as a person starts it, and the study over its JSON interface."""
    dashboard = Dashboard(path, "a search", space, SearchHistory())
    for number, state in enumerate(("completed", "stopped", "failed")):
        dashboard.submitted(number, PARAMS)
        values = None if state == "failed" else (2.0 + number,)
        dashboard.ended(FinishedTrial(number, PARAMS, state, values, 3), {3: 2.0 + number}, {"cause": f"why {number}"})
    assert dashboard.close()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).parent / "optuna-dashboard"), str(path), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        summaries = answer(f"http://127.0.0.1:{port}/api/studies", server)["study_summaries"]
        assert [summary["study_name"] for summary in summaries] == ["a search"]
        study = answer(f"http://127.0.0.1:{port}/api/studies/{summaries[0]['study_id']}", server)
        assert [(t["number"], t["state"]) for t in study["trials"]] == [(0, "Complete"), (1, "Pruned"), (2, "Fail")]
        assert study["trials"][0]["values"] == [2.0]
        assert {p["name"] for p in study["trials"][0]["params"]} == set(PARAMS)
        assert study["trials"][2]["user_attrs"] == [{"key": "cause", "value": "why 2"}]
    finally:
        server.terminate()
        server.wait(30)


def answer(url: str, server: "subprocess.Popen[bytes]") -> Any:
    """What the server says at `url`, as soon as it listens."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                return json.load(response)
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_trials_that_never_began_are_left_out_at_the_end(path: Path, space: Space) -> None:
    """Two were handed out, and the search ended before the second began."""
    dashboard = Dashboard(path, "a search", space, SearchHistory())
    for number in (0, 1):
        dashboard.submitted(number, PARAMS)
    dashboard.ended(FinishedTrial(0, PARAMS, "completed", (3.0,), 9))
    known = SearchHistory()
    known.trials[0] = record(0, "completed", 3.0, 9)
    dashboard.leave_out_others(known)
    (shown,) = written(dashboard, path)
    assert (shown.number, shown.state, shown.value) == (0, TrialState.COMPLETE, 3.0)
