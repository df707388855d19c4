"""Links of a trace about a registered version itself: its tags, and what was measured of it, computed again."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from vaeforge.errors import RegistryError, TrackingError, VaeforgeError
from vaeforge.evaluation.auroc import auroc
from vaeforge.evaluation.manifest import EvaluationManifest, read_evaluation
from vaeforge.evaluation.per_sample_scores import EVIDENCE_FILE, PerSampleScores, read_per_sample_scores
from vaeforge.evaluation.tasks import task_named
from vaeforge.package.contract import CONTRACT, read_contract
from vaeforge.paths import sha256_of
from vaeforge.registry.lineage import version_tags
from vaeforge.registry.mlflow_calls import store_errors
from vaeforge.registry.one_threshold import require_one_threshold
from vaeforge.registry.resolve_model import TracedModel
from vaeforge.registry.tags import FILES, GRAPH, MEASURED_AUROC, TEST_NLL, number_in
from vaeforge.registry.trace_link import TraceLink
from vaeforge.registry.version_files import EVALUATION, measured_metrics
from vaeforge.track.open_reader import open_reader
from vaeforge.track.store import redact
from vaeforge.track.store_reader import StoredVersion

SAME = 1e-6  # relative: what the order of sums changes
OLDER = "versions of older builds lack it: `vaeforge register` registers the model again"
NELBO = "test/nelbo"


def version_link(model: TracedModel, version: StoredVersion) -> TraceLink:
    """Whether the tags of a version say what the manifest says that it carries; none may be missing.

    That its graph and its files are those of its tags was verified when they were fetched.
    """
    expected = version_tags(model.manifest, str(version.run_id), "")
    expected[GRAPH] = expected[FILES] = ""  # any: compared with the files themselves
    name = f"{version.name} version {version.version}"
    for key, value in expected.items():
        found = version.tags.get(key)
        if found is None:
            says = f", its manifest says {value}" if value else ""
            return TraceLink("version", name, "differs", f"tag {key} is missing{says}; {OLDER}")
        if value and found != value:
            return TraceLink("version", name, "differs", f"tag {key} is {found}, its manifest says {value}")
    told = "its graph and files are as its tags say, and its tags as its manifest"
    return TraceLink("version", name, "verified", told)


def evaluation_link(model: TracedModel, version: StoredVersion, uri: str) -> TraceLink:
    """Whether the test metrics of a version follow from its evidence, and its run has the same."""
    path = model.folder / EVALUATION
    if not path.is_file():
        return TraceLink("evaluation", "", "missing", f"the version holds no {EVALUATION}")
    name = sha256_of(path)
    try:
        evaluation = read_evaluation(path, "register the model again", RegistryError)
        problem = next(_differences(model, version, evaluation), None)
    except VaeforgeError as error:
        return TraceLink("evaluation", name, "differs", str(error))
    try:
        problem = problem or next(_differences_of_run(str(version.run_id), evaluation, uri), None)
    except (RegistryError, TrackingError) as error:
        return TraceLink("evaluation", name, "at hand", f"its run cannot be compared ({redact(str(error))})")
    if problem is not None:
        return TraceLink("evaluation", name, "differs", problem)
    told = f"its files are unaltered, its likelihood and AUROC follow from {EVIDENCE_FILE}, and its run has the same"
    return TraceLink("evaluation", name, "verified", told)


def _differences(model: TracedModel, version: StoredVersion, evaluation: EvaluationManifest) -> Iterator[str]:
    expected = model.manifest.checkpoint.sha256
    if evaluation.lineage.checkpoint.sha256 != expected:
        yield f"is of checkpoint {evaluation.lineage.checkpoint.sha256}, not {expected}"
    for listed, digest in evaluation.files.items():
        path = model.folder / Path(listed).name  # a version's files lie in one folder
        found = sha256_of(path) if path.is_file() else "missing"
        if found != digest:
            yield f"SHA-256 of {path.name} is {found}, its manifest says {digest}"
    contract = read_contract(model.folder / CONTRACT)
    require_one_threshold(contract, evaluation)
    if f"arrays/{EVIDENCE_FILE}" in evaluation.files:
        yield from _differences_of_evidence(version, evaluation, model.folder / EVIDENCE_FILE, contract.task)


def _differences_of_evidence(
    version: StoredVersion, evaluation: EvaluationManifest, path: Path, task: str
) -> Iterator[str]:
    """Numbers that do not follow from the scores of each test sample."""
    evidence = read_per_sample_scores(path)
    for name, value in _from_evidence(evidence, task).items():
        told = evaluation.metrics.get(name)
        if told is None or not _same(float(told), value, evidence):
            yield f"{name} is {told}, but {EVIDENCE_FILE} gives {value:.9g}"
    tag, mean = number_in(version.tags, TEST_NLL), evidence.mean_nll(task)
    if tag is None:
        yield f"tag {TEST_NLL} is missing, {EVIDENCE_FILE} gives {mean:.9g}; {OLDER}"
    elif not _same(tag, mean, evidence):
        yield f"tag {TEST_NLL} is {tag:.9g}, but {EVIDENCE_FILE} gives {mean:.9g}"


def _from_evidence(evidence: PerSampleScores, task: str) -> Mapping[str, float]:
    """The metrics that the scores of each test sample give."""
    found = {NELBO: float(evidence.nll.mean())}
    if task_named(task).detects_anomalies and {0, 1} == set(evidence.labels.tolist()):
        found[MEASURED_AUROC] = auroc(evidence.labels, evidence.score)
    return found


def _same(told: float, found: float, evidence: PerSampleScores) -> bool:
    scale = float(abs(evidence.nll).max(initial=1.0))
    return math.isclose(told, found, rel_tol=SAME, abs_tol=SAME * scale) or (math.isnan(told) and math.isnan(found))


def _differences_of_run(run_id: str, evaluation: EvaluationManifest, uri: str) -> Iterator[str]:
    """Metrics that the version's run in the store at `uri` does not have, or never had with that number.

    Raises:
        RegistryError, TrackingError: if the store or the run cannot be read.
    """
    reader = open_reader(uri)
    with store_errors(uri, "cannot be read"):
        run = reader.stored_run(run_id)
        if run is None:
            raise TrackingError(f"{redact(uri)}: there is no run {run_id}")
        for name, value in measured_metrics(evaluation).items():
            if not math.isfinite(value) or run.metrics.get(name) == value:
                continue
            # a model that was evaluated and registered again has several
            if value not in {point.value for point in reader.metric_points(run_id, name)}:
                yield f"{name} is {run.metrics.get(name, 'missing')} in run {run_id}, not {value}"
