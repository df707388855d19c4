"""Strategies that cannot model conditional parameters: one model for each branch of the space, a bandit over them.

A branch is one combination of the options that open parameters (or of all options), so that its parameters are flat
and the model never has to draw one independently. Which branch a trial is from is Thompson sampling (Thompson 1933;
Chapelle & Li 2011): theta_b ~ Beta(1 + s_b, 1 + f_b), and the largest theta wins, where s_b counts the branch's ended
trials among the best quarter of all that have ended, f_b its others. A branch without any trial comes first, in the
space's order.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vaeforge.search.samplers.base import StatelessSampler
from vaeforge.search.samplers.ended import FinishedTrial
from vaeforge.search.samplers.nondominated import best_quarter
from vaeforge.search.samplers.trials import RunningTrial
from vaeforge.search.space.dimensions import Dimension, Params
from vaeforge.search.space.space import Space
from vaeforge.search.space.subspaces import split_into_subspaces
from vaeforge.seeds import derive


@dataclass(frozen=True)
class SubspaceContext:
    """Of how many branches a branch is one, for how many goals, and the seed of what is the same for all its trials."""

    branches: int
    goals: int
    seed: int


class SubspaceModel(ABC):
    """Proposes the trials of one branch from those that belong to it.

    Attributes:
        dimensions: flat ranges and choices of the branch.
        place: what else it knows of the search.
    """

    def __init__(self, dimensions: Sequence[Dimension], place: SubspaceContext):
        self.dimensions, self.place = tuple(dimensions), place

    @abstractmethod
    def propose(self, ended: Sequence[FinishedTrial], running: Sequence[RunningTrial], seed: int) -> Params:
        """A point of the branch, its fixed options not among it; `seed` is the trial's own."""


class PerSubspaceSampler(StatelessSampler):
    """A bandit over branches, each with a model of its own."""

    def __init__(self, space: Space, seed: int, model: type[SubspaceModel], **options: Any):
        super().__init__(space, seed)
        self._branches = split_into_subspaces(space, categorical=space.search.separate == "every")
        count, goals = len(self._branches), len(self.goals)
        places = [SubspaceContext(count, goals, derive(seed, "branch", branch.name)) for branch in self._branches]
        parts = zip(self._branches, places, strict=True)
        self._models = [model(branch.dimensions, place, **options) for branch, place in parts]

    def propose(self, number: int) -> Params:
        """See `StatelessSampler`."""
        ended, running = self.memory.ended(), self.memory.running()
        of_ended = [self._branch_of(trial.params) for trial in ended]
        of_running = [self._branch_of(trial.params) for trial in running]
        chosen = self._choose(ended, of_ended, of_running, derive(self.seed, "branch", number))
        members = [trial for trial, branch in zip(ended, of_ended, strict=True) if branch == chosen]
        live = [trial for trial, branch in zip(running, of_running, strict=True) if branch == chosen]
        params = self._models[chosen].propose(members, live, derive(self.seed, "ask", number))
        return self.space.with_fixed_params({**self._branches[chosen].fixed, **params})

    def _branch_of(self, params: Params) -> int | None:
        """The branch that `params` belong to."""
        return next((i for i, branch in enumerate(self._branches) if branch.contains(params)), None)

    def _choose(
        self,
        ended: Sequence[FinishedTrial],
        of_ended: Sequence[int | None],
        of_running: Sequence[int | None],
        seed: int,
    ) -> int:
        untried = set(range(len(self._branches))) - {*of_ended, *of_running}
        if untried:
            return min(untried)
        good = best_quarter(ended)
        successes, failures = [0] * len(self._branches), [0] * len(self._branches)
        for i, branch in enumerate(of_ended):
            if branch is not None:
                (successes if i in good else failures)[branch] += 1
        theta = np.random.default_rng(seed).beta(np.add(successes, 1), np.add(failures, 1))
        return int(np.argmax(theta))
