"""A search space: a YAML file of `tune_spaces/`, checked against the typed configuration before anything starts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vaeforge import loading
from vaeforge.config import Experiment, nearest
from vaeforge.errors import ConfigError
from vaeforge.search.dimensions import Dimension, Params, parse_dimensions, require_range, share_names, walk
from vaeforge.seeds import derive
from vaeforge.yamls import read_yaml

KEYS = ("family", "objective", "fidelity", "rung", "space", "start")
SEARCHABLE = ("model", "beta", "optimizer", "training")
METRICS = ("val/nelbo",)
FLOORS = ("val/active_units", "val/rate")


@dataclass(frozen=True)
class Fidelity:
    """Epochs: what a full training has, the first rung, and how many of each rung's trials go on (1 / reduction)."""

    max: int
    min: int
    reduction: int

    def rungs(self) -> list[int]:
        """The epochs after which trials are compared, the last epoch not among them."""
        epochs, rung = [], self.min
        while rung < self.max:
            epochs.append(rung)
            rung *= self.reduction
        return epochs


@dataclass(frozen=True)
class Space:
    """What is searched, for which family, on which number, and how trials are compared on the way."""

    family: str
    metric: str
    fidelity: Fidelity
    rung: Literal["schedule", "global"]
    dimensions: tuple[Dimension, ...]
    start: tuple[Params, ...]
    source: str
    content: Mapping[str, Any]

    def suggest(self, trial: Any) -> Params:
        """A flat configuration for an Optuna trial."""
        params: Params = {}
        for dimension in self.dimensions:
            params |= dimension.suggest(trial)
        return params

    def optuna_names(self, params: Params) -> dict[str, tuple[Dimension, Any]]:
        """Optuna's name to (dimension, value) for the dimensions that are open under `params`."""
        found: dict[str, tuple[Dimension, Any]] = {}
        _collect(self.dimensions, params, found)
        return found

    def group(self, params: Params, base: Experiment) -> str:
        """The schedule within which a trial is compared."""
        return "all" if self.rung == "global" else str(params.get("beta.schedule", base.beta.schedule))

    def with_epochs(self, epochs: int | None) -> "Space":
        """The space with another largest number of epochs; rungs move along in proportion."""
        if epochs is None or epochs == self.fidelity.max:
            return self
        first = max(1, round(self.fidelity.min * epochs / self.fidelity.max))
        fidelity = {"max": epochs, "min": first, "reduction": self.fidelity.reduction}
        return parse({**self.content, "fidelity": fidelity}, self.source)


def _collect(dimensions: tuple[Dimension, ...], params: Params, found: dict[str, tuple[Dimension, Any]]) -> None:
    for dimension in dimensions:
        if dimension.path in params:
            value = params[dimension.path]
            found[dimension.name] = (dimension, value)
            _collect(getattr(dimension, "options", {}).get(value, ()), params, found)


def read_space(path: Path) -> Space:
    """The space in the YAML file at `path`.

    Raises:
        ConfigError: with every problem of its form; `check` finds what does not fit the configuration.
    """
    return parse(read_yaml(path), str(path))


def single_point(family: str, epochs: int) -> Space:
    """The space of one configuration: a plain training is a search that searches nothing."""
    return parse({"family": family, "fidelity": {"max": epochs, "min": epochs, "reduction": 2}, "space": {}}, "train")


def parse(content: Mapping[str, Any], source: str) -> Space:
    """A Space from a mapping of the form of a space file."""
    problems = [f"{source}: unknown key {key!r}{nearest(key, KEYS)}" for key in content if key not in KEYS]
    _check_objective(content.get("objective", {}), source, problems)
    rung = content.get("rung", "schedule")
    if rung not in ("schedule", "global"):
        problems.append(f"{source}: rung: got {rung!r}, must be 'schedule' or 'global'")
    fidelity = _fidelity(content.get("fidelity", {}), source, problems)
    dimensions = share_names(parse_dimensions(content.get("space", {}), f"{source}: space", problems))
    start = content.get("start", [])
    if not isinstance(start, list) or not all(isinstance(point, Mapping) for point in start):
        problems.append(f"{source}: start: must be a list of mappings of path to value")
        start = []
    if problems:
        raise ConfigError(problems)
    points = tuple(dict(point) for point in start)
    return Space(str(content.get("family")), METRICS[0], fidelity, rung, dimensions, points, source, dict(content))


def _check_objective(objective: Any, source: str, problems: list[str]) -> None:
    """The metric is fixed; `require` names floors of validation metrics that a winner should keep."""
    allowed = {"metric": METRICS[0], "mode": "min"}
    if not isinstance(objective, Mapping):
        problems.append(f"{source}: objective: got {objective!r}, must be a mapping such as {allowed}")
        return
    for key, value in objective.items():
        if key in allowed and value != allowed[key]:
            problems.append(f"{source}: objective: {key}: got {value!r}, must be {allowed[key]!r}")
        elif key == "require":
            _check_floors(value, source, problems)
        elif key not in allowed:
            problems.append(f"{source}: objective: unknown key {key!r}{nearest(key, (*allowed, 'require'))}")


def _check_floors(floors: Any, source: str, problems: list[str]) -> None:
    for name, floor in floors.items() if isinstance(floors, Mapping) else [("require", floors)]:
        if name not in FLOORS or isinstance(floor, bool) or not isinstance(floor, (int, float)):
            problems.append(
                f"{source}: objective: require: got {name}: {floor!r}, must be a number for {', '.join(FLOORS)}"
            )


def _fidelity(content: Any, source: str, problems: list[str]) -> Fidelity:
    values = {"max": 18, "min": 6, "reduction": 3} | (dict(content) if isinstance(content, Mapping) else {})
    where = f"{source}: fidelity"
    for key in values:
        if key not in ("max", "min", "reduction"):
            problems.append(f"{where}: unknown key {key!r}{nearest(key, ('max', 'min', 'reduction'))}")
        elif not isinstance(values[key], int) or values[key] < (2 if key == "reduction" else 1):
            problems.append(
                f"{where}: {key}: got {values[key]!r}, must be an integer >= {2 if key == 'reduction' else 1}"
            )
            return Fidelity(18, 6, 3)
    if values["min"] > values["max"]:
        problems.append(f"{where}: min is {values['min']} and max is {values['max']}, min must be <= max")
    return Fidelity(values["max"], values["min"], values["reduction"])


def experiment_for(space: Space, base: Experiment, params: Params, seed: int) -> Experiment:
    """The experiment of one trial: `base` with `params`, the space's epochs, and its own seed.

    Raises:
        ConfigError: if a path does not exist or a value is not allowed.
    """
    tree = base.model_dump(mode="json") | {"search": {}}
    sources: dict[str, str] = {}
    for path, value in sorted(params.items(), key=lambda item: not item[0].endswith(".schedule")):
        section = path.partition(".")[0]
        if section not in SEARCHABLE:
            raise ConfigError(f"{space.source}: space: {path}: must begin with one of {', '.join(SEARCHABLE)}")
        loading.assign(tree, path, value, space.source, sources)
    tree["training"] |= {"epochs": space.fidelity.max, "seed": seed}
    return loading.build(tree, sources).experiment


def trial_seed(search_seed: int, trial: int) -> int:
    """A trial's seed: the same on any host, after any number of other trials."""
    return derive(search_seed, "trial", trial)


def check(space: Space, base: Experiment) -> list[str]:
    """Check `space` against the configuration; returns warnings.

    Raises:
        ConfigError: with every path that does not exist, every end of a range or start point that is not allowed.
    """
    if space.family != base.family:
        raise ConfigError(f"{space.source}: family: got {space.family!r}, but this search is for {base.family!r}")
    problems: dict[str, None] = {}  # ordered and without repetition
    late: dict[str, None] = {}
    for params in [*space.start, *examples(space)]:
        try:
            _check_start(space, params)
            experiment = experiment_for(space, base, params, seed=0)
        except ConfigError as error:
            problems |= dict.fromkeys(error.problems)
            continue
        full, first_rung = experiment.beta.first_full(), space.fidelity.min / space.fidelity.max
        if space.fidelity.rungs() and full > first_rung + 1e-9:
            late[
                f"{space.source}: schedule {experiment.beta.schedule} can reach its full beta only after "
                f"{full:.0%} of the training, but the first rung compares trials at {first_rung:.0%}: "
                f"raise fidelity.min to {-(-full * space.fidelity.max // 1):.0f} epochs or narrow the schedule"
            ] = None
    if problems:
        raise ConfigError(list(problems))
    return list(late)


def examples(space: Space) -> list[Params]:
    """The default configuration and both ends of each range."""
    return [{}] + [example for dimension in space.dimensions for example in dimension.examples()]


def _check_start(space: Space, params: Params) -> None:
    open_paths = {dimension.path: dimension for dimension, _ in space.optuna_names(params).values()}
    for path, value in params.items():
        if path not in open_paths:
            known = {dimension.path for dimension in walk(space.dimensions)}
            raise ConfigError(f"{space.source}: start: {path}: not in the space under this point{nearest(path, known)}")
        require_range(open_paths[path], value, f"{space.source}: start")
