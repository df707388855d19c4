"""The manifest that a search ends with: which model won, and everything that leads back from it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from vaeforge.errors import SearchError
from vaeforge.ledger.events import SearchHeader, WorkersRegistered
from vaeforge.ledger.file import read_events
from vaeforge.ledger.history import History, TrialRecord
from vaeforge.paths import hash_of
from vaeforge.search.plan import Plan
from vaeforge.search.results.ranking import winner
from vaeforge.search.space.space import experiment_for, trial_seed
from vaeforge.track.replay import RunIds
from vaeforge.train.checkpoint_files import Checkpoint, download

HANDED_ON = (
    "space",
    "data_identity",
    "data_hash",
    "source",
    "git",
    "lock_sha256",
    "configuration_hash",
    "code_hash",
    "command",
)


def winner_manifest(step: str, plan: Plan, history: History, runs: RunIds | None) -> dict[str, Any]:
    """What `tune` and `train` hand on to the next step.

    Args:
        step: `tune` or `train`.
        plan: the search.
        history: how it went.
        runs: MLflow's; none when nothing was tracked.

    Raises:
        SearchError: if no trial has a model to hand on.
        CheckpointError: if it lies elsewhere and cannot be brought here.
    """
    standing = winner(history, plan.space.objective)
    best, header = standing.trial, history.header or plan.header
    checkpoint = best.best
    if checkpoint is None:
        raise SearchError(f"search {plan.name!r}: no trial ended with a model; see the causes above")
    base, seed = plan.config.experiment, trial_seed(plan.config.search.seed, best.number)
    return {
        "step": step,
        "family": plan.space.family,
        "experiment": experiment_for(plan.space, base, best.params, seed).model_dump(mode="json"),
        "event_shape": list(plan.prepared.event_shape),
        "condition_dim": plan.prepared.spec.condition_dim,
        "checkpoint": {**asdict(checkpoint), "path": _relative(_at_hand(checkpoint, plan), plan.project.root)},
        "metrics": best.best_metrics,
        "repeats": {"runs": list(standing.runs), "value": standing.value, "sd": standing.sd},
        "params": best.params,
        "search": plan.name,
        "trial": best.number,
        "trials": history.counts(),
        "space_hash": hash_of(header.space),
        **{key: getattr(header, key) for key in HANDED_ON},
        "training": _training(plan, header, best),
        "mlflow": {
            "run_id": runs.trials.get(best.number) if runs else None,
            "parent_run_id": runs.parent if runs else None,
            "experiment": header.experiment_name,
        },
    }


def _training(plan: Plan, header: SearchHeader, best: TrialRecord) -> dict[str, Any]:
    """What, beside the experiment, decides the last bits of a trained model, and whether one training can give it.

    `workers`; `threads` of each, none where sessions differed; `device`; `inherited_from`, the trial whose weights it
    went on with, if any; `machine`, none where hosts ran on machines of several kinds, or nobody said which.
    """
    groups = [event.processes for event in read_events(plan.ledger) if isinstance(event, WorkersRegistered)]
    workers = max(map(len, groups), default=int(header.settings["search"]["workers"]))
    machines = {hash_of(m): m for group in groups for m in (process.machine for process in group)}
    reports = [report for report in best.reports.values() if report.seconds and report.core_seconds]
    threads = {round(report.core_seconds / report.seconds / workers) for report in reports}
    return {
        "workers": workers,
        "threads": threads.pop() if len(threads) == 1 else None,
        "device": "cuda" if any(report.gpu_seconds for report in reports) else "cpu",
        "inherited_from": best.inheritance.donor if best.inheritance else None,
        "machine": next(iter(machines.values())) if len(machines) == 1 else None,
    }


def _at_hand(checkpoint: Checkpoint, plan: Plan) -> str:
    """The file in the search's folder, brought there where the search kept its checkpoints elsewhere."""
    if plan.header.checkpoints is None:
        return checkpoint.file
    return download(checkpoint, plan.folder / "winner").file


def _relative(file: str, root: Path) -> str:
    path = Path(file)
    return str(path.relative_to(root)) if path.is_relative_to(root) else file
