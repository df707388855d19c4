"""Trace of a model, link by link: version, evaluation, run, trial, search, space, code, data; see `TraceLink`.

What is said of a link is computed again from what lies behind it wherever that is here: nothing is taken for verified
because two records that may both have been changed say the same.
"""

import hashlib
from dataclasses import replace

from vaeforge.data.data_hash import data_identity, list_files
from vaeforge.data.data_sets import DataSetName, folder_of
from vaeforge.data.data_source import describe_source
from vaeforge.data.dvc_location import where_kept
from vaeforge.errors import VaeforgeError
from vaeforge.manifests.trained_model import TrainedModelManifest
from vaeforge.paths import Project
from vaeforge.provenance import LOCK, code_hash, commit_code_hash, git, lock_hash
from vaeforge.registry.mlflow_calls import store_errors
from vaeforge.registry.resolve_model import TracedModel, patch_of
from vaeforge.registry.search_links import history_of, search_link, space_link, trial_link
from vaeforge.registry.tags import OBJECTIVE
from vaeforge.registry.trace_link import NO_COMMIT, State, TraceLink
from vaeforge.registry.version_links import evaluation_link, version_link
from vaeforge.track.open_reader import open_reader
from vaeforge.track.store import redact


def trace(model: TracedModel, project: Project, tracking_uri: str) -> TraceLink:
    """The chain behind `model`; what cannot be found is a state of its link, and never an error."""
    manifest = model.manifest
    code = replace(
        _commit(manifest, project),
        origins=(_changes(model, project), _code(manifest, project), _packages(model, project)),
    )
    data = replace(_data(manifest, project), origins=(_dvc(manifest, project), _source(manifest, project)))
    history = history_of(manifest, project)
    search = replace(search_link(manifest, history, project), origins=(space_link(manifest, history), code, data))
    trial = replace(trial_link(manifest, history, project), origins=(search,))
    run_id = model.version.run_id if model.version else manifest.lineage.mlflow.run_id
    run = replace(_run(tracking_uri, run_id, manifest), origins=(trial,))
    if model.version is None:
        return run
    evaluation = evaluation_link(model, model.version, tracking_uri)
    return replace(version_link(model, model.version), origins=(run, evaluation))


def _commit(manifest: TrainedModelManifest, project: Project) -> TraceLink:
    commit = manifest.lineage.git.commit
    if commit is None:
        problem = manifest.lineage.git.problem
        return TraceLink("commit", "", "unknown", problem or NO_COMMIT)
    if git(project.root, "cat-file", "-e", f"{commit}^{{commit}}") is None:
        return TraceLink("commit", commit, "missing", f"{project.root} has no such commit; `git fetch` may bring it")
    date = git(project.root, "show", "--no-patch", "--format=%cs", commit) or b""
    return TraceLink("commit", commit, "verified", f"in git, of {date.decode().strip()}")


def _changes(model: TracedModel, project: Project) -> TraceLink:
    """What differed from the commit."""
    state = model.manifest.lineage.git
    if state.dirty is None:
        return TraceLink("changes", "", "unknown", "git could not say whether files differed from the commit")
    if not state.dirty:
        return TraceLink("changes", "none", "verified", "no tracked file differed from the commit")
    expected = state.diff_sha256
    if expected is None:
        return TraceLink("changes", "", "unknown", "tracked files differed from the commit; how was not recorded")
    if patch_of(model, project) is None:
        return TraceLink(
            "changes", expected, "missing", "tracked files differed from the commit; no such patch is here"
        )
    return TraceLink("changes", expected, "verified", "tracked files differed from the commit; the patch is at hand")


def _code(manifest: TrainedModelManifest, project: Project) -> TraceLink:
    """Whether the code that ran is that which runs now, or which the commit holds."""
    expected, found, state = manifest.lineage.code_hash, code_hash(), manifest.lineage.git
    if found == expected:
        return TraceLink("code", expected, "verified", "vaeforge as it runs now is the same")
    if state.dirty:
        return TraceLink(
            "code", expected, "missing", "vaeforge as it runs now is other code; commit and changes may give it"
        )
    if state.commit is not None and commit_code_hash(project.root, state.commit) == expected:
        return TraceLink("code", expected, "verified", "the commit holds it; vaeforge as it runs now is other code")
    return TraceLink("code", expected, "missing", "neither the commit holds it, nor is it vaeforge as it runs now")


def _packages(model: TracedModel, project: Project) -> TraceLink:
    expected, commit = model.manifest.lock_sha256, model.manifest.lineage.git.commit
    if expected is None:
        return TraceLink("packages", "", "unknown", f"no {LOCK} was recorded")
    if lock_hash(project.root) == expected:
        return TraceLink("packages", expected, "verified", f"{LOCK} is the same now")
    content = git(project.root, "show", f"{commit}:{LOCK}") if commit else None
    if content is not None and hashlib.sha256(content).hexdigest() == expected:
        return TraceLink("packages", expected, "verified", f"{LOCK} of the commit; it is another one now")
    return TraceLink("packages", expected, "missing", f"{LOCK} is another one, here and in the commit")


def _data(manifest: TrainedModelManifest, project: Project) -> TraceLink:
    """The data identity, computed again from the files here."""
    expected, folder = manifest.lineage.data_identity, project.data(manifest.family)
    data_set = manifest.lineage.data_set
    if not folder.is_dir():
        return TraceLink("data", expected, "missing", f"{folder} is not there; `dvc pull` may bring it")
    try:
        listing = list_files(folder, folder_of(data_set))
        found = data_identity(listing, manifest.settings.get("prepare", {}))
        if found != expected:  # settings of an earlier version, which lack some; typing them takes torch
            found = data_identity(listing, manifest.experiment.prepare)
    except (VaeforgeError, ValueError) as error:
        return TraceLink("data", expected, "missing", str(error))
    if found != expected:
        return TraceLink("data", expected, "differs", f"{_named(data_set)}of the files in {folder} now it is {found}")
    return TraceLink("data", expected, "verified", f"{_named(data_set)}computed again from the files in {folder}")


def _named(data_set: DataSetName | None) -> str:
    return "" if data_set is None else f"data set {data_set}: "


def _dvc(manifest: TrainedModelManifest, project: Project) -> TraceLink:
    expected = manifest.lineage.data_hash
    if expected is None:
        return TraceLink("dvc", "", "unknown", "the data were not what DVC tracks")
    found = where_kept(project.root, expected, manifest.family)
    if found.place is not None:
        return TraceLink("dvc", expected, "verified", f"all files of the family are in DVC's {found.place}")
    return TraceLink("dvc", expected, "missing", found.problem)


def _source(manifest: TrainedModelManifest, project: Project) -> TraceLink:
    source = manifest.source
    if not source:
        return TraceLink("source", "", "unknown", "what the data say of themselves was not recorded")
    told = [*source.texts, *(f"import {name}" for name in source.imports)]
    detail = f"{source.files} files, {source.bytes} bytes; described by {', '.join(told) or 'nothing'}"
    if not project.data(manifest.family).is_dir():
        return TraceLink("source", source.folder, "missing", detail)
    same = describe_source(project, manifest.family, manifest.lineage.data_set).texts == source.texts
    return TraceLink("source", source.folder, "verified" if same else "differs", detail)


def _run(uri: str, run_id: str | None, manifest: TrainedModelManifest) -> TraceLink:
    """Whether the store at `uri` has the run, and its curve the value that was handed on."""
    if not run_id:
        return TraceLink("run", "", "unknown", "the search was not tracked; `vaeforge sync` makes up for it")
    state, detail = _run_state(uri, run_id, manifest)
    return TraceLink("run", run_id, state, detail)


def _run_state(uri: str, run_id: str, manifest: TrainedModelManifest) -> tuple[State, str]:
    try:
        reader = open_reader(uri)
        with store_errors(uri, "cannot be read"):
            run, points = reader.stored_run(run_id), reader.metric_points(run_id, OBJECTIVE)
    except VaeforgeError as error:
        return "missing", f"not in {redact(uri)} ({redact(str(error)).splitlines()[0]})"
    if run is None:
        return "missing", f"not in {redact(uri)}"
    if run.lifecycle_stage != "active":
        return "missing", f"deleted in {redact(uri)}; `mlflow runs restore` brings it back"
    wanted, epoch = manifest.metrics.get(OBJECTIVE), manifest.checkpoint.epoch
    of_epoch = [point for point in points if point.step == epoch]
    if not of_epoch:
        return "at hand", f"in {redact(uri)}, without {OBJECTIVE} at epoch {epoch}"
    # an epoch that was trained again after a crash has two: the newest counts, as in the ledger
    found = max(of_epoch, key=lambda point: point.timestamp).value
    if found != wanted:
        return "differs", f"{OBJECTIVE} at epoch {epoch} is {found!r} in {redact(uri)}, not {wanted!r}"
    return "verified", f"in {redact(uri)}, with the same {OBJECTIVE} at epoch {epoch}"
