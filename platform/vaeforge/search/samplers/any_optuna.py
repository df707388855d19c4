"""Any sampler of Optuna by its name, `optuna:module.Class`, where it does what a sampler here must.

It is built anew for each proposal, under a seed of the search's seed and the trial's number, and given a study of the
trials of one flat part of the space (`per_subspace.py`): so it need not know conditional parameters, and keeps nothing.
What cannot work so is refused before a search starts, by trying it on a few made-up trials of each part.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from vaeforge.errors import ConfigError, nearest
from vaeforge.search.samplers.base import Sampler
from vaeforge.search.samplers.per_subspace import PerSubspaceSampler, SubspaceContext, SubspaceModel
from vaeforge.search.samplers.settings import SamplerSettings, Separate
from vaeforge.search.samplers.trials import FinishedTrial, RunningTrial
from vaeforge.search.space.dimensions import Dimension, Params, suggest_all
from vaeforge.search.space.form import refuse
from vaeforge.search.space.search_space import SearchSpace
from vaeforge.search.space.subspaces import Subspace, split_into_subspaces

if TYPE_CHECKING:
    from vaeforge.search.samplers.optuna_bridge.foreign import ForeignSampler

PREFIX = "optuna:"


class AnyOptunaModel(SubspaceModel):
    """The sampler of one flat part of a space."""

    def __init__(self, dimensions: Sequence[Dimension], context: SubspaceContext, foreign: "ForeignSampler"):
        super().__init__(dimensions, context)
        self._foreign = foreign

    def propose(self, ended: Sequence[FinishedTrial], running: Sequence[RunningTrial], seed: int) -> Params:
        """See `SubspaceModel`."""
        from vaeforge.search.samplers.optuna_bridge.study import build_study

        study = build_study(ended, running, self.dimensions, self.context.goals, self._foreign.build(seed))
        return suggest_all(self.dimensions, study.ask())


class AnyOptunaSettings(SamplerSettings):
    """A sampler of Optuna or of a package for it: `{name: "optuna:module.Class", options: {...}}`.

    Attributes:
        options: arguments of its constructor; `seed` is given by the search.
    """

    main_key: ClassVar[str] = "name"
    separate: ClassVar[Separate] = "opening"
    name: str
    options: Annotated[dict[str, Any], Field(default_factory=dict)]

    @field_validator("name")
    @classmethod
    def _is_a_sampler(cls, name: str) -> str:
        from vaeforge.search.samplers.optuna_bridge.foreign import ForeignSampler

        try:
            ForeignSampler.named(name.removeprefix(PREFIX))
        except ConfigError as error:
            refuse([((), problem) for problem in error.problems])
        return name

    @field_validator("options")
    @classmethod
    def _are_its_options(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        from vaeforge.search.samplers.optuna_bridge.foreign import ForeignSampler

        if "name" in info.data:
            allowed = ForeignSampler.named(info.data["name"].removeprefix(PREFIX)).option_names
            unknown = [key for key in options if key not in allowed]
            if unknown:
                refuse([((), f"unknown key {key!r}{nearest(key, allowed)}") for key in unknown])
        return options

    @property
    def foreign(self) -> "ForeignSampler":
        """The class that is named, with the options."""
        from vaeforge.search.samplers.optuna_bridge.foreign import ForeignSampler

        return ForeignSampler.named(self.name.removeprefix(PREFIX), self.options)

    def subspaces(self, space: SearchSpace) -> tuple[Subspace, ...]:
        """Combinations of the options that open dimensions; of all choices where it cannot model choices itself."""
        flat = split_into_subspaces(space, self.name, categorical=False)
        if all(self.foreign.models(part.dimensions, len(space.objective.goals)) for part in flat):
            return flat
        return split_into_subspaces(space, self.name, categorical=True)

    def build(self, space: SearchSpace, seed: int) -> Sampler:
        return PerSubspaceSampler(space, seed, self.subspaces(space), partial(AnyOptunaModel, foreign=self.foreign))

    def unmet(self, space: SearchSpace) -> list[str]:
        """What it was seen not to do when it was tried on the parts of `space`."""
        where = f"{space.source}: search: {self.name}"
        try:
            for part in self.subspaces(space):
                self.foreign.require(part.dimensions, len(space.objective.goals))
        except ConfigError as error:
            return [problem if problem.startswith(where) else f"{where}: {problem}" for problem in error.problems]
        return []
