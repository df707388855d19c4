"""Plan of a search before it runs: everything checked and named, nothing started."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from vaeforge.config.experiment import RunConfig, Search
from vaeforge.data.data_source import describe_source
from vaeforge.data.prepare import ensure_prepared, pull
from vaeforge.data.prepared import Prepared
from vaeforge.errors import ConfigError, ResourceError, SearchError
from vaeforge.ledger.checkpoint_places import checkpoint_root
from vaeforge.ledger.events import SearchExtent, SearchHeader
from vaeforge.ledger.history import SearchHistory, read_history
from vaeforge.patch_secrets import withheld
from vaeforge.paths import Project, hash_of, write_bytes
from vaeforge.provenance import PATCH, code_hash, command_line, origin
from vaeforge.remarks import tell, warn
from vaeforge.search.configuration import completed, configuration_hash, differing, learned
from vaeforge.search.dispatch.resources import Placement, largest_checkpoint, local_resources, place, require_disk
from vaeforge.search.expectations import with_expected
from vaeforge.search.space.checks import check, collapse_warnings
from vaeforge.search.space.space import Space
from vaeforge.training.epoch_draws import class_weights
from vaeforge.training.storage import join

NAME_LIMIT = 100


@dataclass(frozen=True)
class Plan:
    """A checked search.

    Attributes:
        placement: of this machine; none when a cluster will say what it has.
        header: the ledger's first line, without what tracking adds.
        patch: what differed from the commit, where something did; see `provenance.py`.
    """

    project: Project
    name: str
    config: RunConfig
    space: Space
    prepared: Prepared
    placement: Placement | None
    address: str | None
    header: SearchHeader
    patch: bytes | None = None

    @property
    def folder(self) -> Path:
        return self.project.search(self.name)

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.jsonl"

    def keep_patch(self) -> None:
        """Write what differed from the commit beside the ledger, so that the code can be had again."""
        if self.patch is not None:
            write_bytes(self.folder / PATCH, self.patch)


def make_plan(
    project: Project,
    config: RunConfig,
    space: Space,
    name: str | None,
    address: str | None,
    console: Console,
) -> Plan:
    """Check settings, space, machine, data and disk, in this order, cheap things first.

    Raises:
        VaeforgeError: with what is wrong; nothing has been started or written to a search's folder then.
    """
    for warning in check(space, config.experiment):
        warn(console, warning)
    if name is not None:
        _require_name(name)
    _require_configurations(config, space)
    placement = None if address else place(config.search, *local_resources())
    tell(console, pull(project, space.family))
    prepared = ensure_prepared(project, config.experiment)
    _require_samples(config, prepared)
    for warning in collapse_warnings(space, config.experiment, prepared):
        warn(console, warning)
    space, expected = with_expected(space, config.experiment, prepared)
    tell(console, expected)
    code, made_by = code_hash(), origin(project.root)
    if made_by.git.problem is not None:
        warn(console, f"the commit is not recorded, as git says: {made_by.git.problem}")
    if made_by.patch is not None and (reason := withheld(made_by.patch, config.search.upload_patch)):
        tell(console, f"{PATCH}, what differs from the commit, will not be uploaded with a model: {reason}")
    identity = prepared.manifest.data_identity
    settings = config.model_dump(mode="json")
    configuration = {"settings": learned(settings), "space": dict(space.content)}
    chosen = name or f"{space.family}-{hash_of([configuration, identity, code])[:8]}"
    header = SearchHeader(
        name=chosen,
        family=space.family,
        experiment_name=f"vaeforge-{space.family}",
        space=dict(space.content),
        space_source=space.source,
        settings=settings,
        data_identity=identity,
        data_hash=prepared.manifest.data_hash,
        data_source=prepared.manifest.data_source or "",
        source=describe_source(project, space.family, prepared.manifest.data_set),
        data_set=prepared.manifest.data_set,
        git=made_by.git,
        lock_sha256=made_by.lock_sha256,
        machine=made_by.machine,
        seed=config.search.seed,
        trials=config.search.trials,
        checkpoints=config.search.storage and join(_portable(config.search.storage, project), chosen),
        configuration_hash=configuration_hash(settings, space.content),
        code_hash=code,
        command=command_line(),
    )
    plan = Plan(project, chosen, config, space, prepared, placement, address, header, made_by.patch)
    needed = largest_checkpoint(space, config.experiment, prepared.spec)
    require_disk(plan.folder, needed, config.search, placement or Placement(1, config.search.workers, 0, 1))
    return plan


def earlier_history(plan: Plan, named: bool, resume: bool) -> SearchHistory:
    """What the ledger holds already, after refusing what must not be continued.

    Raises:
        SearchError: if the name exists and resuming was not asked for, or the search was another one.
    """
    history = read_history(plan.ledger)
    if history.damaged:
        raise SearchError(
            f"{plan.ledger}: {history.damaged} line(s) are damaged, so that what they said is lost; "
            "start a new search under another --name"
        )
    if history.header is None:
        if resume:
            raise SearchError(
                f"search {plan.name!r}: there is nothing to resume in {plan.folder}; start it without --resume"
            )
        return history
    if named and not resume:
        raise SearchError(f"search {plan.name!r} exists already; continue it with --resume or choose another --name")
    _require_same(history, plan)
    return history


def _require_same(history: SearchHistory, plan: Plan) -> None:
    """A search can only be continued unchanged: the same space, training settings and data; more trials are allowed."""
    assert history.header is not None
    before, now = history.header, plan.header
    problems = []
    if before.space != json.loads(json.dumps(now.space)):  # keys of mappings are texts in a ledger
        changed = differing(before.space, json.loads(json.dumps(now.space)))
        problems.append(f"the space is another one: {changed}")
    earlier, present = learned(completed(before.settings))["experiment"], learned(now.settings)["experiment"]
    if earlier != present:
        problems.append(f"the training settings are others: {differing(earlier, present)}")
    if before.data_identity != now.data_identity:
        problems.append(f"the data is another: {before.data_identity[:12]}…, now {now.data_identity[:12]}…")
    if before.seed != now.seed:
        problems.append(f"the seed was {before.seed}, now {now.seed}")
    if checkpoint_root(before, plan.folder) != checkpoint_root(now, plan.folder):
        problems.append(f"its checkpoints are in {before.checkpoints or 'its folder'}: give the same --storage")
    population = history.ended.asked.trials if history.ended and history.ended.asked else before.trials
    if plan.space.scheduler.name == "pbt" and population != now.trials:
        problems.append(f"its population has {population} trials, and a population cannot grow")
    if problems:
        raise SearchError(
            f"search {plan.name!r} cannot be resumed: {'; '.join(problems)}; start a new one under another --name"
        )


def search_extent(search: Search) -> SearchExtent:
    """How far a search is asked to go: the same again is already complete."""
    return SearchExtent(search.trials, search.repeats, search.finalists, search.budget.model_dump(mode="json"))


def _require_configurations(config: RunConfig, space: Space) -> None:
    """A member of a population needs a place of its own, and is not one configuration that could be trained again."""
    if space.scheduler.name == "pbt" and space.search.name == "grid":
        raise ConfigError(
            "search: got 'grid' with the scheduler pbt, whose population may be larger than it; take tpe or random"
        )
    if space.scheduler.name == "pbt" and config.search.repeats > 1:
        raise ConfigError(
            f"search.repeats: got {config.search.repeats} with the scheduler pbt, whose trials change their settings "
            "on the way and cannot be repeated under another seed; must be 1, or take another --scheduler"
        )


def _portable(storage: str, project: Project) -> str:
    """A storage as the ledger names it: a folder in the project relative to its root, so that it may move along."""
    if "://" in storage:
        return storage
    path = Path(os.path.normpath(project.root / storage))
    return str(path.relative_to(project.root) if path.is_relative_to(project.root) else path)


def _require_name(name: str) -> None:
    if not name or len(name) > NAME_LIMIT or name.strip(".") == "" or any(c in '/\\\0\n\r\t"#' for c in name):
        raise ConfigError(
            f"--name: got {name!r}, must be 1 to {NAME_LIMIT} characters without slashes, quotes, # or line breaks"
        )


def _require_samples(config: RunConfig, prepared: Prepared) -> None:
    """Every rank needs something to train and validate on, and balancing needs classes."""
    if config.experiment.training.balance:
        class_weights(prepared.train)
    samples, workers = len(prepared.train), config.search.workers
    batch = config.experiment.training.batch_size
    if batch > samples and config.experiment.training.steps_per_epoch is None:
        raise ConfigError(f"training.batch_size: got {batch}, must be <= {samples}, the number of training samples")
    smallest = min(batch, samples, len(prepared.validation))
    if smallest < workers:
        raise ResourceError(
            f"search.workers: got {workers}, but the smallest of batch size, training and validation samples is "
            f"{smallest}; lower --workers"
        )
