"""Sampler interface: proposes trials, and is told of those that run and have ended."""

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from vaeforge.search.samplers.trials import FinishedTrial, TrialMemory, as_costs
from vaeforge.search.samplers.trials_since_improvement import trials_since_improvement
from vaeforge.search.samplers.unit_scaling import sample_space, uniform
from vaeforge.search.space.dimensions import Dimension, Params
from vaeforge.search.space.objective import Goal
from vaeforge.search.space.search_space import SearchSpace
from vaeforge.seeds import derive


class Sampler(Protocol):
    """Proposes the trials of one search.

    What `ask(number)` answers depends on the search's seed, on `number` and on which trials were asked, adopted and
    told of until then, not on their order or on the session in which that was: a resumed search continues as if it had
    never been interrupted.
    """

    @property
    def goals(self) -> tuple[Goal, ...]:
        """What the values of a told trial are."""

    def ask(self, number: int, given: Params | None = None) -> Params | None:
        """What trial `number` is; none where nothing is left to propose.

        What `given` (a start point) says is taken, as far as it lies in the space; the rest is proposed.
        """

    def adopt(self, number: int, params: Params) -> None:
        """Trial `number` runs with `params`, though it was not asked for here."""

    def tell(self, trial: FinishedTrial) -> None:
        """`trial` has ended: an asked or adopted one, one of an earlier session, or (no number) of another search.

        Telling the same again changes nothing. A trial of another search may leave out frozen values; one that is no
        point of the space with them is passed over, because no model can place a trial with parameters missing.
        """

    def stagnates(self, patience: int) -> bool:
        """Whether the newest `patience` trials that were trained have not improved on those before (by number)."""


class StatelessSampler(ABC):
    """A sampler whose proposals are a function of its memory, a seed and the trial's number.

    Attributes:
        memory: what was asked, adopted and told, with costs for values.
    """

    def __init__(self, space: SearchSpace, seed: int):
        self.space = space
        self.seed = seed
        self.memory = TrialMemory()

    @property
    def goals(self) -> tuple[Goal, ...]:
        """See `Sampler`."""
        return self.space.objective.goals

    def ask(self, number: int, given: Params | None = None) -> Params | None:
        """See `Sampler`."""
        params = self.propose(number)
        if given is not None:
            params = self._completed(given, params or {}, derive(self.seed, "complete", number))
        if params is not None:
            self.memory.begin(number, params)
        return params

    def adopt(self, number: int, params: Params) -> None:
        """See `Sampler`."""
        self.memory.begin(number, params)

    def tell(self, trial: FinishedTrial) -> None:
        """See `Sampler`."""
        if trial.number is None:
            trial = replace(trial, params=self.space.with_fixed_params(trial.params))
        if trial.number is not None or self.space.fits(trial.params):
            self.memory.end(as_costs(trial, self.goals))

    def stagnates(self, patience: int) -> bool:
        """See `Sampler`."""
        return trials_since_improvement(self.memory.ended_here()) >= patience

    @abstractmethod
    def propose(self, number: int) -> Params | None:
        """What trial `number` is, given what is remembered."""

    def _completed(self, given: Params, proposed: Params, seed: int) -> Params:
        """The point that `given` says, then `proposed`, then chance: an option that is given opens its own ranges."""
        chance = uniform(np.random.default_rng(seed))

        def draw(dimension: Dimension) -> Any:
            for source in (given, proposed):
                if dimension.path in source and dimension.contains(source[dimension.path]):
                    return source[dimension.path]
            return chance(dimension)

        return self.space.with_fixed_params(sample_space(self.space.dimensions, draw))
