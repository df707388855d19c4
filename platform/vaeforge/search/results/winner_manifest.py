"""Manifest of a search's best model: which trial it is, and everything that leads back from it."""

from pathlib import Path

from vaeforge.errors import SearchError
from vaeforge.ledger.events import SearchHeader, WorkersRegistered
from vaeforge.ledger.file import read_events
from vaeforge.ledger.history import SearchHistory
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.manifests.lineage import Lineage, MlflowRuns
from vaeforge.manifests.trained_model import TrainedModelManifest, TrainingConditions
from vaeforge.paths import hash_of
from vaeforge.provenance import PatchedGitState
from vaeforge.search.plan import Plan
from vaeforge.search.results.ranking import winner
from vaeforge.search.results.winner_value import winner_value
from vaeforge.search.space.trial_experiment import experiment_for, trial_seed
from vaeforge.track.replay import RunIds
from vaeforge.training.checkpoint_files import Checkpoint, CheckpointRef, download


def winner_manifest(step: str, plan: Plan, history: SearchHistory, runs: RunIds | None) -> TrainedModelManifest:
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
    best, header = winner(history, plan.space.objective).trial, history.header or plan.header
    base, seed = plan.config.experiment, trial_seed(plan.config.search.seed, best.number)
    return TrainedModelManifest(
        step=step,
        lineage=_lineage(plan, header, best, runs),
        settings=experiment_for(plan.space, base, best.params, seed).model_dump(mode="json"),
        event_shape=plan.prepared.event_shape,
        condition_dim=plan.prepared.spec.condition_dim,
        metrics=best.best_metrics,
        repeats=winner_value(history, plan.space.objective),
        params=best.params,
        trials=history.counts(),
        space=header.space,
        source=header.source,
        lock_sha256=header.lock_sha256,
        command=header.command,
        training=_training(plan, header, best),
    )


def _lineage(plan: Plan, header: SearchHeader, best: TrialRecord, runs: RunIds | None) -> Lineage:
    checkpoint = best.best
    if checkpoint is None:
        raise SearchError(f"search {plan.name!r}: no trial ended with a model; see the causes above")
    path = _relative(_at_hand(checkpoint, plan), plan.project.root)
    return Lineage(
        family=plan.space.family,
        checkpoint=CheckpointRef(path, checkpoint.sha256, checkpoint.epoch, checkpoint.file),
        data_identity=header.data_identity,
        data_hash=header.data_hash,
        git=header.git or PatchedGitState(None, None),
        configuration_hash=header.configuration_hash,
        code_hash=header.code_hash or "",
        search=plan.name,
        trial=best.number,
        space_hash=hash_of(header.space),
        mlflow=MlflowRuns(
            runs.trials.get(best.number) if runs else None, runs.parent if runs else None, header.experiment_name
        ),
        data_set=header.data_set,
    )


def _training(plan: Plan, header: SearchHeader, best: TrialRecord) -> TrainingConditions:
    """How the trial was trained."""
    groups = [event.processes for event in read_events(plan.ledger) if isinstance(event, WorkersRegistered)]
    workers = max(map(len, groups), default=int(header.settings["search"]["workers"]))
    machines = {process.machine for group in groups for process in group}
    reports = [report for report in best.reports.values() if report.seconds and report.core_seconds]
    threads = {round(report.core_seconds / report.seconds / workers) for report in reports}
    return TrainingConditions(
        workers=workers,
        threads=threads.pop() if len(threads) == 1 else None,
        device="cuda" if any(report.gpu_seconds for report in reports) else "cpu",
        inherited_from=best.inheritance.donor if best.inheritance else None,
        machine=machines.pop() if len(machines) == 1 else None,
        lanes=best.lanes if best.lanes > 1 else None,
    )


def _at_hand(checkpoint: Checkpoint, plan: Plan) -> str:
    """The file in the search's folder, brought there where the search kept its checkpoints elsewhere."""
    if plan.header.checkpoints is None:
        return checkpoint.file
    return download(checkpoint, plan.folder / "winner").file


def _relative(file: str, root: Path) -> str:
    path = Path(file)
    return str(path.relative_to(root)) if path.is_relative_to(root) else file
