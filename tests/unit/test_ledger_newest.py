"""One answer everywhere for an epoch that was trained twice: 9.0, a crash, then 8.5. The newest counts."""

import json
from pathlib import Path
from typing import Any

import optuna
import pytest

from manifest_samples import model_manifest
from project import EmptyProject
from vaeforge.ledger.file import Ledger
from vaeforge.ledger.history import read_history
from vaeforge.paths import Project
from vaeforge.registry.resolve_model import TracedModel
from vaeforge.registry.trace import trace
from vaeforge.registry.trace_link import TraceLink
from vaeforge.search.dispatch.dispatcher import Dispatcher
from vaeforge.search.dispatch.types import DispatchConfig
from vaeforge.search.results.ranking import winner
from vaeforge.search.samplers.optuna_bridge.dashboard import Dashboard
from vaeforge.search.space.objective import SINGLE
from vaeforge.search.space.space import parse_space
from vaeforge.track.replay import Replay, run_ids
from vaeforge.track.store import open_store

SPACE = {"family": "endoscopy", "fidelity": {"max": 2, "min": 1}, "space": {"beta.value": {"float": [0.1, 1.0]}}}
PARAMS = {"beta.value": 0.5}
HEADER = {
    "name": "s",
    "family": "endoscopy",
    "space": SPACE,
    "data_identity": "ab" * 32,
    "data_source": "data/endoscopy",
}


def line(kind: str, time: float, **fields: Any) -> str:
    return json.dumps({"event": kind, "time": time, **fields}) + "\n"


def report(time: float, attempt: int, epoch: int, value: float) -> str:
    best = {"file": f"epoch-{epoch:05d}.pt", "sha256": f"{attempt}{epoch}", "epoch": epoch}
    metrics = {"val/nelbo": value, "val/mse": value / 10}
    more = {"metrics": metrics, "value": value, "checkpoint": best, "best": best, "seconds": 1.0}
    return line("reported", time, trial=0, attempt=attempt, epoch=epoch, **more)


def lease(time: float, attempt: int) -> str:
    return line("leased", time, trial=0, attempt=attempt, host=0, generation=attempt)


FIRST = [
    line("search", 1.0, **HEADER, settings={}),
    line("submitted", 2.0, trial=0, params=PARAMS, group="constant"),
    lease(3.0, 1),
    report(4.0, 1, 1, 9.5),
    report(5.0, 1, 2, 9.0),
]
SECOND = [
    line("crashed", 6.0, trial=0, attempt=1, cause="lost", traceback="gone"),
    lease(7.0, 2),
    report(8.0, 2, 2, 8.5),
]
END = [
    line("finished", 9.0, trial=0, state="completed", cause=None, value=8.5, epoch=2, seconds=2.0),
    line("ended", 10.0, reason="trials", seconds=9.0, trials=1, best=0, value=8.5),
]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "artifacts/searches/s/ledger.jsonl"
    path.parent.mkdir(parents=True)
    return path


def append(ledger: Path, lines: list[str]) -> None:
    with ledger.open("a") as file:
        file.writelines(lines)


def test_in_the_search_that_goes_on(ledger: Path) -> None:
    append(ledger, FIRST + SECOND)
    history = read_history(ledger)
    dispatcher = Dispatcher(Ledger(ledger), history, DispatchConfig())
    dispatcher.recover(0.0)
    trial = history.trials[0]
    assert (trial.value, trial.best_metrics) == (8.5, {"val/nelbo": 8.5, "val/mse": 0.85})
    assert [state.sha256 for state in trial.checkpoints()] == ["22", "11"]
    dispatcher.stop(0, "enough")
    dispatcher.ledger.close()
    assert read_history(ledger).trials[0].final_value == 8.5


def test_in_its_result_and_what_is_listed(ledger: Path, tmp_path: Path) -> None:
    append(ledger, FIRST + SECOND + END)
    first = winner(read_history(ledger), SINGLE)
    assert (first.value, first.metrics["val/mse"]) == (8.5, 0.85)
    shown = json.loads(EmptyProject(tmp_path).run("trials", "s#0", "--json", "true"))
    assert shown["value"] == shown["best_metrics"]["val/nelbo"] == 8.5
    assert [(one["epoch"], one["value"], one["metrics"]["val/mse"]) for one in shown["epochs"]] == [
        (1, 9.5, 0.95),
        (2, 8.5, 0.85),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("told", [[FIRST, SECOND, END], [FIRST + SECOND + END]], ids=["as it comes", "afterwards"])
def test_in_the_store_and_what_a_trace_says_of_it(ledger: Path, tmp_path: Path, told: list[list[str]]) -> None:
    """Whatever the store was told before the crash; the same rows, so that it does not matter when it was told."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    for lines in told:
        append(ledger, lines)
        Replay(ledger, uri, tmp_path).step()
    client, run = open_store(uri), run_ids(ledger.parent).trials[0]
    metrics = client.get_run(run).data.metrics
    assert (metrics["val/nelbo"], metrics["val/mse"], metrics["value"]) == (8.5, 0.85, 8.5)
    rows = [(row.step, row.value, row.timestamp) for row in client.get_metric_history(run, "val/nelbo")]
    assert sorted(rows) == [(1, 9.5, 4000), (2, 8.5, 8000), (2, 9.0, 5000)]

    def link(value: float) -> TraceLink:
        state = {"path": "epoch-00002.pt", "sha256": "22", "epoch": 2}
        made = model_manifest(metrics={"val/nelbo": value}, checkpoint=state, mlflow={"run_id": run})
        return trace(TracedModel("it", made, tmp_path), Project(tmp_path), uri)

    assert (link(8.5).kind, link(8.5).state) == ("run", "verified")
    assert link(9.0).state == "differs" and "is 8.5" in link(9.0).detail


def test_in_the_dashboards_journal(ledger: Path, tmp_path: Path) -> None:
    append(ledger, FIRST + SECOND + END)
    path = tmp_path / "optuna.journal"
    assert Dashboard(path, "s", parse_space(SPACE, "space.yaml"), read_history(ledger)).close()
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    (trial,) = optuna.load_study(study_name="s", storage=optuna.storages.JournalStorage(backend)).trials
    assert (trial.value, trial.intermediate_values) == (8.5, {1: 9.5, 2: 8.5})
