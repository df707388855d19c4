"""Writer of a search's MLflow runs: creates what is missing, logs what is new, mends the rest.

Everything here may be done twice. A run is looked up by its tags before it is made, a metric carries the ledger's time
(the same row again is no new row), and tags and states are compared with what the store already holds. Of an epoch
that was trained again after a crash the store has a point for each time; MLflow takes the latest as the metric's value.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaeforge.ledger.events import SearchHeader
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.track.store import ensure_experiment
from vaeforge.track.tracked_search import MetricPoint, TrackedSearch, flatten

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run

PARAM_CHARACTERS, TAG_CHARACTERS, DIGEST_CHARACTERS, DATASET_NAME_CHARACTERS = 6000, 8000, 36, 500
_PAGE = 1000
NOTE, OURS = "mlflow.note.content", "Search of the family"  # what MLflow calls a description, and how ours begins


@dataclass
class RunState:
    """What a store holds of one run."""

    run_id: str
    experiment_id: str
    status: str
    ended: int | None
    tags: dict[str, str] = field(default_factory=dict)
    params: set[str] = field(default_factory=set)
    has_data: bool = False


class MlflowWriter:
    """The parent run of a search and its trials' runs in the store behind `client`.

    `preferred` are run ids written down earlier: where two runs carry the same tags, they are the ones to keep.
    """

    def __init__(self, client: "MlflowClient", artifact_root: Path, header: SearchHeader, preferred: set[str]):
        self._client = client
        self._artifact_root = artifact_root
        self._header = header
        self._preferred = preferred
        self._announced: set[str] = set()
        self._settled: dict[int, int] = {}  # ended trials that the store knows all of, with their retries until then
        self.parent = self._find_parent() or self._create_parent()
        self.children = self._find_children()

    def update(self, tracked: TrackedSearch) -> None:
        """Bring the store to what `tracked` says; its points are removed as they arrive.

        Raises:
            MlflowException: if the store refuses or does not answer; calling again with a new writer goes on.
        """
        for number, trial in sorted(tracked.trials.items()):
            if self._settled.get(number) != trial.retries or trial.state is None or tracked.trial_points.get(number):
                self._update_trial(tracked, trial)
                self._settled |= {number: trial.retries} if trial.state is not None else {}
        self._update_parent(tracked)

    def _update_trial(self, tracked: TrackedSearch, trial: TrialRecord) -> None:
        tags = trial_tags(self._header, tracked, trial)
        if trial.number not in self.children:
            fixed = {
                "mlflow.parentRunId": self.parent.run_id,
                "mlflow.runName": f"trial-{trial.number:04d}",
                "vaeforge.trial": f"{self._header.name}/{trial.number}",
            }
            self.children[trial.number] = self._create(self.parent.experiment_id, trial.started, {**fixed, **tags})
        run = self.children[trial.number]
        self._log(run, tracked.trial_points.get(trial.number, []), trial.first_params, tags)
        if trial.state is not None:
            self._set_status(run, "FAILED" if trial.state == "failed" else "FINISHED", trial.finished)
        else:
            self._set_status(run, "KILLED" if tracked.over else "RUNNING", tracked.phase_time)

    def _update_parent(self, tracked: TrackedSearch) -> None:
        tags = search_tags(self._header, tracked)
        best = tracked.end.best if tracked.end else None
        if best in self.children:
            tags |= {"vaeforge.best_trial": str(best), "vaeforge.best_run": self.children[best].run_id}
        self._announce(tracked.resumed_by)
        if not self.parent.tags.get(NOTE, OURS).startswith(OURS):  # somebody has written a note of their own
            del tags[NOTE]
        if "mlflow.project.entryPoint" in self.parent.tags:  # MLflow says itself what it ran
            tags = {key: value for key, value in tags.items() if not key.startswith("mlflow.source.")}
        self._log(self.parent, tracked.points, flatten(self._header.settings), tags)
        if tracked.project_run == self.parent.run_id and not self._left_running(tracked):
            return  # `mlflow run` ends the run that it made
        statuses = {"running": "RUNNING", "interrupted": "KILLED", "ended": "FINISHED"}
        self._set_status(self.parent, statuses[tracked.phase], tracked.phase_time)

    def _left_running(self, tracked: TrackedSearch) -> bool:
        """Whether the parent is a project run that nobody is left to end."""
        now = self._get(self.parent.run_id) if tracked.abandoned else None
        return now is not None and now.status == "RUNNING"

    def _announce(self, project_runs: list[str]) -> None:
        """Tell the project runs that resumed this search which run they add to."""
        for run_id in set(project_runs) - self._announced - {self.parent.run_id}:
            if self._get(run_id) is not None:
                self._client.set_tag(run_id, "vaeforge.resumes", self.parent.run_id)
            self._announced.add(run_id)

    def _find_parent(self) -> RunState | None:
        """The run that `mlflow run` made for this search where this store has it, else the one tagged as its parent."""
        project_run = self._header.project_run_id
        found = self._get(project_run) if project_run else None
        if found is not None:
            return found
        runs = self._runs(self._experiment(), f"tags.`vaeforge.ledger` = '{self._header.identity}'")
        return self._keep(runs) if runs else None

    def _create_parent(self) -> RunState:
        tags = {"mlflow.runName": self._header.name, "vaeforge.ledger": self._header.identity}
        return self._create(self._experiment(), self._header.time, tags)

    def _experiment(self) -> str:
        name = self._header.experiment_name or f"vaeforge-{self._header.family}"
        return ensure_experiment(self._client, name, self._artifact_root)

    def _find_children(self) -> dict[int, RunState]:
        runs = self._runs(self.parent.experiment_id, f"tags.`mlflow.parentRunId` = '{self.parent.run_id}'")
        same: dict[str, list[RunState]] = {}
        for run in runs:
            if "vaeforge.trial" in run.tags:
                same.setdefault(run.tags["vaeforge.trial"], []).append(run)
        return {int(name.rpartition("/")[2]): self._keep(duplicates) for name, duplicates in same.items()}

    def _keep(self, duplicates: list[RunState]) -> RunState:
        """The duplicate to go on with; the others, left by a server that answered too late, are deleted."""
        kept, *others = sorted(duplicates, key=lambda run: (run.run_id not in self._preferred, run.run_id))
        for other in others:
            self._client.delete_run(other.run_id)
        return kept

    def _runs(self, experiment_id: str, condition: str) -> list[RunState]:
        found: list[RunState] = []
        token = None
        while True:
            page = self._client.search_runs([experiment_id], condition, max_results=_PAGE, page_token=token)
            found += [_run_state(run) for run in page]
            token = page.token
            if not token:
                return found

    def _get(self, run_id: str) -> RunState | None:
        from mlflow import MlflowException

        try:
            run = self._client.get_run(run_id)
            return _run_state(run) if run.info.lifecycle_stage == "active" else None
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def _create(self, experiment_id: str, started: float, tags: dict[str, str]) -> RunState:
        return _run_state(self._client.create_run(experiment_id, start_time=_milliseconds(started), tags=tags))

    def _log(self, run: RunState, points: list[MetricPoint], params: dict[str, Any], tags: dict[str, str]) -> None:
        """Log what is new in one call (MLflow cuts it into batches of its limits)."""
        from mlflow.entities import Metric, Param, RunTag

        new_tags = {key: value for key, value in tags.items() if run.tags.get(key) != value}
        new_params = {key: value for key, value in params.items() if key not in run.params}
        if points or new_params or new_tags:
            self._client.log_batch(
                run.run_id,
                metrics=[Metric(point.key, point.value, _milliseconds(point.time), point.step) for point in points],
                params=[Param(key, _text(value, PARAM_CHARACTERS)) for key, value in new_params.items()],
                tags=[RunTag(key, value) for key, value in new_tags.items()],
            )
            run.tags.update(new_tags)
            run.params.update(new_params)
            points.clear()
        if not run.has_data:
            self._client.log_inputs(run.run_id, datasets=[self._data()])
            run.has_data = True

    def _data(self) -> "DatasetInput":
        return dataset_input(self._header.data_source, self._header.data_identity, self._header.data_hash)

    def _set_status(self, run: RunState, status: str, time: float | None) -> None:
        if status == "RUNNING":
            if run.status != status:
                self._client.update_run(run.run_id, status=status)
                run.status, run.ended = status, None
            return
        ended = _milliseconds(time or 0.0)
        if (run.status, run.ended) != (status, ended):
            self._client.set_terminated(run.run_id, status=status, end_time=ended)
            run.status, run.ended = status, ended


def trial_tags(header: SearchHeader, tracked: TrackedSearch, trial: TrialRecord) -> dict[str, str]:
    """The tags of a trial's run that may change while it trains."""
    crash = trial.crashes[-1] if trial.crashes else None
    no_longer = "" if trial.retries else None  # a store keeps the tags of the end that a trial had before
    tags = {
        "vaeforge.state": tracked.shown_state(trial),
        "vaeforge.attempts": str(trial.leases),
        "vaeforge.group": trial.group or None,
        "vaeforge.cause": trial.cause or no_longer,
        "vaeforge.diverged": trial.diverged or None,
        "vaeforge.collapsed": trial.collapsed or None,
        "vaeforge.repeat_of": trial.repeat_of,
        "vaeforge.lanes": trial.lanes if trial.beside else None,
        "vaeforge.beside": " ".join(map(str, sorted(trial.beside))) or None,
        "vaeforge.inherited": "; ".join(_inherited(trial)) or None,
        "vaeforge.value": no_longer if trial.final_value is None else repr(trial.final_value),
        "vaeforge.last_crash": crash and crash.cause,
        "vaeforge.traceback": crash.traceback[-TAG_CHARACTERS:] if crash and crash.traceback else None,
        "vaeforge.data_identity": header.data_identity,
        "mlflow.source.git.commit": header.git.commit if header.git else None,
    }
    return {key: _text(value, TAG_CHARACTERS) for key, value in tags.items() if value is not None}


def _inherited(trial: TrialRecord) -> list[str]:
    """Each time that the trial went on with another one's weights, in words."""
    return [
        f"epoch {epoch}: trial {decision.donor}, "
        + " ".join(f"{path}={value}" for path, value in (decision.params or {}).items())
        for epoch, decision in sorted(trial.decisions.items())
        if decision.action == "inherit"
    ]


def search_tags(header: SearchHeader, tracked: TrackedSearch) -> dict[str, str]:
    """The tags of the parent run: its lineage, its space (in pieces where it is long) and how it stands."""
    tags = {
        "vaeforge.search": header.name,
        "vaeforge.ledger": header.identity,
        "vaeforge.family": header.family,
        "vaeforge.state": tracked.phase,
        "vaeforge.reason": tracked.end and tracked.end.reason,
        "vaeforge.resumed_by": tracked.resumed_by[-1] if tracked.resumed_by else None,
        "vaeforge.project_run": header.project_run_id,
        "vaeforge.git.dirty": header.git.dirty if header.git else None,
        "mlflow.source.git.commit": header.git.commit if header.git else None,
        "mlflow.source.name": header.command,
        "mlflow.source.type": "LOCAL",
        "vaeforge.data_identity": header.data_identity,
        "vaeforge.data_hash": header.data_hash,
        "vaeforge.configuration_hash": header.configuration_hash,
        "vaeforge.code_hash": header.code_hash,
        "vaeforge.seed": header.seed,
        "vaeforge.command": header.command,
        NOTE: description(header, tracked),
    }
    space = _text(header.space, len(json.dumps(header.space)))
    for start in range(0, len(space), TAG_CHARACTERS):
        piece = start // TAG_CHARACTERS
        tags["vaeforge.space" + (f".{piece}" if piece else "")] = space[start : start + TAG_CHARACTERS]
    return {key: _text(value, TAG_CHARACTERS) for key, value in tags.items() if value is not None}


def description(header: SearchHeader, tracked: TrackedSearch) -> str:
    """What MLflow shows above the parent run's numbers: what was searched, how it stands, where to look."""
    counts: dict[str, int] = {}
    for trial in tracked.trials.values():
        state = tracked.shown_state(trial).replace("_", " ")
        counts[state] = counts.get(state, 0) + 1
    how = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "no trial yet"
    data = header.data_set.name if header.data_set else header.data_source
    lines = [f"{OURS} **{header.family}** on the data `{data}`: {how}."]
    best = tracked.trials.get(tracked.end.best) if tracked.end and tracked.end.best is not None else None
    if best is not None and tracked.end is not None and tracked.end.value is not None:
        chosen = ", ".join(f"`{path}` {value}" for path, value in sorted(best.params.items()))
        lines.append(f"Best trial: {best.number}, {tracked.objective} {tracked.end.value:.6g}, with {chosen}.")
    lines.append("All figures, the ranking and why each trial ended: `report.html` under Artifacts.")
    return "\n\n".join(lines)


def dataset_input(data_source: str, data_identity: str, data_hash: str | None) -> "DatasetInput":
    """Data as MLflow's dataset: its digest is DVC's hash, else the start of the data identity."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    digest = (data_hash or data_identity[:32])[:DIGEST_CHARACTERS]
    profile = json.dumps({"data_identity": data_identity, "data_hash": data_hash})
    source, name = json.dumps({"uri": data_source}), data_source[-DATASET_NAME_CHARACTERS:]
    dataset = Dataset(name, digest, source_type="local", source=source, profile=profile)
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", "training")])


def _run_state(run: "Run") -> RunState:
    return RunState(
        run_id=run.info.run_id,
        experiment_id=run.info.experiment_id,
        status=run.info.status,
        ended=run.info.end_time,
        tags=dict(run.data.tags),
        params=set(run.data.params),
        has_data=bool(run.inputs and run.inputs.dataset_inputs),
    )


def _text(value: Any, limit: int) -> str:
    """`value` as text of at most `limit` characters; what is cut off is said."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    if len(text) <= limit:
        return text
    note = f"… ({len(text)} characters)"
    return text[: limit - len(note)] + note


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
