"""Links of a trace that lead through a search's ledger: search, trial and space, each computed again from its lines."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

from vaeforge.config.retired import without_retired
from vaeforge.errors import VaeforgeError
from vaeforge.ledger.events import SearchHeader
from vaeforge.ledger.history import SearchHistory, read_history
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.manifests.trained_model import TrainedModelManifest
from vaeforge.paths import Project, hash_of, sha256_of
from vaeforge.registry.tags import OBJECTIVE
from vaeforge.registry.trace_link import TraceLink
from vaeforge.search.configuration import configuration_hash, learned
from vaeforge.search.space.space import parse_space
from vaeforge.search.space.trial_experiment import experiment_for, trial_seed, trial_settings
from vaeforge_models.schedules import Schedule

RECORDED = ("configuration_hash", "data_identity", "data_hash", "data_set", "code_hash")


def history_of(manifest: TrainedModelManifest, project: Project) -> SearchHistory:
    """The history of the search that made a model; an empty one where its ledger is not here."""
    search = manifest.lineage.search
    return read_history(project.search(search) / "ledger.jsonl") if search else SearchHistory()


def search_link(manifest: TrainedModelManifest, history: SearchHistory, project: Project) -> TraceLink:
    """Whether the ledger says what the manifest does of the search, and agrees with itself."""
    name = str(manifest.lineage.search or "")
    if history.header is None:
        return TraceLink("search", name, "missing", f"its ledger is not in {project.search(name)}")
    problem = next(_search_differences(manifest, history, history.header), None)
    if problem is not None:
        return TraceLink("search", name, "differs", problem)
    if history.header.configuration_hash is None:
        return TraceLink("search", name, "at hand", "its ledger is of an older build and holds no configuration hash")
    told = "its ledger has the same configuration, computed again, data and code; its values are what epochs reported"
    return TraceLink("search", name, "verified", told)


def _search_differences(manifest: TrainedModelManifest, history: SearchHistory, header: SearchHeader) -> Iterator[str]:
    """Each way in which the ledger is another one, or was changed."""
    lineage = manifest.lineage
    for key in RECORDED:
        found, expected = getattr(header, key), getattr(lineage, key)
        if found != expected:
            yield f"{key} is {found} in the ledger, not {expected}"
    if header.git is not None and header.git != lineage.git:
        yield f"commit and changes are {header.git} in the ledger, not {lineage.git}"
    if header.lock_sha256 != manifest.lock_sha256:
        yield f"lock_sha256 is {header.lock_sha256} in the ledger, not {manifest.lock_sha256}"
    if header.configuration_hash is not None:
        found = configuration_hash(header.settings, header.space)
        if found != header.configuration_hash:
            yield f"settings and space of the ledger have the configuration hash {found}, not what it says"
    if history.damaged:
        yield f"{history.damaged} line(s) of its ledger are damaged, so that what they said is lost"
    for trial in history.trials.values():
        yield from _values_from_nowhere(trial)


def _values_from_nowhere(trial: TrialRecord) -> Iterator[str]:
    """A trial's value is the best, or newest, that one of its epochs reported, or that it inherited."""
    inherited = [decision.inherited.metrics for decision in trial.decisions.values() if decision.inherited]
    reported = {metrics.get(OBJECTIVE) for metrics in (*(r.metrics for r in trial.reports.values()), *inherited)}
    for value in (*(report.value for report in trial.reports.values()), trial.final_value):
        if value is not None and value not in reported:
            yield f"the ledger's value {value!r} of trial {trial.number} is the {OBJECTIVE} of none of its epochs"


def trial_link(manifest: TrainedModelManifest, history: SearchHistory, project: Project) -> TraceLink:
    """Whether the ledger has the trial with this very model, and whether its checkpoint's file is here."""
    number, expected = manifest.lineage.trial, manifest.checkpoint.sha256
    name = "" if number is None else f"{manifest.lineage.search}#{number}"
    trial = None if number is None else history.trials.get(number)
    if trial is None or history.header is None:
        return TraceLink("trial", name, "missing", "no ledger at hand has it")
    problem = next(_trial_differences(manifest, trial), None)
    try:
        problem = problem or next(_settings_differences(manifest, history.header, trial), None)
    except (VaeforgeError, ValueError, KeyError) as error:
        told = f"the ledger has its checkpoint and metrics; its settings are another version's ({error})"
        return TraceLink("trial", name, "at hand", told)
    if problem is not None:
        return TraceLink("trial", name, "differs", problem)
    path = manifest.checkpoint.within(project.root).path
    has = "the ledger has its checkpoint, metrics and settings"
    if not path.is_file():
        return TraceLink("trial", name, "verified", f"{has}; the checkpoint's file is not here")
    if sha256_of(path) != expected:
        return TraceLink("trial", name, "differs", f"{path} is not the checkpoint that the ledger has")
    return TraceLink("trial", name, "verified", f"{has}; the checkpoint's file is unaltered")


def _trial_differences(manifest: TrainedModelManifest, trial: TrialRecord) -> Iterator[str]:
    best, expected = trial.best, manifest.checkpoint
    if best is None or (best.sha256, best.epoch) != (expected.sha256, expected.epoch):
        yield f"its ledger has no best checkpoint {expected.sha256} of epoch {expected.epoch}"
    if dict(manifest.params) != trial.params:
        yield f"its parameters are {trial.params} in the ledger, not {dict(manifest.params)}"
    found = trial.best_metrics
    for name in sorted({*found, *manifest.metrics}):
        if found.get(name) != manifest.metrics.get(name):
            yield f"{name} is {found.get(name)!r} in the ledger, not {manifest.metrics.get(name)!r}"


def _settings_differences(manifest: TrainedModelManifest, header: SearchHeader, trial: TrialRecord) -> Iterator[str]:
    """Sections of the experiment that are others than the ledger's settings, space and parameters give."""
    base, space = without_retired(header.settings["experiment"]), parse_space(header.space, "ledger")
    seed = trial_seed(int(header.settings["search"]["seed"]), trial.number)
    if _same_as_written(trial_settings(space, base, trial.params, seed), without_retired(manifest.settings)):
        return
    from vaeforge.config.experiment import Experiment  # with torch, for defaults that one of them leaves out

    again = experiment_for(space, Experiment.model_validate(base), trial.params, seed)
    found, told = (
        learned({"experiment": one.model_dump(mode="json")})["experiment"] for one in (again, manifest.experiment)
    )
    for section in found:
        if found[section] != told[section]:
            yield f"its {section} settings are {found[section]} by the ledger, not {told[section]}"


def _same_as_written(again: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    """Whether settings are the same before they are typed, which makes them the same afterwards."""
    kinds = TypeAdapter[Any](Schedule)
    found, known = (
        {**learned({"experiment": one})["experiment"], "beta": kinds.validate_python(one["beta"])}
        for one in (again, told)
    )
    return found == known


def space_link(manifest: TrainedModelManifest, history: SearchHistory) -> TraceLink:
    """Whether what was searched has the recorded hash, in the manifest and in the ledger."""
    name, header = str(manifest.lineage.space_hash or ""), history.header
    contents = {"manifest": manifest.space, "ledger": header.space if header else None}
    known = {where: content for where, content in contents.items() if content is not None}
    if not name:
        return TraceLink("space", "", "unknown", "was not recorded")
    if not known:
        return TraceLink("space", name, "missing", "neither the manifest nor a ledger holds its content")
    for where, content in known.items():
        if hash_of(content) != name:
            return TraceLink("space", name, "differs", f"the hash of its content in the {where} is {hash_of(content)}")
    parameters = len(next(iter(known.values())).get("space", {}))
    return TraceLink("space", name, "verified", f"its content has this hash; it names {parameters} parameters")
