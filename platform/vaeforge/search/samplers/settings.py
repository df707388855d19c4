"""Settings of a sampler, which build the sampler that they configure."""

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from vaeforge.errors import ConfigError
from vaeforge.search.samplers.base import Sampler
from vaeforge.search.space.search_space import SearchSpace
from vaeforge.search.space.strategies import StrategySettings
from vaeforge.search.space.subspaces import Subspace, split_into_subspaces

Separate = Literal["none", "opening", "every"]
Startup = Annotated[int, Field(ge=1, description="trials that are drawn before the model proposes")]


class SamplerSettings(StrategySettings):
    """Proposes trials.

    A file that defines one is imported wherever a space is read or unpickled: heavy libraries (Optuna, SciPy) are
    imported inside of what uses them.

    Attributes:
        separate: which choices give each of their options a model of its own, because the sampler cannot hold them in
            one: none, those whose options open dimensions, or every one.
    """

    separate: ClassVar[Separate] = "none"

    @abstractmethod
    def build(self, space: SearchSpace, seed: int) -> Sampler:
        """The sampler of a search under `seed`.

        Raises:
            ConfigError: if the space is none for it.
        """

    def subspaces(self, space: SearchSpace) -> tuple[Subspace, ...]:
        """The flat parts of `space`, each of which has a model of its own.

        Raises:
            ConfigError: if there are too many.
        """
        return split_into_subspaces(space, self.name, categorical=self.separate == "every")

    def unmet(self, space: SearchSpace) -> list[str]:
        """What the sampler needs of `space` and it does not have; asked before a search starts."""
        try:
            if self.separate != "none":
                self.subspaces(space)
        except ConfigError as error:
            return error.problems
        return []
