"""Agreement of an MLflow store with a search's ledger, read back from the store and compared line by line.

`mlflow_writer.py` makes a store agree. This looks at what came of it, and shares none of its code: what is expected
comes from the ledger's events alone.
"""

import json
import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaeforge.ledger.events import EpochReported, LedgerEvent
from vaeforge.ledger.file import read_events
from vaeforge.ledger.history import SearchHistory, fold
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.track.store import open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

STATUS = {"completed": "FINISHED", "early_stopped": "FINISHED", "stopped": "FINISHED", "failed": "FAILED"}
_PAGE = 1000


def disagreements(search_folder: Path, uri: str) -> list[str]:
    """What the store at `uri` holds otherwise than the ledger in `search_folder`, in words; empty where they agree.

    There must be one run of the search and one of each trial, none of them running; each trial with its state,
    its parameters, the newest value of each metric, and as many points of its value as epochs were reported.

    Raises:
        TrackingError: if the store cannot be used.
        MlflowException: if it does not answer.
    """
    events = list(read_events(search_folder / "ledger.jsonl"))
    history = fold(events)
    if history.header is None:
        return ["the ledger holds no search"]
    client = open_store(uri, existing=True)
    header = history.header
    experiment = client.get_experiment_by_name(header.experiment_name or f"vaeforge-{header.family}")
    if experiment is None:
        return [f"there is no experiment {header.experiment_name!r}"]
    runs = _runs(client, experiment.experiment_id)
    parents = [run for run in runs if run.data.tags.get("vaeforge.ledger") == header.identity]
    if len(parents) != 1:
        return [f"there are {len(parents)} runs of the search"]
    own = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id]
    running = [run.info.run_name for run in (*parents, *own) if run.info.status == "RUNNING"]
    found = [f"run {name} still runs" for name in running]
    return found + _compare_trials(client, history, events, own, str(header.name))


def _compare_trials(
    client: "MlflowClient", history: SearchHistory, events: list[LedgerEvent], runs: list["Run"], name: str
) -> list[str]:
    named = Counter(run.data.tags.get("vaeforge.trial", "") for run in runs)
    found = [f"there are {count} runs of trial {trial}" for trial, count in named.items() if count > 1]
    wanted = {f"{name}/{number}": trial for number, trial in history.trials.items()}
    found += [f"trial {trial} has no run" for trial in sorted(set(wanted) - set(named))]
    found += [f"run {trial!r} is of no trial" for trial in sorted(set(named) - set(wanted))]
    reports: dict[int, list[EpochReported]] = {}
    for event in events:
        if isinstance(event, EpochReported):
            reports.setdefault(event.trial, []).append(event)
    for run in runs:
        trial = wanted.get(run.data.tags.get("vaeforge.trial", ""))
        if trial is not None:
            lines = _compare(client, run, trial, reports.get(trial.number, []))
            found += [f"trial {trial.number}: {line}" for line in lines]
    return found


def _compare(client: "MlflowClient", run: "Run", trial: TrialRecord, reports: list[EpochReported]) -> list[str]:
    """What the run of one trial holds otherwise than its `reports`, repeated epochs included."""
    found = []
    if trial.state is not None:
        found += _differs("status", run.info.status, STATUS[trial.state])
        found += _differs("state", run.data.tags.get("vaeforge.state"), trial.state)
        found += _differs("epochs", run.data.metrics.get("epochs"), float(trial.epoch))
    found += _differs("parameters", dict(run.data.params), {k: _text(v) for k, v in trial.first_params.items()})
    newest = {key: value for report in reports for key, value in report.metrics.items() if _finite(value)}
    for key, value in newest.items():
        if not _same(run.data.metrics.get(key), value):
            found += _differs(key, run.data.metrics.get(key), value)
    lanes = max((1 + len(report.beside or ()) for report in reports), default=1)
    found += _differs("lanes", run.data.tags.get("vaeforge.lanes"), str(lanes) if lanes > 1 else None)
    key = "epoch_seconds"  # each report has it
    points = Counter((point.step, point.timestamp) for point in client.get_metric_history(run.info.run_id, key))
    wanted = Counter((report.epoch, round(report.time * 1000)) for report in reports)
    return found + _differs("points", sorted(points.elements()), sorted(wanted.elements()))


def _runs(client: "MlflowClient", experiment: str) -> list["Run"]:
    found: list[Run] = []
    token = None
    while True:
        page = client.search_runs([experiment], max_results=_PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _differs(what: str, got: Any, wanted: Any) -> list[str]:
    return [] if got == wanted else [f"{what}: the store has {got}, the ledger {wanted}"]


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _same(got: float | None, wanted: float | None) -> bool:
    return got is not None and wanted is not None and (got == wanted or math.isnan(got))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
