"""Files of a registered version besides its graphs, read back and checked: manifests, and what gates need."""

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vaeforge.errors import RegistryError, VaeforgeError
from vaeforge.evaluation.manifest import EvaluationManifest, read_evaluation
from vaeforge.evaluation.per_sample_scores import EVIDENCE_FILE, PerSampleScores, read_per_sample_scores
from vaeforge.evaluation.threshold import THRESHOLD_METRIC
from vaeforge.manifests.export import ExportManifest, read_export
from vaeforge.manifests.trained_model import TrainedModelManifest, read_trained_model
from vaeforge.package.bundle import EXTRA, WINNER
from vaeforge.paths import sha256_of
from vaeforge.records import Metrics
from vaeforge.registry.comparison_gate import Incumbent
from vaeforge.registry.gate import GateCandidate
from vaeforge.registry.mlflow_calls import store_errors, tracking_at
from vaeforge.registry.tags import DATA_IDENTITY, OBJECTIVE, VAL_NELBO, number_in
from vaeforge.track.store_reader import StoredVersion, StoreReader

EXPORT, EVALUATION, CARD_TEXT = "export_manifest.json", "evaluate_manifest.json", "MODEL_CARD.md"
AGREEMENT = 1e-9


@dataclass(frozen=True)
class VersionManifests:
    """The manifests that a version was registered with."""

    model: TrainedModelManifest
    export: ExportManifest
    evaluation: EvaluationManifest


def candidate_of(
    manifest: TrainedModelManifest,
    export: ExportManifest,
    evaluation: EvaluationManifest,
    evidence: "PerSampleScores | str",
    comparison: int,
) -> GateCandidate:
    """What the gates look at.

    Args:
        manifest: of the model.
        export: the manifest of its export.
        evaluation: the manifest of its evaluation.
        evidence: of its test samples, or the reason why there is none.
        comparison: k, one more than versions were refused on its test set before.
    """
    latency = export.latency_ms
    return GateCandidate(
        task=manifest.experiment.definition.task,
        dimensions=math.prod(manifest.event_shape),
        data_identity=manifest.lineage.data_identity,
        metrics={**manifest.finite_metrics, **evaluation.metrics},
        parity=export.parity is not None and export.parity.passed,
        evidence=evidence if isinstance(evidence, PerSampleScores) else None,
        problem=evidence if isinstance(evidence, str) else "",
        comparison=comparison,
        size_bytes=export.size_bytes,
        latency_ms=None if latency is None else latency.single_p95,
    )


def measured_metrics(evaluation: EvaluationManifest) -> Metrics:
    """What evaluation adds to the run's own curves; `val/...` the run has already, but for the threshold."""
    metrics = evaluation.metrics
    return {key: value for key, value in metrics.items() if key.startswith("test/") or key.startswith(THRESHOLD_METRIC)}


def version_manifests(reader: StoreReader, version: StoredVersion) -> VersionManifests:
    """The manifests of `version`.

    Raises:
        RegistryError: if it carries none, as versions do that were registered by other means, or they are damaged.
    """
    remedy = "register the model again"
    with _downloaded(reader, version, WINNER, EXPORT, EVALUATION) as (model, export, evaluation):
        return VersionManifests(
            read_trained_model(model, remedy, RegistryError),
            read_export(export, remedy, RegistryError),
            read_evaluation(evaluation, remedy, RegistryError),
        )


def scores_of_version(
    reader: StoreReader, version: StoredVersion, evaluation: EvaluationManifest
) -> "PerSampleScores | str":
    """The evidence of `version`, unchanged since its evaluation, or why there is none."""
    expected = evaluation.files.get(f"arrays/{EVIDENCE_FILE}")
    if expected is None:
        return "was evaluated without evidence"
    try:
        with _downloaded(reader, version, EVIDENCE_FILE) as (path,):
            found = sha256_of(path)
            return (
                read_per_sample_scores(path)
                if found == expected
                else f"SHA-256 of its evidence is {found}, not {expected}"
            )
    except VaeforgeError as error:
        return str(error)


def best_incumbent(
    reader: StoreReader, versions: list[StoredVersion], data_identity: str, judged: str | None
) -> Incumbent | None:
    """The version with the lowest `val/nelbo` ever registered on these data, archived or not; none if none is.

    Chosen on the validation samples: the best of many on the test samples would owe part of that to chance, and an
    equally good version would seem worse on them. `judged` is the version that is compared, which is no rival of
    itself. A version whose number is not known makes the best one unknown, and that is what is returned.
    """
    same = [one for one in versions if one.tags.get(DATA_IDENTITY) == data_identity and str(one.version) != judged]
    told = {one.version: number_in(one.tags, VAL_NELBO) for one in same}
    known = {version: value for version, value in told.items() if value is not None and math.isfinite(value)}
    unknown = [str(version) for version in told if version not in known]
    if unknown:
        problem = f"has no finite tag {VAL_NELBO}, so which version is best is not known; delete it if it is no good"
        return Incumbent(f"version {unknown[0]}", None, problem)
    if not same:
        return None
    best = min(same, key=lambda one: known[one.version])
    return _incumbent(reader, best, known[best.version])


def _incumbent(reader: StoreReader, version: StoredVersion, expected: float) -> Incumbent:
    name = f"version {version.version}"
    try:
        manifests = version_manifests(reader, version)
        found = scores_of_version(reader, version, manifests.evaluation)
    except VaeforgeError as error:
        return Incumbent(name, None, str(error))
    if isinstance(found, str):
        return Incumbent(name, None, found)
    measured = manifests.model.metrics.get(OBJECTIVE)
    if measured is None or not math.isclose(measured, expected, rel_tol=AGREEMENT):
        return Incumbent(name, None, f"its tag {VAL_NELBO} says {expected:.9g}, its manifest {measured}")
    return Incumbent(name, found)


@contextmanager
def _downloaded(reader: StoreReader, version: StoredVersion, *names: str) -> Iterator[list[Path]]:
    """Some of the files beside a version's graph: where they lie on this machine, else in a folder that goes again."""
    uri, here = version.uri, version.folder_here
    if here is not None:
        paths = [here / EXTRA / name for name in names]
        for path in paths:
            if not path.is_file():
                raise _lacking(uri, path.name, "it is not there")
        yield paths
        return
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        paths = []
        with tracking_at(reader.tracking_uri), store_errors(reader.tracking_uri, f"{uri}: cannot be read"):
            for name in names:
                try:
                    found = mlflow.artifacts.download_artifacts(f"{uri}/{EXTRA}/{name}", dst_path=folder)
                except OSError as error:
                    raise _lacking(uri, name, str(error)) from error
                paths.append(Path(found))
        yield paths


def _lacking(uri: str, name: str, why: str) -> RegistryError:
    return RegistryError(f"{uri}: holds no {name} ({why}); register the model again")
