"""Makes the runs of one MLflow store agree with a `Fold`: creates what is missing, logs what is new, mends the rest.

Everything here may be done twice. A run is looked up by its tags before it is made, a metric carries the ledger's time
(the same row again is no new row), and tags and states are compared with what the store already holds.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaeforge.paths import hash_of
from vaeforge.track.ledger_reader import Event, Fold, Point, Trial, flatten
from vaeforge.track.store import ensure_experiment

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run

PARAM_CHARACTERS, TAG_CHARACTERS, DIGEST_CHARACTERS, DATASET_NAME_CHARACTERS = 6000, 8000, 36, 500
_PAGE = 1000


@dataclass
class Held:
    """What a store holds of one run."""

    run_id: str
    experiment_id: str
    status: str
    ended: int | None
    tags: dict[str, str] = field(default_factory=dict)
    params: set[str] = field(default_factory=set)
    has_data: bool = False


class Mirror:
    """The parent run of a search and its trials' runs in the store behind `client`.

    `preferred` are run ids written down earlier: where two runs carry the same tags, they are the ones to keep.
    """

    def __init__(self, client: "MlflowClient", artifact_root: Path, search: Event, preferred: set[str]):
        self._client = client
        self._artifact_root = artifact_root
        self._search = search
        self._preferred = preferred
        self._announced: set[str] = set()
        self.parent = self._find_parent() or self._create_parent()
        self.children = self._find_children()

    def update(self, fold: Fold) -> None:
        """Bring the store to what `fold` says; its points are removed as they arrive.

        Raises:
            MlflowException: if the store refuses or does not answer; calling again with a new Mirror goes on.
        """
        for number in sorted(fold.trials):
            self._update_trial(fold, fold.trials[number])
        self._update_parent(fold)

    def _update_trial(self, fold: Fold, trial: Trial) -> None:
        tags = trial_tags(self._search, fold, trial)
        if trial.number not in self.children:
            fixed = {
                "mlflow.parentRunId": self.parent.run_id,
                "mlflow.runName": f"trial-{trial.number:04d}",
                "vaeforge.trial": f"{self._search['name']}/{trial.number}",
            }
            self.children[trial.number] = self._create(self.parent.experiment_id, trial.started, {**fixed, **tags})
        held = self.children[trial.number]
        self._log(held, trial.points, trial.params, tags)
        if trial.terminal:
            self._set_status(held, "FAILED" if trial.state == "failed" else "FINISHED", trial.finished)
        else:
            self._set_status(held, "KILLED" if fold.over else "RUNNING", fold.phase_time)

    def _update_parent(self, fold: Fold) -> None:
        tags = search_tags(self._search, fold)
        best = fold.end.get("best") if fold.end else None
        if best in self.children:
            tags |= {"vaeforge.best_trial": str(best), "vaeforge.best_run": self.children[best].run_id}
        self._announce(fold.resumed_by)
        if "mlflow.project.entryPoint" in self.parent.tags:  # MLflow says itself what it ran
            tags = {key: value for key, value in tags.items() if not key.startswith("mlflow.source.")}
        self._log(self.parent, fold.points, flatten(self._search["settings"]), tags)
        if fold.project_run == self.parent.run_id and not self._left_running(fold):
            return  # `mlflow run` ends the run that it made
        statuses = {"running": "RUNNING", "interrupted": "KILLED", "ended": "FINISHED"}
        self._set_status(self.parent, statuses[fold.phase], fold.phase_time)

    def _left_running(self, fold: Fold) -> bool:
        """Whether the parent is a project run that nobody is left to end."""
        now = self._get(self.parent.run_id) if fold.abandoned else None
        return now is not None and now.status == "RUNNING"

    def _announce(self, project_runs: list[str]) -> None:
        """Tell the project runs that resumed this search which run they add to."""
        for run_id in set(project_runs) - self._announced - {self.parent.run_id}:
            if self._get(run_id) is not None:
                self._client.set_tag(run_id, "vaeforge.resumes", self.parent.run_id)
            self._announced.add(run_id)

    def _find_parent(self) -> Held | None:
        """The run that `mlflow run` made for this search where this store has it, else the one tagged as its parent."""
        project_run = self._search.get("project_run_id")
        found = self._get(project_run) if project_run else None
        if found is not None:
            return found
        runs = self._runs(self._experiment(), f"tags.`vaeforge.ledger` = '{ledger_id(self._search)}'")
        return self._keep(runs) if runs else None

    def _create_parent(self) -> Held:
        tags = {"mlflow.runName": self._search["name"], "vaeforge.ledger": ledger_id(self._search)}
        return self._create(self._experiment(), self._search["time"], tags)

    def _experiment(self) -> str:
        name = self._search.get("experiment_name") or f"vaeforge-{self._search['family']}"
        return ensure_experiment(self._client, name, self._artifact_root)

    def _find_children(self) -> dict[int, Held]:
        runs = self._runs(self.parent.experiment_id, f"tags.`mlflow.parentRunId` = '{self.parent.run_id}'")
        same: dict[str, list[Held]] = {}
        for run in runs:
            if "vaeforge.trial" in run.tags:
                same.setdefault(run.tags["vaeforge.trial"], []).append(run)
        return {int(name.rpartition("/")[2]): self._keep(twins) for name, twins in same.items()}

    def _keep(self, twins: list[Held]) -> Held:
        """The twin to go on with; the others, left by a server that answered too late, are deleted."""
        kept, *others = sorted(twins, key=lambda held: (held.run_id not in self._preferred, held.run_id))
        for other in others:
            self._client.delete_run(other.run_id)
        return kept

    def _runs(self, experiment_id: str, condition: str) -> list[Held]:
        found: list[Held] = []
        token = None
        while True:
            page = self._client.search_runs([experiment_id], condition, max_results=_PAGE, page_token=token)
            found += [_held(run) for run in page]
            token = page.token
            if not token:
                return found

    def _get(self, run_id: str) -> Held | None:
        from mlflow import MlflowException

        try:
            run = self._client.get_run(run_id)
            return _held(run) if run.info.lifecycle_stage == "active" else None
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def _create(self, experiment_id: str, started: float, tags: dict[str, str]) -> Held:
        return _held(self._client.create_run(experiment_id, start_time=_milliseconds(started), tags=tags))

    def _log(self, held: Held, points: list[Point], params: dict[str, Any], tags: dict[str, str]) -> None:
        """Log what is new in one call (MLflow cuts it into batches of its limits)."""
        from mlflow.entities import Metric, Param, RunTag

        new_tags = {key: value for key, value in tags.items() if held.tags.get(key) != value}
        new_params = {key: value for key, value in params.items() if key not in held.params}
        if points or new_params or new_tags:
            self._client.log_batch(
                held.run_id,
                metrics=[Metric(point.key, point.value, _milliseconds(point.time), point.step) for point in points],
                params=[Param(key, _text(value, PARAM_CHARACTERS)) for key, value in new_params.items()],
                tags=[RunTag(key, value) for key, value in new_tags.items()],
            )
            held.tags.update(new_tags)
            held.params.update(new_params)
            points.clear()
        if not held.has_data:
            self._client.log_inputs(held.run_id, datasets=[dataset_input(self._search)])
            held.has_data = True

    def _set_status(self, held: Held, status: str, time: float | None) -> None:
        if status == "RUNNING":
            if held.status != status:
                self._client.update_run(held.run_id, status=status)
                held.status, held.ended = status, None
            return
        ended = _milliseconds(time or 0.0)
        if (held.status, held.ended) != (status, ended):
            self._client.set_terminated(held.run_id, status=status, end_time=ended)
            held.status, held.ended = status, ended


def ledger_id(search: Event) -> str:
    """What tells this search from another of the same name in the same store: the hash of its first event."""
    return hash_of(search)[:32]


def trial_tags(search: Event, fold: Fold, trial: Trial) -> dict[str, str]:
    """The tags of a trial's run that may change while it trains."""
    tags = {
        "vaeforge.state": fold.shown_state(trial),
        "vaeforge.attempts": str(len(trial.attempts)),
        "vaeforge.group": trial.group,
        "vaeforge.cause": trial.cause,
        "vaeforge.repeat_of": trial.repeat_of,
        "vaeforge.inherited": "; ".join(trial.inherited) or None,
        "vaeforge.value": None if trial.value is None else repr(trial.value),
        "vaeforge.last_crash": trial.crash,
        "vaeforge.traceback": trial.traceback and trial.traceback[-TAG_CHARACTERS:],
        "vaeforge.data_identity": search["data_identity"],
        "mlflow.source.git.commit": _git(search, "commit"),
    }
    return {key: _text(value, TAG_CHARACTERS) for key, value in tags.items() if value is not None}


def search_tags(search: Event, fold: Fold) -> dict[str, str]:
    """The tags of the parent run: its lineage, its space (in pieces where it is long) and how it stands."""
    tags = {
        "vaeforge.search": search["name"],
        "vaeforge.ledger": ledger_id(search),
        "vaeforge.family": search["family"],
        "vaeforge.state": fold.phase,
        "vaeforge.reason": fold.end and fold.end["reason"],
        "vaeforge.resumed_by": fold.resumed_by[-1] if fold.resumed_by else None,
        "vaeforge.project_run": search.get("project_run_id"),
        "vaeforge.git.dirty": _git(search, "dirty"),
        "mlflow.source.git.commit": _git(search, "commit"),
        "mlflow.source.name": search.get("command"),
        "mlflow.source.type": "LOCAL",
    }
    for key in ("data_identity", "data_hash", "configuration_hash", "code_hash", "seed", "command"):
        tags[f"vaeforge.{key}"] = search.get(key)
    space = _text(search["space"], len(json.dumps(search["space"])))
    for start in range(0, len(space), TAG_CHARACTERS):
        piece = start // TAG_CHARACTERS
        tags["vaeforge.space" + (f".{piece}" if piece else "")] = space[start : start + TAG_CHARACTERS]
    return {key: _text(value, TAG_CHARACTERS) for key, value in tags.items() if value is not None}


def dataset_input(search: Event) -> "DatasetInput":
    """The data of the search as MLflow's dataset: its digest is DVC's hash, else the start of the data identity."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    path = str(search["data_source"])
    digest = (search.get("data_hash") or search["data_identity"][:32])[:DIGEST_CHARACTERS]
    profile = {"data_identity": search["data_identity"], "data_hash": search.get("data_hash")}
    source, name = json.dumps({"uri": path}), path[-DATASET_NAME_CHARACTERS:]
    dataset = Dataset(name, digest, source_type="local", source=source, profile=json.dumps(profile))
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", "training")])


def _held(run: "Run") -> Held:
    return Held(
        run_id=run.info.run_id,
        experiment_id=run.info.experiment_id,
        status=run.info.status,
        ended=run.info.end_time,
        tags=dict(run.data.tags),
        params=set(run.data.params),
        has_data=bool(run.inputs and run.inputs.dataset_inputs),
    )


def _git(search: Event, key: str) -> Any:
    return (search.get("git") or {}).get(key)


def _text(value: Any, limit: int) -> str:
    """`value` as text of at most `limit` characters; what is cut off is said."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    if len(text) <= limit:
        return text
    note = f"… ({len(text)} characters)"
    return text[: limit - len(note)] + note


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
