"""New judgement of a registered version, from what it carries, by the gates that the project has now."""

from typing import TYPE_CHECKING

from vaeforge.config.gates import Gates
from vaeforge.config.loader import load
from vaeforge.errors import RegistryError
from vaeforge.paths import Project
from vaeforge.registry.audit import user
from vaeforge.registry.gate import GateCandidate, decide
from vaeforge.registry.lineage import comparison_number
from vaeforge.registry.mlflow_calls import store_errors
from vaeforge.registry.promote import promote, require_usable
from vaeforge.registry.tags import DATA_IDENTITY, GRAPH, VERDICT
from vaeforge.registry.verdict import Verdict
from vaeforge.registry.version_files import best_incumbent, candidate_of, scores_of_version, version_manifests
from vaeforge.registry.versions import CHAMPION, champion_of, version_named, versions_of
from vaeforge.track.store_reader import StoredVersion

if TYPE_CHECKING:
    from vaeforge.track.store_client import StoreClient

DATA_RULE = "data"  # see gate.py: the champion's data


def new_data_hint(model: str, version: str) -> str:
    """How a version of other data than the champion's becomes champion all the same."""
    return (
        "the champion learned from other data, or from the same files under other settings of `prepare`; if the data "
        f"are meant to change: `vaeforge models promote {model} {version} --new-data --why …`"
    )


def judge(
    client: "StoreClient",
    candidate: GateCandidate,
    versions: list[StoredVersion],
    judged: str | None,
    champion: str | None,
    gates: Gates,
) -> Verdict:
    """The gates' decision on `candidate` beside all `versions`; `judged` is its own version, none before it has one."""
    best = best_incumbent(client, versions, candidate.data_identity, judged)
    identities = {str(one.version): one.tags.get(DATA_IDENTITY, "unknown") for one in versions}
    against = None if champion in (None, judged) else identities.get(str(champion), "unknown")
    return decide(candidate, best, against, gates)


def rejudge(client: "StoreClient", project: Project, model: str, version: str) -> Verdict:
    """The verdict on `version` beside the present champion and the best version of its data.

    Raises:
        RegistryError: if it does not exist, or carries no manifests.
    """
    found = version_named(client, model, version)
    held = version_manifests(client, found)
    versions, champion = versions_of(client, model), champion_of(client, model)
    evidence, number = scores_of_version(client, found, held.evaluation), comparison_number(found, versions)
    candidate = candidate_of(held.model, held.export, held.evaluation, evidence, number)
    settings = load(project.root, held.model.family, held.model.experiment.preset)
    return judge(client, candidate, versions, version, champion, settings.experiment.gates)


def promote_judged(
    client: "StoreClient",
    project: Project,
    model: str,
    version: str,
    why: str,
    expected: str | None,
    new_data: bool = False,
) -> Verdict:
    """Judge `version` anew and make it champion.

    Args:
        client: of the registry.
        project: whose gates judge.
        model: its name.
        version: that is to be champion.
        why: reason for the audit trail.
        expected: the version that must be champion now; any if none.
        new_data: whether it may have learned from other data than the champion, which the trail then says.

    Raises:
        ConflictError: if another one is.
        RegistryError: with all reasons, if the gates refuse it; if it is champion or archived, or there is no such one.
    """
    with store_errors(client.tracking_uri, f"{model} version {version}: cannot be judged"):
        found, champion = version_named(client, model, version), champion_of(client, model)
        if champion == version:
            raise RegistryError(f"{model} version {version}: is champion already; nothing to do")
        require_usable(found)
        if GRAPH not in found.tags:
            raise RegistryError(f"{model} version {version}: was not registered by vaeforge (no tag {GRAPH})")
        verdict = rejudge(client, project, model, version)
    if new_data:
        allowed = verdict.without(DATA_RULE, "other than the champion's, as --new-data allows")
        why = f"{why} (with --new-data: other data than those of version {champion})" if allowed != verdict else why
        verdict = allowed
    if not verdict.promote:
        listed = "\n".join(f"  {reason}" for reason in verdict.reasons)
        others = any(outcome.rule == DATA_RULE for outcome in verdict.failed)
        hint = f"\n{new_data_hint(model, version)}" if others else ""
        raise RegistryError(f"{model} version {version}: refused by the gates:\n{listed}{hint}")
    promote(client, model, version, expected or champion, user(), why, verdict)
    with store_errors(
        client.tracking_uri, f"{model} version {version}: is champion, but its verdict stays the old one"
    ):
        client.set_model_version_tag(model, version, VERDICT, f"{CHAMPION}: promoted by {user()}")
    return verdict
