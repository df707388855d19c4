"""Lineage of a registered version: tags that lead back to run, search, commit and data, and a description."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from vaeforge.evaluation.comparison import ComparisonRow
from vaeforge.evaluation.manifest import EvaluationManifest
from vaeforge.evaluation.test_set_usage import looks
from vaeforge.manifests.export import ExportManifest
from vaeforge.manifests.lineage import Lineage
from vaeforge.paths import Project
from vaeforge.registry.error_rates import SPEND_NOTHING
from vaeforge.registry.tags import (
    ACTIVE,
    ACTIVE_UNITS,
    CHECKPOINT,
    DATA_IDENTITY,
    DATA_SET,
    GRAPH,
    OBJECTIVE,
    RUN,
    TEST_COMPARISON,
    TEST_LOOKS,
    VAL_NELBO,
    VERDICT,
    number_in,
)
from vaeforge.track.store_reader import StoredVersion

if TYPE_CHECKING:  # scoring and serving read tags, and do without torch
    from vaeforge.manifests.trained_model import TrainedModelManifest


def version_tags(manifest: "TrainedModelManifest", run_id: str, graph_sha256: str) -> dict[str, str]:
    """The tags of a version; what is not known, such as the search of a single training, has no tag.

    Registering adds `FILES`, the SHA-256 of the list of hashes of all files beside the graph, those of its
    measurement, `TEST_NLL` and `TEST_LOOKS`, of its comparison, `TEST_POWER` and `TEST_COMPARISON`, and `VERDICT` last.
    """
    lineage, metrics = manifest.lineage, manifest.metrics
    known = {
        RUN: run_id,
        "vaeforge.search": lineage.search,
        "vaeforge.trial": lineage.trial,
        "vaeforge.commit": lineage.git.commit,
        "vaeforge.dirty": lineage.git.dirty,
        "vaeforge.data_hash": lineage.data_hash,
        DATA_IDENTITY: lineage.data_identity,
        DATA_SET: lineage.data_set and str(lineage.data_set),
        "vaeforge.configuration_hash": lineage.configuration_hash,
        "vaeforge.code_hash": lineage.code_hash,
        VAL_NELBO: metrics.get(OBJECTIVE),
        ACTIVE_UNITS: metrics.get(ACTIVE),
        CHECKPOINT: lineage.checkpoint.sha256,
        GRAPH: graph_sha256,
    }
    return {key: _text(value) for key, value in known.items() if value is not None}


def describe(
    manifest: "TrainedModelManifest", export: ExportManifest, evaluation: EvaluationManifest, look: int
) -> str:
    """A version in a few sentences for a person; it is model number `look` measured on its test set."""
    looked = f" Model number {look} measured on this test set."
    return "\n\n".join(
        [
            f"{manifest.family} VAE, {_origin(manifest.lineage)}, epoch {manifest.checkpoint.epoch}.",
            _quality(manifest, export.latent_dim) + _measured(evaluation.comparison) + looked,
            _sources(manifest.lineage),
        ]
    )


def _origin(lineage: Lineage) -> str:
    if lineage.trial is None or lineage.search is None:
        return "a single training"
    return f"trial {lineage.trial} of the search {lineage.search}"


def _quality(manifest: "TrainedModelManifest", latent_dim: int) -> str:
    nelbo, active, expected = manifest.metrics.get(OBJECTIVE), manifest.metrics.get(ACTIVE), manifest.repeats
    validation = "val/nelbo unknown" if nelbo is None else f"val/nelbo {nelbo:.6g} nats per sample"
    validation += f" (expected of its settings: {expected.value:.6g}, {expected.basis})" if expected else ""
    units = (
        "active latent dimensions unknown" if active is None else f"{active:g} of {latent_dim} latent dimensions active"
    )
    return f"{validation}, {units}."


def _measured(comparison: Sequence[ComparisonRow]) -> str:
    """The model's own numbers on the test set, which baselines it beats there, and which beat it."""
    own = [row for row in comparison if row.name == "model"]
    found = "; ".join(f"{row.metric} {row.value:.4g}{_interval(row)}" for row in own)
    better, worse = (
        ", ".join(sorted({row.name for row in comparison if row.significant == side})) or "nothing"
        for side in ("model is better", "baseline is better")
    )
    return f" Test set, 95 % intervals: {found}. In some of these clearly better than: {better}; worse than: {worse}."


def _interval(row: ComparisonRow) -> str:
    return " (no interval)" if row.low is None or row.high is None else f" [{row.low:.4g}, {row.high:.4g}]"


def _sources(lineage: Lineage) -> str:
    code = "code not under version control" if lineage.git.commit is None else f"code {lineage.git.commit}"
    state = " with uncommitted changes" if lineage.git.dirty else ""
    data = f"data {lineage.data_hash}" if lineage.data_hash else "data not tracked by DVC"
    named = "" if lineage.data_set is None else f"data set {lineage.data_set}, "
    return f"Made from {code}{state}, {named}{data}, data identity {lineage.data_identity}."


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def look_number(project: Project, lineage: Lineage, versions: Iterable[StoredVersion]) -> int:
    """1 for the first checkpoint measured on the test set of this data identity, 2 for the second, and so on.

    Counted are those that this project measured before it, and those that anybody registered before it.
    """
    identity, checkpoint = lineage.data_identity, lineage.checkpoint.sha256
    local = looks(project, identity)
    before = set(local[: local.index(checkpoint)] if checkpoint in local else local)
    before |= {one.tags[CHECKPOINT] for one in versions if one.tags.get(DATA_IDENTITY) == identity}
    return len(before - {checkpoint}) + 1


def look_of(version: StoredVersion, versions: Iterable[StoredVersion]) -> int:
    """Which model measured on its test set a registered version was: its tag, so that judging it again is no new look.

    Versions of earlier releases without the tag are counted by their numbers.
    """
    told, identity = number_in(version.tags, TEST_LOOKS), version.tags.get(DATA_IDENTITY)
    if told is not None and math.isfinite(told) and told >= 1:
        return int(told)
    return sum(one.tags.get(DATA_IDENTITY) == identity and int(one.version) <= int(version.version) for one in versions)


def comparison_number(version: StoredVersion, versions: Iterable[StoredVersion]) -> int:
    """`number_after` for a registered version: the same whenever it is judged again."""
    known = list(versions)
    return number_after(look_of(version, known), str(version.tags.get(DATA_IDENTITY)), known)


def number_after(look: int, identity: str, versions: Iterable[StoredVersion]) -> int:
    """k for model number `look` on a test set: one more than models were refused on it before.

    Every model that was measured before counts as refused, those that were never registered too, unless it was
    registered and passed its comparison, or there was none. Of earlier releases, champions have passed.

    Args:
        look: from 1.
        identity: of the data.
        versions: all that are registered.
    """
    known = [one for one in versions if one.tags.get(DATA_IDENTITY) == identity]
    before = [one for one in known if look_of(one, known) < look]
    return max(look - sum(_spent_nothing(one) for one in before), 1)


def _spent_nothing(version: StoredVersion) -> bool:
    told = version.tags.get(TEST_COMPARISON)
    return told in SPEND_NOTHING if told else version.tags.get(VERDICT, "").startswith("champion")
