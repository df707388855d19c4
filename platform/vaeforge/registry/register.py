"""The register step: an exported, evaluated model becomes a version with its lineage, and champion if the gate says so.

A version whose `vaeforge.verdict` tag stands is complete: that tag is written last. Registering the same model again
finishes a version that a crash left incomplete, judges a challenger anew, and never makes a second version.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vaeforge.config.experiment import UploadPatch
from vaeforge.errors import RegistryError, VaeforgeError
from vaeforge.evaluation.manifest import EvaluationManifest, evaluation_json
from vaeforge.evaluation.per_sample_scores import EVIDENCE_FILE, PerSampleScores, read_per_sample_scores
from vaeforge.manifests.export import ExportManifest
from vaeforge.manifests.files import MANIFEST
from vaeforge.manifests.lineage import Lineage
from vaeforge.manifests.trained_model import TrainedModelManifest
from vaeforge.package.bundle import CARD, HASHES, WINNER
from vaeforge.package.card import VerdictSection, build_card
from vaeforge.package.card_markdown import card_markdown
from vaeforge.package.contract import CONTRACT, read_contract
from vaeforge.package.export import DATA_SUFFIX
from vaeforge.patch_secrets import withheld
from vaeforge.paths import Project, sha256_of, write_json
from vaeforge.provenance import PATCH
from vaeforge.records import SPREAD, to_json
from vaeforge.registry.audit import user
from vaeforge.registry.gate import GateCandidate
from vaeforge.registry.lineage import describe, look_number, look_of, number_after, version_tags
from vaeforge.registry.log import log_data, log_figures, log_graph, log_metrics, run_of
from vaeforge.registry.mlflow_calls import store_errors, tracking_at
from vaeforge.registry.one_threshold import require_one_threshold
from vaeforge.registry.promote import ConflictError, promote
from vaeforge.registry.rejudge import judge
from vaeforge.registry.tags import (
    CHECKPOINT,
    DATA_SET,
    FILES,
    GRAPH,
    MEASURED_AUROC,
    RUN,
    SAMPLE_SHAPE,
    TEST_AUROC,
    TEST_COMPARISON,
    TEST_LOOKS,
    TEST_NLL,
    TEST_POWER,
    VERDICT,
)
from vaeforge.registry.verdict import Verdict
from vaeforge.registry.version_files import CARD_TEXT, EVALUATION, EXPORT, candidate_of, measured_metrics
from vaeforge.registry.versions import CHALLENGER, CHAMPION, aliases_of, champion_of, versions_of
from vaeforge.track.store import locked, one_try, open_store
from vaeforge.track.store_reader import StoredVersion

if TYPE_CHECKING:
    from vaeforge.track.store_client import StoreClient

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
class RegistrationManifest:
    """What the register step writes: the version, and what leads back from it."""

    step: str
    lineage: Lineage = field(metadata=SPREAD)
    registration: Registration = field(metadata=SPREAD)


@dataclass(frozen=True)
class _Submission:
    """What is registered: the manifests of a model, its export and its evaluation, and the files that they list."""

    model: TrainedModelManifest
    export: ExportManifest
    evaluation: EvaluationManifest
    exported: list[Path]
    evaluated: list[Path]
    patch: list[Path]

    @property
    def graph(self) -> Path:
        return _named(self.exported, GRAPH_FILE)

    def evidence(self) -> "PerSampleScores | str":
        """Of the test samples, or why there is none."""
        try:
            return read_per_sample_scores(_named(self.evaluated, EVIDENCE_FILE))
        except VaeforgeError as error:
            return str(error)

    def candidate(self, comparison: int) -> GateCandidate:
        return candidate_of(self.model, self.export, self.evaluation, self.evidence(), comparison)

    def texts(self, verdict: Verdict) -> dict[str, str]:
        """The manifests and the card, by file name."""
        contract = read_contract(_named(self.exported, CONTRACT))
        told = VerdictSection(verdict.promote, verdict.reasons)
        card = build_card(self.model, self.evaluation, self.export, contract, told)
        evaluation = evaluation_json(self.evaluation)
        contents = {WINNER: to_json(self.model), EXPORT: to_json(self.export), EVALUATION: evaluation}
        texts = {
            name: json.dumps(content, indent=2, sort_keys=True)
            for name, content in {**contents, CARD: to_json(card)}.items()
        }
        return texts | {CARD_TEXT: card_markdown(card)}


def write_registration(folder: Path, manifest: TrainedModelManifest, done: Registration) -> None:
    """Write the manifest of the register step into `folder`."""
    write_json(folder / MANIFEST, to_json(RegistrationManifest("register", manifest.lineage, done)))


def register_run(
    project: Project,
    manifest: TrainedModelManifest,
    export: ExportManifest,
    evaluation: EvaluationManifest,
    tracking_uri: str,
    upload_patch: UploadPatch = "checked",
) -> Registration:
    """Register the exported graph of a model as a version of its data set's model in the store at
    `tracking_uri`; see `manifests.lineage.registered_model`.

    The version always gets the alias `challenger`, and `champion` if the gates let it and nobody else changed the
    champion meanwhile. Its artifacts hold the other graphs, parity, metrics, evidence, curves, figures and its card.

    Args:
        project: where the files are.
        manifest: of the model.
        export: the manifest of its export.
        evaluation: the manifest of its evaluation.
        tracking_uri: of the store.
        upload_patch: whether what differed from the commit goes with it, see `patch_secrets.py`.

    Raises:
        RegistryError: if exports or evaluation are of another checkpoint, files were changed after their manifest,
            parity was not shown, or the store refuses, for instance because it does not have the model's run.
        TrackingError: if the store cannot be used.
    """
    exported = _checked_files(project, manifest, export)
    evaluated = _checked_files(project, manifest, evaluation)
    path = None if patch_withheld(project, manifest.lineage, upload_patch) else _kept_patch(project, manifest.lineage)
    submission = _Submission(manifest, export, evaluation, exported, evaluated, [path] if path else [])
    _require_exported(export)
    require_one_threshold(read_contract(_named(exported, CONTRACT)), evaluation)
    client, model = open_store(tracking_uri), manifest.lineage.registered_model
    project.artifacts.mkdir(parents=True, exist_ok=True)
    with locked(project.artifacts / f".register-{model}.lock"), store_errors(tracking_uri):
        return _register(client, project, model, submission)


def _register(client: "StoreClient", project: Project, model: str, submission: _Submission) -> Registration:
    manifest, versions = submission.model, versions_of(client, model)
    run_id = run_of(client, manifest, project.root / "mlruns")
    tags = version_tags(manifest, run_id, submission.export.files[GRAPH_FILE])
    version, champion = find_version(versions, tags), champion_of(client, model)
    earlier = _earlier_registration(version, champion)
    if earlier is not None:
        return earlier
    number = None if version is None else str(version.version)
    look = look_number(project, manifest.lineage, versions) if version is None else look_of(version, versions)
    comparison = number_after(look, manifest.lineage.data_identity, versions)
    verdict = judge(client, submission.candidate(comparison), versions, number, champion, manifest.experiment.gates)
    if version is None:
        evidence, task = submission.evidence(), manifest.experiment.definition.task
        nll = {TEST_NLL: repr(evidence.mean_nll(task))} if isinstance(evidence, PerSampleScores) else {}
        told = {**tags, **nll, **_for_lists(submission), TEST_LOOKS: str(look)}
        version = _add_version(client, project, model, submission, verdict, told)
    return _finish_registration(client, version, verdict, champion)


def _for_lists(submission: _Submission) -> dict[str, str]:
    """Tags by which a list of versions says what can be compared, without a look into the files of each."""
    auroc = submission.evaluation.metrics.get(MEASURED_AUROC)
    found = {TEST_AUROC: f"{auroc:.6g}"} if auroc is not None else {}
    return {SAMPLE_SHAPE: "x".join(map(str, submission.model.event_shape)), **found}


def find_version(versions: list[StoredVersion], tags: Mapping[str, str]) -> StoredVersion | None:
    """The version of the same run, checkpoint and graph as `tags` say, if there is one."""
    keys = (RUN, CHECKPOINT, GRAPH)
    return next((one for one in versions if all(one.tags.get(key) == tags[key] for key in keys)), None)


def _named(paths: list[Path], name: str) -> Path:
    found = next((path for path in paths if path.name == name), None)
    if found is None:
        raise RegistryError(f"manifest: lists no {name}; run the step that writes it again")
    return found


def _require_exported(export: ExportManifest) -> None:
    """The main graph is there and does what torch does: nothing else is worth a version."""
    if GRAPH_FILE not in export.files:
        raise RegistryError(f"export manifest: lists no {GRAPH_FILE}; run `vaeforge export` again")
    apart = [name for name in export.files if name.endswith(DATA_SUFFIX)]
    if apart:
        raise RegistryError(
            f"export manifest: {apart[0]} holds weights beside their graph, as graphs above 2 GB need; versions hold "
            "one file a graph: register a smaller model; nothing was registered"
        )
    if export.parity is None or not export.parity.passed:
        raise RegistryError(
            "export manifest: parity was not shown, the graphs do not compute what torch computes; "
            "run `vaeforge export` again and see its parity.json; nothing was registered"
        )


def _checked_files(
    project: Project, manifest: TrainedModelManifest, made: ExportManifest | EvaluationManifest
) -> list[Path]:
    """The files that a step's manifest lists, unchanged since it was written."""
    step, checkpoint, expected = made.step, made.lineage.checkpoint.sha256, manifest.checkpoint.sha256
    if checkpoint != expected:
        raise RegistryError(
            f"{step} manifest: made from checkpoint {checkpoint}, but the one to register is "
            f"{expected}; run `vaeforge {step}` for it"
        )
    folder = project.root / made.folder
    for name, digest in made.files.items():
        found = sha256_of(folder / name) if (folder / name).is_file() else "missing"
        if found != digest:
            raise RegistryError(f"{folder / name}: SHA-256 is {found}, must be {digest}; run `vaeforge {step}` again")
    return [folder / name for name in made.files]


def _add_version(
    client: "StoreClient",
    project: Project,
    model: str,
    submission: _Submission,
    verdict: Verdict,
    tags: dict[str, str],
) -> StoredVersion:
    """Log everything to the run of the model's trial, then make the version of it."""
    manifest, run_id = submission.model, tags[RUN]
    log_metrics(client, run_id, measured_metrics(submission.evaluation), manifest.checkpoint.epoch)
    log_data(client, run_id, manifest.lineage, project.data(manifest.family).relative_to(project.root))
    log_figures(client, run_id, submission.evaluated)
    extra = [path for path in (*submission.exported, *submission.evaluated) if path != submission.graph]
    extra += submission.patch
    latent_dim, texts = submission.export.latent_dim, submission.texts(verdict)
    texts[HASHES] = _hashes(extra, texts)
    tags[FILES] = hashlib.sha256(texts[HASHES].encode()).hexdigest()
    model_id = log_graph(client, run_id, manifest, latent_dim, submission.graph, extra, texts)
    description = describe(manifest, submission.export, submission.evaluation, int(tags[TEST_LOOKS]))
    return _create_version(client, model, model_id, run_id, tags, description)


def patch_withheld(project: Project, lineage: Lineage, upload: UploadPatch) -> str:
    """Why what differed from the commit does not go into the registry; empty if it does, or there is nothing."""
    path = _kept_patch(project, lineage)
    return withheld(path.read_bytes(), upload) if path is not None else ""


def _kept_patch(project: Project, lineage: Lineage) -> Path | None:
    path = project.search(str(lineage.search)) / PATCH
    return path if lineage.git.patch and path.is_file() else None


def _hashes(extra: Sequence[Path], texts: Mapping[str, str]) -> str:
    """The SHA-256 of each file beside the graph, by name, as JSON."""
    digests = {path.name: sha256_of(path) for path in extra}
    digests |= {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    return json.dumps(digests, indent=2, sort_keys=True)


def _create_version(
    client: "StoreClient", model: str, model_id: str, run_id: str, tags: dict[str, str], description: str
) -> StoredVersion:
    from mlflow import MlflowException

    from vaeforge.track.store_client import stored_version

    try:
        told = "Exported by vaeforge; see each version's tags for its lineage."
        learned = {DATA_SET: tags[DATA_SET]} if DATA_SET in tags else {}
        line = f"Versions that learned from the data set {tags[DATA_SET]}. " if learned else ""
        client.create_registered_model(model, tags=learned, description=f"{line}{told}")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"models:/{model_id}"
    with tracking_at(client.tracking_uri), one_try():  # a database looks the source up in the global store
        try:
            return stored_version(
                client.create_model_version(
                    model, source, run_id=run_id, tags=tags, description=description, model_id=model_id
                )
            )
        except MlflowException:  # its answer may be lost alone: a second request would be a second version
            made = find_version(versions_of(client, model), tags)
            if made is None:
                raise
            return made


def _earlier_registration(version: StoredVersion | None, champion: str | None) -> Registration | None:
    """What came of an earlier registration; one that was champion before is left as it is, for it may have been
    rolled back since."""
    earlier = "" if version is None else version.tags.get(VERDICT, "")
    if version is None or not earlier:
        return None
    number = str(version.version)
    if not earlier.startswith(CHAMPION) and champion != number:
        return None
    return Registration(version.name, number, champion == number, (f"registered before as {earlier}",))


def _finish_registration(
    client: "StoreClient", version: StoredVersion, verdict: Verdict, champion: str | None
) -> Registration:
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
    if TEST_COMPARISON not in version.tags:  # what its first judgement spent stays spent
        client.set_model_version_tag(name, number, TEST_COMPARISON, verdict.comparison)
    if verdict.power is not None:
        client.set_model_version_tag(name, number, TEST_POWER, f"{verdict.power:.3g}")
    text = f"{CHAMPION if promoted else CHALLENGER}: {'; '.join(reasons)}"
    client.set_model_version_tag(name, number, VERDICT, text[:LONGEST_TAG])
    return Registration(name, number, promoted, reasons)


def _promoted(
    client: "StoreClient", name: str, number: str, champion: str | None, verdict: Verdict
) -> tuple[bool, tuple[str, ...]]:
    """Whether the version became champion; where somebody else was faster it stays challenger, and that is why."""
    try:
        promote(client, name, number, champion, user(), "registration", verdict)
    except ConflictError as error:
        return False, (str(error),)
    return True, verdict.reasons
