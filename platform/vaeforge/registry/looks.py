"""The ordinal of a version among the models that were measured on its test set."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vaeforge.evaluate.test_set_usage import looks
from vaeforge.manifests.lineage import Lineage
from vaeforge.paths import Project
from vaeforge.registry.lineage import CHECKPOINT, DATA_IDENTITY

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


def look_number(project: Project, lineage: Lineage, versions: Iterable["ModelVersion"]) -> int:
    """1 for the first checkpoint measured on the test set of this data identity, 2 for the second, and so on.

    Counted are those that this project measured before it, and those that anybody registered before it.
    """
    identity, checkpoint = lineage.data_identity, lineage.checkpoint.sha256
    local = looks(project, identity)
    before = set(local[: local.index(checkpoint)] if checkpoint in local else local)
    before |= {one.tags[CHECKPOINT] for one in versions if one.tags.get(DATA_IDENTITY) == identity}
    return len(before - {checkpoint}) + 1
