"""Manifest of a trained model: what `tune` and `train` hand on to every later step."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaeforge.data.data_source import DataSource
from vaeforge.errors import DataError, VaeforgeError
from vaeforge.manifests.files import MANIFEST
from vaeforge.manifests.lineage import Lineage
from vaeforge.paths import Project, write_json
from vaeforge.provenance import Machine
from vaeforge.records import OPTIONAL, SPREAD, Metrics, Number, read_record, renamed, to_json
from vaeforge.training.checkpoint_files import CheckpointRef

if TYPE_CHECKING:
    from vaeforge.config.experiment import Experiment
    from vaeforge.config.gates import Gates

WHAT = "manifest of a trained model"
REMEDY = "run `vaeforge tune` or `vaeforge train` first, or name another --run"


@dataclass(frozen=True)
class TrainingConditions:
    """What, beside the experiment, decides the last bits of a trained model, and whether one training can give it.

    Attributes:
        workers: ranks.
        threads: of a rank; none where they changed on the way.
        device: cpu or cuda.
        inherited_from: the trial whose weights it went on with; none for a training of its own.
        machine: none where workers ran on machines of several kinds, or if it was not recorded.
        lanes: most trials that were trained with it as one model, itself counted; none where it was alone.
    """

    workers: int
    threads: int | None
    device: str
    inherited_from: int | None
    machine: Machine | None
    lanes: int | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True)
class RepeatedRuns:
    """What a winner's configuration is worth under other seeds; see `search/results/winner_value.py`.

    Attributes:
        runs: the numbers of the trials that were run.
        value: the mean of their `val/nelbo`, nats per sample.
        sd: the standard deviation; none for a single run.
        optimistic: whether these runs chose the trial among others, so that the value is better than it will be again;
            none in manifests of old versions, whose runs are all of the trial's, that which chose it among them.
    """

    runs: tuple[int, ...]
    value: Number
    sd: Number | None
    optimistic: bool | None = field(default=None, metadata=OPTIONAL)

    @property
    def basis(self) -> str:
        """Which runs the value is of, and whether it is optimistic, in words."""
        count = len(self.runs)
        if self.optimistic:
            mean = "of the run" if count == 1 else f"mean of {count} runs"
            return f"{mean} that chose it, optimistic; `--repeats 3` measures it without them"
        over = "of 1 run" if count == 1 else f"mean of {count} runs"
        return f"{over}, {'among them that which chose it' if self.optimistic is None else 'no part of the choice'}"


@dataclass(frozen=True, kw_only=True)
class TrainedModelManifest:
    """A model that a search or a training handed on, and everything that leads back from it.

    Attributes:
        step: `tune` or `train`.
        settings: the experiment as it was written, see `experiment`.
        event_shape: of one sample, raw units.
        condition_dim: 0 for models without a condition.
        metrics: validation metrics of the checkpoint's epoch; none where a number was not finite.
        repeats: what its configuration is worth under other seeds.
        params: flat parameters that the search chose.
        trials: how many trials of the search ended in which way.
        space: what was searched.
        source: what the data say of themselves.
        lock_sha256: of the project's list of pinned packages.
        command: that started the search.
        training: how it was trained; none in manifests of old versions.
        extra: keys that this version does not know.
    """

    step: str
    lineage: Lineage = field(metadata=SPREAD)
    settings: Mapping[str, Any] = field(metadata=renamed("experiment"))
    event_shape: tuple[int, ...]
    condition_dim: int
    metrics: Mapping[str, Number | None]
    repeats: RepeatedRuns | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    trials: Mapping[str, int] | None = None
    space: Mapping[str, Any] | None = None
    source: DataSource | None = None
    lock_sha256: str | None = None
    command: str | None = None
    training: TrainingConditions | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def family(self) -> str:
        """The kind of model."""
        return self.lineage.family

    @property
    def checkpoint(self) -> CheckpointRef:
        """The model's weights."""
        return self.lineage.checkpoint

    @cached_property
    def experiment(self) -> "Experiment":
        """The settings that it was trained with.

        Raises:
            ValueError: if this version does not know them, or not the family.
        """
        # with torch, which scoring, serving and the registry do without
        from vaeforge.config.experiment import Experiment
        from vaeforge.config.retired import without_retired

        return Experiment.model_validate(without_retired(self.settings))

    @property
    def finite_metrics(self) -> Metrics:
        """The metrics that are known."""
        return {name: value for name, value in self.metrics.items() if value is not None}

    def judged_by(self, gates: "Gates") -> "TrainedModelManifest":
        """The same model under other gates, which judge a model and did not make it."""
        return replace(self, settings={**self.settings, "gates": gates.model_dump(mode="json")})


def manifest_path(project: Project, run: str) -> Path:
    """Where the manifest of `run` lies: `tune` or `train` for the newest of that step, a search's name, or a path."""
    if run in ("tune", "train"):
        return project.step(run) / MANIFEST
    named = project.search(run) / MANIFEST
    return named if named.exists() or not Path(run).exists() else Path(run)


def read_trained_model(
    path: Path, remedy: str = REMEDY, error: type[VaeforgeError] = DataError
) -> TrainedModelManifest:
    """The manifest at `path`.

    Raises:
        DataError: if it is missing or not JSON.
        VaeforgeError: `error`, if it lacks something or is of another step.
    """
    return read_record(TrainedModelManifest, path, WHAT, remedy, error)


def write_trained_model(path: Path, manifest: TrainedModelManifest) -> str:
    """Write `manifest` to `path` atomically; the file's SHA-256."""
    return write_json(path, to_json(manifest))
