"""Search space of a sampler: dimensions, frozen values and goals."""

from dataclasses import dataclass
from typing import Any

from vaeforge.errors import nearest
from vaeforge.search.space.dimensions import Dimension, Params, active_dimensions, suggest_all, walk
from vaeforge.search.space.fixed_params import with_fixed_params
from vaeforge.search.space.objective import Objective


@dataclass(frozen=True)
class SearchSpace:
    """The points that trials can be, and what they are to be good at.

    Attributes:
        source: the file or place that it was read from, for messages.
        dimensions: what is searched; frozen parameters are not among them.
        fixed: frozen parameters, path to value; under some options one may not be open.
        narrowed: every dimension that a trial can have, the frozen ones narrowed to their value.
    """

    source: str
    objective: Objective
    dimensions: tuple[Dimension, ...]
    fixed: Params
    narrowed: tuple[Dimension, ...]

    def suggest(self, trial: Any) -> Params:
        """A flat configuration for an Optuna trial, frozen values included."""
        return self.with_fixed_params(suggest_all(self.dimensions, trial))

    def with_fixed_params(self, params: Params) -> Params:
        """`params` with the frozen values that are open under them, and without those that are not."""
        return with_fixed_params(self.narrowed, self.fixed, params)

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
                problems.append(f"{path}: got {value!r}, must be {found[path].requirement(value)}{frozen}")
        missing = [] if partial else [dimension for path, dimension in found.items() if path not in params]
        return problems + [f"{dimension.path}: is missing, must be {dimension.requirement()}" for dimension in missing]

    def optuna_names(self, params: Params) -> dict[str, tuple[Dimension, Any]]:
        """Optuna's name to (dimension, value) for the searched dimensions that are open under `params`."""
        opened = [dimension for dimension in active_dimensions(self.dimensions, params) if dimension.path in params]
        return {dimension.name: (dimension, params[dimension.path]) for dimension in opened}

    def corner_points(self) -> list[Params]:
        """The default configuration and both ends of each range, those of frozen parameters being their value."""
        found: list[Params] = [{}] + [point for dimension in self.narrowed for point in dimension.corner_points()]
        return [point for place, point in enumerate(found) if point not in found[:place]]
