"""Models for flat subspaces, for samplers that cannot handle conditional parameters, and a bandit that draws one.

A subspace is one combination of the options that open parameters (or of all options), so that its parameters are flat
and the model never has to draw one independently. Which subspace a trial is from is Thompson sampling (Thompson 1933;
Chapelle & Li 2011): theta_b ~ Beta(1 + s_b, 1 + f_b), and the largest theta wins, where s_b counts the subspace's ended
trials among the best quarter of all that have ended, f_b its others. A subspace without any trial comes first, in the
space's order.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vaeforge.search.samplers.base import StatelessSampler
from vaeforge.search.samplers.nondominated import best_quarter
from vaeforge.search.samplers.trials import FinishedTrial, RunningTrial
from vaeforge.search.space.dimensions import Dimension, Params
from vaeforge.search.space.search_space import SearchSpace
from vaeforge.search.space.subspaces import Subspace
from vaeforge.seeds import derive


@dataclass(frozen=True)
class SubspaceContext:
    """How many subspaces and goals there are, and the seed of what is the same for all trials of this one."""

    subspaces: int
    goals: int
    seed: int


class SubspaceModel(ABC):
    """Proposes the trials of one subspace from those that belong to it.

    Attributes:
        dimensions: flat ranges and choices of the subspace.
        context: what else it knows of the search.
    """

    def __init__(self, dimensions: Sequence[Dimension], context: SubspaceContext):
        self.dimensions, self.context = tuple(dimensions), context

    @abstractmethod
    def propose(self, ended: Sequence[FinishedTrial], running: Sequence[RunningTrial], seed: int) -> Params:
        """A point of the subspace, its fixed options not among it; `seed` is the trial's own."""


MakeModel = Callable[[Sequence[Dimension], SubspaceContext], SubspaceModel]


class PerSubspaceSampler(StatelessSampler):
    """A bandit over subspaces, each with a model of its own."""

    def __init__(self, space: SearchSpace, seed: int, subspaces: Sequence[Subspace], model: MakeModel):
        super().__init__(space, seed)
        self._subspaces = tuple(subspaces)
        count, goals = len(self._subspaces), len(self.goals)
        contexts = [SubspaceContext(count, goals, derive(seed, "branch", part.name)) for part in self._subspaces]
        parts = zip(self._subspaces, contexts, strict=True)
        self._models = [model(part.dimensions, context) for part, context in parts]

    def propose(self, number: int) -> Params:
        """See `StatelessSampler`."""
        ended, running = self.memory.ended(), self.memory.running()
        of_ended = [self._subspace_of(trial.params) for trial in ended]
        of_running = [self._subspace_of(trial.params) for trial in running]
        chosen = self._choose(ended, of_ended, of_running, derive(self.seed, "branch", number))
        members = [trial for trial, subspace in zip(ended, of_ended, strict=True) if subspace == chosen]
        live = [trial for trial, subspace in zip(running, of_running, strict=True) if subspace == chosen]
        params = self._models[chosen].propose(members, live, derive(self.seed, "ask", number))
        return self.space.with_fixed_params({**self._subspaces[chosen].fixed, **params})

    def _subspace_of(self, params: Params) -> int | None:
        """The subspace that `params` belong to."""
        return next((i for i, subspace in enumerate(self._subspaces) if subspace.contains(params)), None)

    def _choose(
        self,
        ended: Sequence[FinishedTrial],
        of_ended: Sequence[int | None],
        of_running: Sequence[int | None],
        seed: int,
    ) -> int:
        untried = set(range(len(self._subspaces))) - {*of_ended, *of_running}
        if untried:
            return min(untried)
        good = best_quarter(ended)
        successes, failures = [0] * len(self._subspaces), [0] * len(self._subspaces)
        for i, subspace in enumerate(of_ended):
            if subspace is not None:
                (successes if i in good else failures)[subspace] += 1
        theta = np.random.default_rng(seed).beta(np.add(successes, 1), np.add(failures, 1))
        return int(np.argmax(theta))
