"""What every strategy does for a search: it proposes trials, and is told of those that run and have ended."""

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from vaeforge.search.samplers.ended import Ended, as_costs
from vaeforge.search.samplers.stagnation import unimproved
from vaeforge.search.samplers.trials import Memory
from vaeforge.search.samplers.unit_scaling import uniform, walk
from vaeforge.search.space.dimensions import Dimension, Params
from vaeforge.search.space.objective import Goal
from vaeforge.search.space.space import Space
from vaeforge.seeds import derive


class Proposer(Protocol):
    """Proposes the trials of one search.

    What `ask(number)` answers depends on the search's seed, on `number` and on which trials were asked, adopted and
    told of until then, not on their order or on the session in which that was: a resumed search goes on as if it had
    never been interrupted.
    """

    @property
    def goals(self) -> tuple[Goal, ...]:
        """What the values of a told trial are."""

    def ask(self, number: int, given: Params | None = None) -> Params | None:
        """What trial `number` is; none where nothing is left to propose.

        What `given` (a start point) says is taken, as far as the space admits it; the rest is proposed.
        """

    def adopt(self, number: int, params: Params) -> None:
        """Trial `number` runs with `params`, though it was not asked for here."""

    def tell(self, trial: Ended) -> None:
        """`trial` has ended: an asked or adopted one, one of an earlier session, or (no number) of another search.

        Telling the same again changes nothing. A trial of another search may leave out frozen values; one that is no
        point of the space with them is passed over, because no model can place a trial with parameters missing.
        """

    def stagnates(self, patience: int) -> bool:
        """Whether the newest `patience` trials that were trained have not improved on those before (by number)."""


class Remembering(ABC):
    """A proposer whose proposals are a function of its memory, a seed and the trial's number.

    Attributes:
        memory: what was asked, adopted and told, with costs for values.
    """

    def __init__(self, space: Space, seed: int):
        self.space = space
        self.seed = seed
        self.memory = Memory()

    @property
    def goals(self) -> tuple[Goal, ...]:
        """See `Proposer`."""
        return self.space.objective.goals

    def ask(self, number: int, given: Params | None = None) -> Params | None:
        """See `Proposer`."""
        params = self.propose(number)
        if given is not None:
            params = self._completed(given, params or {}, derive(self.seed, "complete", number))
        if params is not None:
            self.memory.begin(number, params)
        return params

    def adopt(self, number: int, params: Params) -> None:
        """See `Proposer`."""
        self.memory.begin(number, params)

    def tell(self, trial: Ended) -> None:
        """See `Proposer`."""
        if trial.number is None:
            trial = replace(trial, params=self.space.complete(trial.params))
        if trial.number is not None or self.space.fits(trial.params):
            self.memory.end(as_costs(trial, self.goals))

    def stagnates(self, patience: int) -> bool:
        """See `Proposer`."""
        return unimproved(self.memory.ended_here()) >= patience

    @abstractmethod
    def propose(self, number: int) -> Params | None:
        """What trial `number` is, given what is remembered."""

    def _completed(self, given: Params, proposed: Params, seed: int) -> Params:
        """The point that `given` says, then `proposed`, then chance: an option that is given opens its own ranges."""
        chance = uniform(np.random.default_rng(seed))

        def draw(dimension: Dimension) -> Any:
            for source in (given, proposed):
                if dimension.path in source and dimension.admits(source[dimension.path]):
                    return source[dimension.path]
            return chance(dimension)

        return self.space.complete(walk(self.space.dimensions, draw))
