"""Where a model comes from, link by link: version, run, trial, search, space, code, data. Each link is looked at.

A link is `verified` where what it names is at hand and was compared, `at hand` where it is there and says nothing that
could be compared, `missing` where it is not here, `unknown` where nobody recorded it, and `differs` where what is here
is something else.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from vaeforge.config.experiment import Experiment
from vaeforge.data.data_hash import data_identity, list_files
from vaeforge.data.data_source import describe_source
from vaeforge.data.dvc_location import where_kept
from vaeforge.errors import VaeforgeError
from vaeforge.ledger.events import EpochReported, LedgerEvent, SearchHeader, TrialDecided, TrialSubmitted
from vaeforge.ledger.file import read_events
from vaeforge.paths import Project, hash_of, sha256_of
from vaeforge.provenance import LOCK, code_hash, commit_code_hash, git, lock_hash
from vaeforge.registry.lineage import version_tags
from vaeforge.registry.resolve_model import Subject, patch_of
from vaeforge.registry.trace_run import run_link

State = Literal["verified", "at hand", "missing", "unknown", "differs"]


@dataclass(frozen=True)
class Link:
    """One thing that a model comes from.

    Attributes:
        kind: version, run, trial, search, space, commit, changes, code, packages, data, dvc or source.
        name: its identifier; empty where nobody recorded it.
        state: see the module's docstring.
        detail: what was looked at, in words.
        origins: what it comes from itself.
    """

    kind: str
    name: str
    state: State
    detail: str
    origins: tuple["Link", ...] = ()

    def all(self) -> list["Link"]:
        """This link and all behind it."""
        return [self, *(link for origin in self.origins for link in origin.all())]

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def trace(subject: Subject, project: Project, tracking_uri: str) -> Link:
    """The chain behind `subject`; what cannot be found is a state of its link, and never an error."""
    winner = subject.winner
    code = replace(
        _commit(winner, project),
        origins=(_changes(subject, project), _code(winner, project), _packages(subject, project)),
    )
    data = replace(_data(winner, project), origins=(_dvc(winner, project), _source(winner, project)))
    events = _events(winner, project)
    search = replace(_search(winner, events, project), origins=(_space(winner, events), code, data))
    trial = replace(_trial(winner, events, project), origins=(search,))
    run_id = subject.version.run_id if subject.version else (winner.get("mlflow") or {}).get("run_id")
    state, detail = run_link(tracking_uri, run_id, winner)
    run = Link("run", run_id or "", state, detail, (trial,))
    return run if subject.version is None else replace(_version(subject), origins=(run,))


def _version(subject: Subject) -> Link:
    """Whether the tags of a version say what the manifest says that it carries."""
    version, winner = subject.version, subject.winner
    assert version is not None
    expected = version_tags(winner, version.run_id, "")
    wrong = [key for key, value in expected.items() if value and version.tags.get(key, value) != value]
    name = f"{version.name} version {version.version}"
    if wrong:
        key = wrong[0]
        return Link("version", name, "differs", f"tag {key} is {version.tags[key]}, its manifest says {expected[key]}")
    return Link("version", name, "verified", "its graph is as its tag says, and its tags as its manifest")


def _events(winner: Mapping[str, Any], project: Project) -> list[LedgerEvent]:
    ledger = project.search(str(winner["search"])) / "ledger.jsonl"
    return list(read_events(ledger)) if winner["search"] and ledger.is_file() else []


def _header(events: list[LedgerEvent]) -> SearchHeader | None:
    return next((event for event in events if isinstance(event, SearchHeader)), None)


def _search(winner: Mapping[str, Any], events: list[LedgerEvent], project: Project) -> Link:
    name, header = str(winner["search"] or ""), _header(events)
    if header is None:
        return Link("search", name, "missing", f"its ledger is not in {project.search(name)}")
    for key in ("configuration_hash", "data_identity", "code_hash"):
        if getattr(header, key) != winner.get(key):
            found = getattr(header, key)
            return Link("search", name, "differs", f"{key} is {found} in the ledger, not {winner.get(key)}")
    return Link("search", name, "verified", "its ledger has the same configuration, data and code")


def _trial(winner: Mapping[str, Any], events: list[LedgerEvent], project: Project) -> Link:
    """Whether the ledger has the trial end with this very checkpoint, and whether its file is here."""
    number, expected = winner.get("trial"), winner["checkpoint"]["sha256"]
    name = "" if number is None else f"{winner['search']}#{number}"
    if not any(isinstance(event, TrialSubmitted) and event.trial == number for event in events):
        return Link("trial", name, "missing", "no ledger at hand has it")
    best = [event.best for event in events if isinstance(event, EpochReported) and event.trial == number]
    decisions = [event for event in events if isinstance(event, TrialDecided) and event.trial == number]
    best += [decision.inherited.best for decision in decisions if decision.inherited]
    if expected not in {checkpoint.sha256 for checkpoint in best if checkpoint}:
        return Link("trial", name, "differs", f"its ledger has no best checkpoint {expected}")
    path = project.root / winner["checkpoint"]["path"]
    if not path.is_file():
        return Link("trial", name, "verified", "the ledger has its checkpoint, whose file is not here")
    if sha256_of(path) != expected:
        return Link("trial", name, "differs", f"{path} is not the checkpoint that the ledger has")
    return Link("trial", name, "verified", "the ledger has its checkpoint, and the file is unaltered")


def _space(winner: Mapping[str, Any], events: list[LedgerEvent]) -> Link:
    name, header = str(winner.get("space_hash") or ""), _header(events)
    content = winner.get("space") or (header.space if header else None)
    if not name:
        return Link("space", "", "unknown", "was not recorded")
    if content is None:
        return Link("space", name, "missing", "neither the manifest nor a ledger holds its content")
    if hash_of(content) != name:
        return Link("space", name, "differs", f"the hash of its content is {hash_of(content)}")
    return Link(
        "space", name, "verified", f"its content has this hash; it names {len(content.get('space', {}))} parameters"
    )


def _commit(winner: Mapping[str, Any], project: Project) -> Link:
    commit = winner["git"]["commit"]
    if commit is None:
        return Link("commit", "", "unknown", "the project was in no git repository")
    if git(project.root, "cat-file", "-e", f"{commit}^{{commit}}") is None:
        return Link("commit", commit, "missing", f"{project.root} has no such commit; `git fetch` may bring it")
    date = git(project.root, "show", "--no-patch", "--format=%cs", commit) or b""
    return Link("commit", commit, "verified", f"in git, of {date.decode().strip()}")


def _changes(subject: Subject, project: Project) -> Link:
    """What differed from the commit."""
    state = subject.winner["git"]
    if state["dirty"] is None:
        return Link("changes", "", "unknown", "git could not say whether files differed from the commit")
    if not state["dirty"]:
        return Link("changes", "none", "verified", "no tracked file differed from the commit")
    expected = state.get("diff_sha256")
    if expected is None:
        return Link("changes", "", "unknown", "tracked files differed from the commit, and nobody recorded how")
    if patch_of(subject, project) is None:
        return Link("changes", expected, "missing", "tracked files differed from the commit; no such patch is here")
    return Link("changes", expected, "verified", "tracked files differed from the commit; the patch is at hand")


def _code(winner: Mapping[str, Any], project: Project) -> Link:
    """Whether the code that ran is that which runs now, or which the commit holds."""
    expected, found, state = winner["code_hash"], code_hash(), winner["git"]
    if found == expected:
        return Link("code", expected, "verified", "vaeforge as it runs now is the same")
    if state["dirty"]:
        return Link(
            "code", expected, "missing", "vaeforge as it runs now is other code; commit and changes may give it"
        )
    if state["commit"] is not None and commit_code_hash(project.root, state["commit"]) == expected:
        return Link("code", expected, "verified", "the commit holds it; vaeforge as it runs now is other code")
    return Link("code", expected, "missing", "neither the commit holds it, nor is it vaeforge as it runs now")


def _packages(subject: Subject, project: Project) -> Link:
    expected, commit = subject.winner.get("lock_sha256"), subject.winner["git"]["commit"]
    if expected is None:
        return Link("packages", "", "unknown", f"no {LOCK} was recorded")
    if lock_hash(project.root) == expected:
        return Link("packages", expected, "verified", f"{LOCK} is the same now")
    content = git(project.root, "show", f"{commit}:{LOCK}") if commit else None
    if content is not None and hashlib.sha256(content).hexdigest() == expected:
        return Link("packages", expected, "verified", f"{LOCK} of the commit; it is another one now")
    return Link("packages", expected, "missing", f"{LOCK} is another one, here and in the commit")


def _data(winner: Mapping[str, Any], project: Project) -> Link:
    """The data identity, computed again from the files here."""
    expected, folder = winner["data_identity"], project.data(winner["family"])
    if not folder.is_dir():
        return Link("data", expected, "missing", f"{folder} is not there; `dvc pull` may bring it")
    try:
        found = data_identity(list_files(folder), Experiment.model_validate(winner["experiment"]).prepare)
    except (VaeforgeError, ValueError) as error:
        return Link("data", expected, "missing", str(error))
    if found != expected:
        return Link("data", expected, "differs", f"of the files in {folder} now it is {found}")
    return Link("data", expected, "verified", f"computed again from the files in {folder}")


def _dvc(winner: Mapping[str, Any], project: Project) -> Link:
    expected = winner["data_hash"]
    if expected is None:
        return Link("dvc", "", "unknown", "the data were not what DVC tracks")
    found = where_kept(project.root, expected, winner["family"])
    if found.place is not None:
        return Link("dvc", expected, "verified", f"all files of the family are in DVC's {found.place}")
    return Link("dvc", expected, "missing", found.problem)


def _source(winner: Mapping[str, Any], project: Project) -> Link:
    source = winner.get("source")
    if not source:
        return Link("source", "", "unknown", "nobody recorded what the data say of themselves")
    told = [*source["texts"], *(f"import {name}" for name in source["imports"])]
    detail = f"{source['files']} files, {source['bytes']} bytes; described by {', '.join(told) or 'nothing'}"
    if not project.data(winner["family"]).is_dir():
        return Link("source", source["folder"], "missing", detail)
    same = describe_source(project, winner["family"])["texts"] == source["texts"]
    return Link("source", source["folder"], "verified" if same else "differs", detail)
