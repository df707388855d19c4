"""The register step: an exported, evaluated model becomes a version with its lineage, and champion if the gate says so.

A version whose `vaeforge.verdict` tag stands is complete: that tag is written last. Registering the same winner again
finishes a version that a crash left incomplete, judges a challenger anew, and never makes a second version.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaeforge.config.experiment import Experiment
from vaeforge.errors import RegistryError
from vaeforge.package.bundle import CARD, CONTRACT, WINNER, read_contract
from vaeforge.package.card import build_card, card_markdown
from vaeforge.package.export import DATA_SUFFIX
from vaeforge.paths import Project, sha256_of
from vaeforge.provenance import PATCH
from vaeforge.registry.audit import user
from vaeforge.registry.evidence import EVIDENCE_FILE, Evidence, read_evidence
from vaeforge.registry.gate import Candidate
from vaeforge.registry.lineage import (
    CHECKPOINT,
    GRAPH,
    RUN,
    TEST_LOOKS,
    TEST_NLL,
    VERDICT,
    describe,
    version_tags,
)
from vaeforge.registry.log import log_data, log_figures, log_graph, log_metrics, run_of, store_errors, tracking_at
from vaeforge.registry.looks import look_number
from vaeforge.registry.promote import ConflictError, promote
from vaeforge.registry.rejudge import judge
from vaeforge.registry.verdict import Verdict
from vaeforge.registry.version_files import CARD_TEXT, EVALUATION, EXPORT, candidate_of
from vaeforge.registry.versions import CHALLENGER, CHAMPION, aliases_of, champion_of, versions_of
from vaeforge.track.store import locked, open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

GRAPH_FILE = "model.onnx"
LONGEST_TAG = 5000


@dataclass(frozen=True)
class Registration:
    """A version in the registry: whether it is champion now, and why or why not."""

    model: str
    version: str
    champion: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class _Finished:
    """What is registered: the winner's manifest, those of its export and evaluation, and their files."""

    winner: Mapping[str, Any]
    export: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    exported: list[Path]
    evaluated: list[Path]

    @property
    def graph(self) -> Path:
        return _named(self.exported, GRAPH_FILE)

    def evidence(self) -> "Evidence | str":
        """Of the test samples, or why there is none."""
        try:
            return read_evidence(_named(self.evaluated, EVIDENCE_FILE))
        except RegistryError as error:
            return str(error)

    def candidate(self) -> Candidate:
        return candidate_of(self.winner, self.export, self.evaluation, self.evidence())

    def texts(self, verdict: Verdict) -> dict[str, str]:
        """The manifests and the card, by file name."""
        contract = read_contract(_named(self.exported, CONTRACT))
        card = build_card(self.winner, self.evaluation, self.export, contract, verdict.plain())
        contents = {WINNER: self.winner, EXPORT: self.export, EVALUATION: self.evaluation, CARD: card}
        texts = {name: json.dumps(dict(content), indent=2, sort_keys=True) for name, content in contents.items()}
        return texts | {CARD_TEXT: card_markdown(card)}


def register_run(
    project: Project,
    winner: Mapping[str, Any],
    export_manifest: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    tracking_uri: str,
) -> Registration:
    """Register the exported graph of `winner` as a version of `vaeforge-<family>` in the store at `tracking_uri`.

    The version always gets the alias `challenger`, and `champion` if the gates let it and nobody else changed the
    champion meanwhile. Its artifacts hold the other graphs, parity, metrics, evidence, curves, figures and its card.

    Raises:
        RegistryError: if exports or evaluation are of another checkpoint, files were changed after their manifest,
            parity was not shown, or the store refuses, for instance because it does not have the winner's run.
        TrackingError: if the store cannot be used.
    """
    exported = _checked_files(project, winner, export_manifest)
    evaluated = _checked_files(project, winner, evaluation)
    finished = _Finished(winner, export_manifest, evaluation, exported, evaluated)
    _require_exported(finished)
    client, model = open_store(tracking_uri), f"vaeforge-{winner['family']}"
    project.artifacts.mkdir(parents=True, exist_ok=True)
    with locked(project.artifacts / f".register-{model}.lock"), store_errors(tracking_uri):
        return _register(client, project, model, finished)


def _register(client: "MlflowClient", project: Project, model: str, finished: _Finished) -> Registration:
    winner, versions = finished.winner, versions_of(client, model)
    run_id = run_of(client, winner, project.root / "mlruns")
    tags = version_tags(winner, run_id, finished.export["files"][GRAPH_FILE])
    version, champion = find_version(versions, tags), champion_of(client, model)
    settled = _settled_before(version, champion)
    if settled is not None:
        return settled
    gates = Experiment.model_validate(winner["experiment"]).gates
    number = None if version is None else str(version.version)
    verdict = judge(client, finished.candidate(), versions, number, champion, gates)
    if version is None:
        look = look_number(project, winner, versions)
        evidence, task = finished.evidence(), Experiment.model_validate(winner["experiment"]).definition.task
        nll = {TEST_NLL: repr(evidence.mean_nll(task))} if isinstance(evidence, Evidence) else {}
        version = _add_version(client, project, model, finished, verdict, {**tags, **nll, TEST_LOOKS: str(look)})
    return _settle(client, version, verdict, champion)


def find_version(versions: "list[ModelVersion]", tags: Mapping[str, str]) -> "ModelVersion | None":
    """The version of the same run, checkpoint and graph as `tags` say, if there is one."""
    keys = (RUN, CHECKPOINT, GRAPH)
    return next((one for one in versions if all(one.tags.get(key) == tags[key] for key in keys)), None)


def _named(paths: list[Path], name: str) -> Path:
    found = next((path for path in paths if path.name == name), None)
    if found is None:
        raise RegistryError(f"manifest: lists no {name}; run the step that writes it again")
    return found


def _require_exported(finished: _Finished) -> None:
    """The main graph is there and does what torch does: nothing else is worth a version."""
    if GRAPH_FILE not in finished.export["files"]:
        raise RegistryError(f"export manifest: lists no {GRAPH_FILE}; run `vaeforge export` again")
    apart = [name for name in finished.export["files"] if name.endswith(DATA_SUFFIX)]
    if apart:
        raise RegistryError(
            f"export manifest: {apart[0]} holds weights beside their graph, as graphs above 2 GB need; versions hold "
            "one file a graph: register a smaller model; nothing was registered"
        )
    if not finished.export.get("parity", {}).get("passed"):
        raise RegistryError(
            "export manifest: parity was not shown, the graphs do not compute what torch computes; "
            "run `vaeforge export` again and see its parity.json; nothing was registered"
        )


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


def _add_version(
    client: "MlflowClient", project: Project, model: str, finished: _Finished, verdict: Verdict, tags: dict[str, str]
) -> "ModelVersion":
    """Log everything to the winner's run, then make the version of it."""
    winner, run_id = finished.winner, tags[RUN]
    log_metrics(client, run_id, _measured(finished.evaluation), winner["checkpoint"]["epoch"])
    log_data(client, run_id, winner, project.data(winner["family"]).relative_to(project.root))
    log_figures(client, run_id, finished.evaluated)
    extra = [path for path in (*finished.exported, *finished.evaluated) if path != finished.graph]
    patch = project.search(str(winner["search"])) / PATCH
    extra += [patch] if winner["git"].get("patch") and patch.is_file() else []
    model_id = log_graph(client, run_id, winner, finished.graph, extra, finished.texts(verdict))
    description = describe(winner, finished.export, finished.evaluation, int(tags[TEST_LOOKS]))
    return _create_version(client, model, model_id, run_id, tags, description)


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


def _settled_before(version: "ModelVersion | None", champion: str | None) -> Registration | None:
    """What came of an earlier registration; one that was champion before is left as it is, for it may have been
    rolled back since."""
    earlier = "" if version is None else version.tags.get(VERDICT, "")
    if version is None or not earlier:
        return None
    number = str(version.version)
    if not earlier.startswith(CHAMPION) and champion != number:
        return None
    return Registration(version.name, number, champion == number, (f"registered before as {earlier}",))


def _settle(client: "MlflowClient", version: "ModelVersion", verdict: Verdict, champion: str | None) -> Registration:
    """Give the version its aliases and then, as the last thing, its verdict."""
    name, number = version.name, str(version.version)
    newest = aliases_of(client, name).get(CHALLENGER)
    if newest is None or int(newest) < int(number):
        client.set_registered_model_alias(name, CHALLENGER, number)
    reasons, promoted = verdict.reasons, champion == number
    if promoted:
        reasons = ("made champion before its registration was cut off",)
    elif verdict.promote:
        promoted, reasons = _promoted(client, name, number, champion, verdict)
    text = f"{CHAMPION if promoted else CHALLENGER}: {'; '.join(reasons)}"
    client.set_model_version_tag(name, number, VERDICT, text[:LONGEST_TAG])
    return Registration(name, number, promoted, reasons)


def _promoted(
    client: "MlflowClient", name: str, number: str, champion: str | None, verdict: Verdict
) -> tuple[bool, tuple[str, ...]]:
    """Whether the version became champion; where somebody else was faster it stays challenger, and that is why."""
    try:
        promote(client, name, number, champion, user(), "registration", verdict)
    except ConflictError as error:
        return False, (str(error),)
    return True, verdict.reasons
