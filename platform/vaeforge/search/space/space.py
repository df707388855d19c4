"""A search space: a YAML file of `tune_spaces/`, checked against the typed configuration before anything starts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vaeforge.config import loader
from vaeforge.config.experiment import Experiment
from vaeforge.config.strict_yaml import read_yaml
from vaeforge.errors import ConfigError, nearest
from vaeforge.search.space.checks import early_comparison, few_brackets, unmet
from vaeforge.search.space.dimensions import Dimension, Params, active_dimensions, walk
from vaeforge.search.space.fidelity import Fidelity, read_fidelity
from vaeforge.search.space.fixed_params import complete, narrow, searched
from vaeforge.search.space.objective import METRIC, Objective, read_objective
from vaeforge.search.space.parse_helpers import is_mapping, refuse_unknown
from vaeforge.search.space.parser import parse_dimensions, refuse_twice, share_names
from vaeforge.search.space.strategies import AnySampler, AnyScheduler, read_scheduler, read_search, refuse_misfit
from vaeforge.seeds import derive

__all__ = [
    "Fidelity",
    "Space",
    "check",
    "corner_points",
    "experiment_for",
    "parse_space",
    "read_space",
    "single_point",
    "trial_seed",
]

KEYS = ("family", "objective", "search", "scheduler", "fidelity", "rung", "space", "freeze", "start")
SEARCHABLE = ("model", "beta", "optimizer", "training")


@dataclass(frozen=True)
class Space:
    """What is searched, for which family, towards what, by which strategies, and what is frozen meanwhile.

    Attributes:
        metric: what trials are compared by on their way, whatever the goals.
        dimensions: what is searched; frozen parameters are not among them.
        fixed: frozen parameters, path to value; under some options one may not be open.
        narrowed: every dimension that a trial can have, the frozen ones narrowed to their value.
        start: points that are tried first, with the frozen values; what one leaves out is proposed.
        content: the mapping that all of this was read from, command line included.
    """

    family: str
    metric: str
    objective: Objective
    search: AnySampler
    scheduler: AnyScheduler
    fidelity: Fidelity
    rung: Literal["schedule", "global"]
    dimensions: tuple[Dimension, ...]
    fixed: Params
    narrowed: tuple[Dimension, ...]
    start: tuple[Params, ...]
    source: str
    content: Mapping[str, Any]

    def suggest(self, trial: Any) -> Params:
        """A flat configuration for an Optuna trial, frozen values included."""
        params: Params = {}
        for dimension in self.dimensions:
            params |= dimension.suggest(trial)
        return self.with_fixed_params(params)

    def with_fixed_params(self, params: Params) -> Params:
        """`params` with the frozen values that are open under them, and without those that are not."""
        return complete(self.narrowed, self.fixed, params)

    def fits(self, params: Params) -> bool:
        """Whether `params` is a configuration of this space: complete, within its ranges, frozen values as they are."""
        return not self.violations(params)

    def violations(self, params: Params, partial: bool = False) -> list[str]:
        """Why `params` is no configuration, `partial` no part of one, of this space; empty where it is."""
        found = {dimension.path: dimension for dimension in active_dimensions(self.narrowed, params)}
        known = {dimension.path for dimension in walk(self.narrowed)}
        problems = []
        for path, value in params.items():
            if path not in found:
                problems.append(f"{path}: not in the space under this point{nearest(path, known - set(params))}")
            elif not found[path].contains(value):
                frozen = "; it is frozen" if path in self.fixed else ""
                problems.append(f"{path}: got {value!r}, must be {found[path].rule(value)}{frozen}")
        missing = [] if partial else [dimension for path, dimension in found.items() if path not in params]
        return problems + [f"{dimension.path}: is missing, must be {dimension.rule()}" for dimension in missing]

    def optuna_names(self, params: Params) -> dict[str, tuple[Dimension, Any]]:
        """Optuna's name to (dimension, value) for the searched dimensions that are open under `params`."""
        opened = [dimension for dimension in active_dimensions(self.dimensions, params) if dimension.path in params]
        return {dimension.name: (dimension, params[dimension.path]) for dimension in opened}

    def group(self, params: Params, base: Experiment) -> str:
        """The schedule within which a trial is compared."""
        schedule = self.with_fixed_params(params).get("beta.schedule", base.beta.schedule)
        return "all" if self.rung == "global" else str(schedule)

    def with_epochs(self, epochs: int | None) -> "Space":
        """The space with another largest number of epochs; rungs and intervals move along in proportion."""
        if epochs is None or epochs == self.fidelity.max:
            return self
        changed: dict[str, Any] = {"fidelity": self.fidelity.shortened(epochs)}
        if "scheduler" in self.content:
            changed["scheduler"] = self.scheduler.shortened(epochs, self.fidelity.max)
        return parse_space({**self.content, **changed}, self.source)

    def with_changes(
        self,
        search: str | Mapping[str, Any] | None = None,
        scheduler: str | Mapping[str, Any] | None = None,
        freeze: Mapping[str, Any] | None = None,
    ) -> "Space":
        """The space with strategies and frozen parameters of the command line, which hold over the file's.

        A strategy that is named as in the file keeps the file's options; frozen parameters add to the file's, and
        start points that say otherwise are left out.

        Raises:
            ConfigError: with every problem of what was given.
        """
        problems: list[str] = []
        changed: dict[str, Any] = {}
        if search not in (None, self.search.name):
            sampler = read_search(search, "--search", self.objective, problems)
            changed |= {"search": search} if sampler != self.search else {}
        if scheduler not in (None, self.scheduler.name):
            decides = read_scheduler(scheduler, "--scheduler", self.objective, problems)
            refuse_misfit(decides, self.fidelity, "--scheduler", problems)
            changed |= {"scheduler": scheduler} if decides != self.scheduler else {}
        frozen = {**self.fixed, **(freeze or {})}
        if frozen != self.fixed:
            narrow(parse_dimensions(self.content.get("space", {}), self.source, []), frozen, "--freeze", problems)
            changed["freeze"] = frozen
            changed["start"] = [p for p in self.start if all(p.get(k, v) == v for k, v in (freeze or {}).items())]
        if problems:
            raise ConfigError(problems)
        return parse_space({**self.content, **changed}, self.source) if changed else self


def read_space(path: Path) -> Space:
    """The space in the YAML file at `path`.

    Raises:
        ConfigError: with every problem of its form; `check` finds what does not fit the configuration.
    """
    return parse_space(read_yaml(path), str(path))


def single_point(family: str, epochs: int) -> Space:
    """The space of one configuration: a plain training is a search that searches nothing."""
    return parse_space(
        {"family": family, "fidelity": {"max": epochs, "min": epochs, "reduction": 2}, "space": {}}, "train"
    )


def parse_space(content: Mapping[str, Any], source: str) -> Space:
    """A Space from a mapping of the form of a space file.

    Raises:
        ConfigError: with every problem of its form.
    """
    problems: list[str] = []
    refuse_unknown(content, KEYS, source, problems)
    objective = read_objective(content.get("objective", {}), source, problems)
    search = read_search(content.get("search"), f"{source}: search", objective, problems)
    scheduler = read_scheduler(content.get("scheduler"), f"{source}: scheduler", objective, problems)
    rung = content.get("rung", "schedule")
    if rung not in ("schedule", "global"):
        problems.append(f"{source}: rung: got {rung!r}, must be 'schedule' or 'global'")
    fidelity = read_fidelity(content.get("fidelity", {}), source, problems)
    refuse_misfit(scheduler, fidelity, f"{source}: scheduler", problems)
    every = parse_dimensions(content.get("space", {}), f"{source}: space", problems)
    refuse_twice(every, f"{source}: space", problems)
    fixed = _mapping(content.get("freeze", {}), f"{source}: freeze", problems)
    narrowed = narrow(every, fixed, f"{source}: freeze", problems)
    start = _start(content.get("start", []), narrowed, fixed, f"{source}: start", problems)
    if problems:
        raise ConfigError(problems)
    family, left = str(content.get("family")), share_names(searched(narrowed, fixed))
    parts = (objective, search, scheduler, fidelity, rung, left, fixed, narrowed, start)
    return Space(family, METRIC, *parts, source, dict(content))


def _mapping(content: Any, where: str, problems: list[str]) -> Params:
    return dict(content) if is_mapping(content, where, "{model.latent_dim: 32}", problems) else {}


def _start(
    content: Any, narrowed: tuple[Dimension, ...], fixed: Params, where: str, problems: list[str]
) -> tuple[Params, ...]:
    """The start points with the frozen values; one that says otherwise is among the problems."""
    if not isinstance(content, list) or not all(isinstance(point, Mapping) for point in content):
        problems.append(f"{where}: must be a list of mappings of path to value")
        return ()
    for number, given in enumerate(content, start=1):
        problems += [
            f"{where}: point {number}: {path}: got {value!r}, but it is frozen at {fixed[path]!r} (freeze); "
            "leave the point out, or freeze what it says"
            for path, value in given.items()
            if path in fixed and fixed[path] != value
        ]
    return tuple(complete(narrowed, fixed, dict(point)) for point in content)


def experiment_for(space: Space, base: Experiment, params: Params, seed: int) -> Experiment:
    """The experiment of one trial: `base` with `params` and what is frozen, the space's epochs, and its own seed.

    Raises:
        ConfigError: if a path does not exist or a value is not allowed.
    """
    tree = base.model_dump(mode="json") | {"search": {}}
    sources: dict[str, str] = {}
    for path, value in sorted(
        space.with_fixed_params(params).items(), key=lambda item: not item[0].endswith(".schedule")
    ):
        section = path.partition(".")[0]
        if section not in SEARCHABLE:
            raise ConfigError(f"{space.source}: space: {path}: must begin with one of {', '.join(SEARCHABLE)}")
        loader.assign(tree, path, value, space.source, sources)
    tree["training"] |= {"epochs": space.fidelity.max, "seed": seed}
    return loader.build(tree, sources).experiment


def trial_seed(search_seed: int, trial: int) -> int:
    """A trial's seed: the same on any host, after any number of other trials."""
    return derive(search_seed, "trial", trial)


def corner_points(space: Space) -> list[Params]:
    """The default configuration and both ends of each range, those of frozen parameters being their value."""
    found: list[Params] = [{}] + [example for dimension in space.narrowed for example in dimension.corner_points()]
    return [example for place, example in enumerate(found) if example not in found[:place]]


def check(space: Space, base: Experiment) -> list[str]:
    """Check `space` against the configuration; returns warnings.

    Raises:
        ConfigError: with every path that does not exist, every end of a range or start point that is not allowed, and
            what the strategies cannot do in this space.
    """
    if space.family != base.family:
        raise ConfigError(f"{space.source}: family: got {space.family!r}, but this search is for {base.family!r}")
    problems = dict.fromkeys([*_start_problems(space), *unmet(space)])  # ordered, without repetition
    warnings: dict[str, None] = {}
    for params in [*space.start, *corner_points(space)]:
        try:
            experiment = experiment_for(space, base, params, seed=0)
        except ConfigError as error:
            problems |= dict.fromkeys(error.problems)
        else:
            warnings |= dict.fromkeys(early_comparison(space, experiment))
    if problems:
        raise ConfigError(list(problems))
    return [*warnings, *few_brackets(space)]


def _start_problems(space: Space) -> list[str]:
    points = enumerate(space.start, start=1)
    return [
        f"{space.source}: start: point {number}: {wrong}" for number, p in points for wrong in space.violations(p, True)
    ]
