"""The how-manieth model a version is that was measured on its test set."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from vaeforge.evaluate.test_set_usage import looks
from vaeforge.paths import Project
from vaeforge.registry.lineage import CHECKPOINT, DATA_IDENTITY

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


def look_number(project: Project, winner: Mapping[str, Any], versions: Iterable["ModelVersion"]) -> int:
    """1 for the first checkpoint measured on the test set of this data identity, 2 for the second, and so on.

    Counted are those that this project measured before it, and those that anybody registered before it.
    """
    identity, checkpoint = winner["data_identity"], winner["checkpoint"]["sha256"]
    local = looks(project, identity)
    before = set(local[: local.index(checkpoint)] if checkpoint in local else local)
    before |= {one.tags[CHECKPOINT] for one in versions if one.tags.get(DATA_IDENTITY) == identity}
    return len(before - {checkpoint}) + 1
