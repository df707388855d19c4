"""The register step: an exported, evaluated model becomes a version with its lineage, and champion if the gate says so.

A version whose `vaeforge.verdict` tag stands is complete: that tag is written last. Registering the same winner again
finishes a version that a crash left incomplete, judges a challenger anew, and never makes a second version.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaeforge.config import Experiment
from vaeforge.errors import RegistryError
from vaeforge.paths import Project, sha256_of
from vaeforge.registry.gate import Verdict, decide
from vaeforge.registry.lineage import CHECKPOINT, DATA_IDENTITY, GRAPH, RUN, VERDICT, describe, metrics_of, version_tags
from vaeforge.registry.log import log_graph, log_metrics, run_of, store_errors, tracking_at
from vaeforge.track.store import locked, open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

GRAPH_FILE = "model.onnx"
CHAMPION, CHALLENGER = "champion", "challenger"


@dataclass(frozen=True)
class Registration:
    """A version in the registry: whether it is champion now, and why or why not."""

    model: str
    version: str
    champion: bool
    reasons: tuple[str, ...]


def register_run(
    project: Project,
    winner: Mapping[str, Any],
    export_manifest: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    tracking_uri: str,
) -> Registration:
    """Register the exported graph of `winner` as a version of `vaeforge-<family>` in the store at `tracking_uri`.

    The version always gets the alias `challenger`, and `champion` if the gate lets it. Its artifacts hold the other
    graphs, parity, metrics, baselines, curves and figures too.

    Raises:
        RegistryError: if exports or evaluation are of another checkpoint, files were changed after their manifest, or
            the store refuses, for instance because it does not have the winner's run.
        TrackingError: if the store cannot be used.
    """
    exported = _checked_files(project, winner, export_manifest)
    evaluated = _checked_files(project, winner, evaluation)
    graph = next((path for path in exported if path.name == GRAPH_FILE), None)
    if graph is None:
        raise RegistryError(f"export manifest: lists no {GRAPH_FILE}; run `vaeforge export` again")
    client, model = open_store(tracking_uri), f"vaeforge-{winner['family']}"
    project.artifacts.mkdir(parents=True, exist_ok=True)
    with locked(project.artifacts / f".register-{model}.lock"), store_errors(tracking_uri):
        run_id = run_of(client, winner, project.root / "mlruns")
        tags = version_tags(winner, run_id, export_manifest["files"][GRAPH_FILE])
        version = find_version(client, model, tags)
        if version is None:
            log_metrics(client, run_id, _measured(evaluation), winner["checkpoint"]["epoch"])
            extra = [path for path in (*exported, *evaluated) if path != graph]
            model_id = log_graph(client, run_id, winner, graph, extra)
            version = _create_version(
                client, model, model_id, run_id, tags, describe(winner, export_manifest, evaluation)
            )
        return _settle(client, version, winner, bool(export_manifest["parity"]["passed"]))


def find_version(client: "MlflowClient", model: str, tags: Mapping[str, str]) -> "ModelVersion | None":
    """The version of the same run, checkpoint and graph as `tags` say, if there is one."""
    condition = f"name = '{model}' and tags.`{GRAPH}` = '{tags[GRAPH]}'"
    same = [
        version
        for version in client.search_model_versions(condition)
        if all(version.tags.get(key) == tags[key] for key in (RUN, CHECKPOINT))
    ]
    return min(same, key=lambda version: int(version.version), default=None)


def alias_of(client: "MlflowClient", model: str, alias: str) -> "ModelVersion | None":
    """The version that `alias` names, if any."""
    aliases: dict[str, Any] = client.get_registered_model(model).aliases
    return client.get_model_version(model, str(aliases[alias])) if alias in aliases else None


def _checked_files(project: Project, winner: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[Path]:
    """The files that a step's manifest lists, unchanged since it was written."""
    step, expected = manifest["step"], winner["checkpoint"]["sha256"]
    if manifest["checkpoint"]["sha256"] != expected:
        raise RegistryError(
            f"{step} manifest: made from checkpoint {manifest['checkpoint']['sha256']}, but the one to register is "
            f"{expected}; run `vaeforge {step}` for it"
        )
    folder = project.root / manifest["folder"]
    for name, digest in manifest["files"].items():
        found = sha256_of(folder / name) if (folder / name).is_file() else "missing"
        if found != digest:
            raise RegistryError(f"{folder / name}: SHA-256 is {found}, must be {digest}; run `vaeforge {step}` again")
    return [folder / name for name in manifest["files"]]


def _measured(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """What evaluation adds to the run's own curves; `val/...` the run has already, but for the threshold."""
    metrics: dict[str, float] = evaluation["metrics"]
    return {key: value for key, value in metrics.items() if key.startswith("test/") or key == "val/threshold"}


def _create_version(
    client: "MlflowClient", model: str, model_id: str, run_id: str, tags: dict[str, str], description: str
) -> "ModelVersion":
    from mlflow import MlflowException

    try:
        client.create_registered_model(
            model, description="Exported by vaeforge; see each version's tags for its lineage."
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    with tracking_at(client.tracking_uri):  # a database looks the source up in the global store
        return client.create_model_version(
            model, f"models:/{model_id}", run_id=run_id, tags=tags, description=description, model_id=model_id
        )


def _settle(
    client: "MlflowClient", version: "ModelVersion", winner: Mapping[str, Any], parity_passed: bool
) -> Registration:
    """Give the version its aliases and its verdict; one that was champion before is left as it is, for it may have
    been rolled back since."""
    name, number = version.name, str(version.version)
    champion = alias_of(client, name, CHAMPION)
    reigns = champion is not None and str(champion.version) == number
    earlier = version.tags.get(VERDICT, "")
    if earlier.startswith(CHAMPION) or (earlier and reigns):
        return Registration(name, number, reigns, (f"registered before as {earlier}",))
    verdict = (
        Verdict(True, ("made champion before its registration was cut off",))
        if reigns
        else _judge(version, champion, Experiment.model_validate(winner["experiment"]), parity_passed)
    )
    newest = alias_of(client, name, CHALLENGER)
    if newest is None or int(newest.version) < int(number):
        client.set_registered_model_alias(name, CHALLENGER, number)
    if verdict.promote and not reigns:
        client.set_registered_model_alias(name, CHAMPION, number)
    client.set_model_version_tag(name, number, VERDICT, str(verdict))
    return Registration(name, number, verdict.promote, verdict.reasons)


def _judge(
    version: "ModelVersion", champion: "ModelVersion | None", experiment: Experiment, parity_passed: bool
) -> Verdict:
    """The gate's decision from the tags of both versions."""
    same_data = champion is not None and champion.tags.get(DATA_IDENTITY) == version.tags[DATA_IDENTITY]
    best = None if champion is None else metrics_of(champion.tags)
    return decide(metrics_of(version.tags), best, experiment.gates, parity_passed, same_data)
