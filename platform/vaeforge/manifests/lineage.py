"""Lineage of a model: what the manifest of every later step repeats, so that each leads back by itself."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from vaeforge.data.data_sets import DataSetName
from vaeforge.paths import hash_of
from vaeforge.provenance import PatchedGitState
from vaeforge.records import OPTIONAL, read_record
from vaeforge.training.checkpoint_files import CheckpointRef

UNUSABLE = re.compile(r"[^A-Za-z0-9_.]+")


@dataclass(frozen=True)
class MlflowRuns:
    """Where MLflow has a search; ids are none where it was not tracked.

    Attributes:
        run_id: of the trial.
        parent_run_id: of the search.
        experiment: the name of the experiment that both belong to.
    """

    run_id: str | None = None
    parent_run_id: str | None = None
    experiment: str | None = None


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """What made a model; fields that were not recorded are none.

    Attributes:
        checkpoint: its weights.
        data_identity: of the data that it was trained on.
        data_hash: DVC's of the same; none where they were not what DVC tracks.
        git: the project's commit when the search began, and what differed from it.
        configuration_hash: of everything that decides what a search tries.
        code_hash: of vaeforge itself, see `provenance.code_hash`.
        search: the search's name.
        trial: its number in that search.
        space_hash: of what was searched.
        mlflow: where it was tracked.
        data_set: the data set that it learned from; none for files without a name, and in older manifests.
    """

    family: str
    checkpoint: CheckpointRef
    data_identity: str
    data_hash: str | None
    git: PatchedGitState
    configuration_hash: str | None = None
    code_hash: str
    search: str | None
    trial: int | None = None
    space_hash: str | None = None
    mlflow: MlflowRuns = MlflowRuns()
    data_set: DataSetName | None = field(default=None, metadata=OPTIONAL)

    @property
    def registered_model(self) -> str:
        """The model in the registry whose versions learn from these data; see `registered_model`."""
        return registered_model(self.family, self.data_set)


def registered_model(family: str, data_set: DataSetName | None) -> str:
    """`vaeforge-<family>` for the sample and for files without a name, `vaeforge-<family>-<data set>` for one's own.

    Versions of different data sets are thus never compared, and each line has a champion of its own. A name that
    cannot stand in a URL is written with hyphens, and with the start of its hash, so that no two are alike.
    """
    if data_set is None or data_set.sample:
        return f"vaeforge-{family}"
    plain = UNUSABLE.sub("-", data_set.name).strip("-")
    apart = "" if plain == data_set.name else hash_of(data_set.name)[:6]
    return "-".join(part for part in ("vaeforge", family, plain, apart) if part)


@dataclass(frozen=True)
class _CheckpointOnly:
    """The one thing that is asked of the manifest of any later step."""

    checkpoint: CheckpointRef


def checkpoint_of(path: Path, remedy: str) -> CheckpointRef:
    """The checkpoint that the step whose manifest lies at `path` was made from.

    Raises:
        DataError: if the manifest is missing, not JSON, or names none; `remedy` says what to do about it.
    """
    return read_record(_CheckpointOnly, path, "manifest of a step", remedy).checkpoint
