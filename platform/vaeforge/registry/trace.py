"""Trace of a model, link by link: version, run, trial, search, space, code, data. Each link is looked at.

A link is `verified` where what it names is at hand and was compared, `at hand` where it is there and says nothing that
could be compared, `missing` where it is not here, `unknown` if it was not recorded, and `differs` where what is here
is something else.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Literal

from vaeforge.data.data_hash import data_identity, list_files
from vaeforge.data.data_sets import DataSetName, folder_of
from vaeforge.data.data_source import describe_source
from vaeforge.data.dvc_location import where_kept
from vaeforge.errors import TrackingError, VaeforgeError
from vaeforge.ledger.events import EpochReported, LedgerEvent, SearchHeader, TrialDecided, TrialSubmitted
from vaeforge.ledger.file import read_events
from vaeforge.manifests.trained_model import TrainedModelManifest
from vaeforge.paths import Project, hash_of, sha256_of
from vaeforge.provenance import LOCK, code_hash, commit_code_hash, git, lock_hash
from vaeforge.registry.lineage import OBJECTIVE, version_tags
from vaeforge.registry.resolve_model import TracedModel, patch_of
from vaeforge.track.store import open_store, redact

State = Literal["verified", "at hand", "missing", "unknown", "differs"]


@dataclass(frozen=True)
class TraceLink:
    """One thing that a model comes from.

    Attributes:
        kind: version, run, trial, search, space, commit, changes, code, packages, data, dvc or source.
        name: its identifier; empty if it was not recorded.
        state: see the module's docstring.
        detail: what was looked at, in words.
        origins: what it comes from itself.
    """

    kind: str
    name: str
    state: State
    detail: str
    origins: tuple["TraceLink", ...] = ()

    def all(self) -> list["TraceLink"]:
        """This link and all behind it."""
        return [self, *(link for origin in self.origins for link in origin.all())]


def trace(model: TracedModel, project: Project, tracking_uri: str) -> TraceLink:
    """The chain behind `model`; what cannot be found is a state of its link, and never an error."""
    manifest = model.manifest
    code = replace(
        _commit(manifest, project),
        origins=(_changes(model, project), _code(manifest, project), _packages(model, project)),
    )
    data = replace(_data(manifest, project), origins=(_dvc(manifest, project), _source(manifest, project)))
    events = _events(manifest, project)
    search = replace(_search(manifest, events, project), origins=(_space(manifest, events), code, data))
    trial = replace(_trial(manifest, events, project), origins=(search,))
    run_id = model.version.run_id if model.version else manifest.lineage.mlflow.run_id
    run = replace(_run(tracking_uri, run_id, manifest), origins=(trial,))
    return run if model.version is None else replace(_version(model), origins=(run,))


def _version(model: TracedModel) -> TraceLink:
    """Whether the tags of a version say what the manifest says that it carries."""
    version, manifest = model.version, model.manifest
    assert version is not None
    expected = version_tags(manifest, version.run_id, "")
    wrong = [key for key, value in expected.items() if value and version.tags.get(key, value) != value]
    name = f"{version.name} version {version.version}"
    if wrong:
        key = wrong[0]
        return TraceLink(
            "version", name, "differs", f"tag {key} is {version.tags[key]}, its manifest says {expected[key]}"
        )
    return TraceLink("version", name, "verified", "its graph is as its tag says, and its tags as its manifest")


def _events(manifest: TrainedModelManifest, project: Project) -> list[LedgerEvent]:
    ledger = project.search(str(manifest.lineage.search)) / "ledger.jsonl"
    return list(read_events(ledger)) if manifest.lineage.search and ledger.is_file() else []


def _header(events: list[LedgerEvent]) -> SearchHeader | None:
    return next((event for event in events if isinstance(event, SearchHeader)), None)


def _search(manifest: TrainedModelManifest, events: list[LedgerEvent], project: Project) -> TraceLink:
    lineage, header = manifest.lineage, _header(events)
    name = str(lineage.search or "")
    if header is None:
        return TraceLink("search", name, "missing", f"its ledger is not in {project.search(name)}")
    for key in ("configuration_hash", "data_identity", "code_hash"):
        found, expected = getattr(header, key), getattr(lineage, key)
        if found != expected:
            return TraceLink("search", name, "differs", f"{key} is {found} in the ledger, not {expected}")
    return TraceLink("search", name, "verified", "its ledger has the same configuration, data and code")


def _trial(manifest: TrainedModelManifest, events: list[LedgerEvent], project: Project) -> TraceLink:
    """Whether the ledger has the trial end with this very checkpoint, and whether its file is here."""
    number, expected = manifest.lineage.trial, manifest.checkpoint.sha256
    name = "" if number is None else f"{manifest.lineage.search}#{number}"
    if not any(isinstance(event, TrialSubmitted) and event.trial == number for event in events):
        return TraceLink("trial", name, "missing", "no ledger at hand has it")
    best = [event.best for event in events if isinstance(event, EpochReported) and event.trial == number]
    decisions = [event for event in events if isinstance(event, TrialDecided) and event.trial == number]
    best += [decision.inherited.best for decision in decisions if decision.inherited]
    if expected not in {checkpoint.sha256 for checkpoint in best if checkpoint}:
        return TraceLink("trial", name, "differs", f"its ledger has no best checkpoint {expected}")
    path = manifest.checkpoint.within(project.root).path
    if not path.is_file():
        return TraceLink("trial", name, "verified", "the ledger has its checkpoint, whose file is not here")
    if sha256_of(path) != expected:
        return TraceLink("trial", name, "differs", f"{path} is not the checkpoint that the ledger has")
    return TraceLink("trial", name, "verified", "the ledger has its checkpoint, and the file is unaltered")


def _space(manifest: TrainedModelManifest, events: list[LedgerEvent]) -> TraceLink:
    name, header = str(manifest.lineage.space_hash or ""), _header(events)
    content = manifest.space or (header.space if header else None)
    if not name:
        return TraceLink("space", "", "unknown", "was not recorded")
    if content is None:
        return TraceLink("space", name, "missing", "neither the manifest nor a ledger holds its content")
    if hash_of(content) != name:
        return TraceLink("space", name, "differs", f"the hash of its content is {hash_of(content)}")
    return TraceLink(
        "space", name, "verified", f"its content has this hash; it names {len(content.get('space', {}))} parameters"
    )


def _commit(manifest: TrainedModelManifest, project: Project) -> TraceLink:
    commit = manifest.lineage.git.commit
    if commit is None:
        return TraceLink("commit", "", "unknown", "the project was in no git repository")
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
        found = data_identity(list_files(folder, folder_of(data_set)), manifest.experiment.prepare)
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
    from mlflow import MlflowException

    try:
        client = open_store(uri, existing=True)
        stage = client.get_run(run_id).info.lifecycle_stage
        points = client.get_metric_history(run_id, OBJECTIVE)  # of a run that does not exist that is empty
    except (MlflowException, TrackingError) as error:
        return "missing", f"not in {redact(uri)} ({redact(str(error)).splitlines()[0]})"
    if stage != "active":
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
