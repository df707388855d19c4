"""QMC sampler: a low-discrepancy sequence over one subspace.

The sequence is scrambled Sobol' (Sobol' 1967; Owen 1995) or Halton (Halton 1960; Owen 2017).

Point k of a subspace is the same in every session: the sequence is fixed by the search's seed and the subspace's name,
and a trial takes the first point that no trial of the subspace has had. So nothing has to be counted or kept, a point
is not lost to a start point, and ranges of few integers are not proposed twice before they are exhausted.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np

from vaeforge.search.samplers.base import Sampler
from vaeforge.search.samplers.per_subspace import PerSubspaceSampler, SubspaceContext, SubspaceModel
from vaeforge.search.samplers.settings import SamplerSettings, Separate
from vaeforge.search.samplers.trials import FinishedTrial, RunningTrial
from vaeforge.search.samplers.unit_scaling import from_unit
from vaeforge.search.space.dimensions import Dimension, Params
from vaeforge.search.space.search_space import SearchSpace

Kind = Literal["sobol", "halton"]
REPEATS = 100  # points in a row that had been taken before repetition is accepted: the subspace is exhausted


class QMCSequence:
    """The points of a sequence, made as far as they are asked for."""

    def __init__(self, dimensions: Sequence[Dimension], seed: int, kind: Kind):
        self._dimensions = dimensions
        from scipy.stats import qmc  # takes 0.4 s to import, and a space is read in many processes

        rng = np.random.default_rng(seed)
        engines = {"sobol": qmc.Sobol, "halton": qmc.Halton}
        self._engine: Any = engines[kind](len(dimensions), scramble=True, rng=rng) if dimensions else None
        self._points: list[Params] = []

    def __getitem__(self, k: int) -> Params:
        """Point `k` >= 0."""
        while len(self._points) <= k:
            u = self._engine.random(1)[0] if self._engine is not None else ()
            self._points.append({d.path: from_unit(d, x) for d, x in zip(self._dimensions, u, strict=True)})
        return self._points[k]

    def first_new(self, taken: Sequence[Params]) -> Params:
        """The first point that is none of `taken`; where too many in a row are, the one after as many as were taken."""
        paths = [dimension.path for dimension in self._dimensions]
        had = {tuple(params[path] for path in paths) for params in taken}
        for k in range(len(had) + REPEATS):
            if tuple(self[k][path] for path in paths) not in had:
                return self[k]
        return self[len(taken)]


class QMCModel(SubspaceModel):
    """The next point of the subspace's sequence."""

    def __init__(self, dimensions: Sequence[Dimension], context: SubspaceContext, kind: Kind):
        super().__init__(dimensions, context)
        self._points = QMCSequence(self.dimensions, context.seed, kind)

    def propose(self, ended: Sequence[FinishedTrial], running: Sequence[RunningTrial], seed: int) -> Params:
        """See `SubspaceModel`."""
        return self._points.first_new(taken(ended, running))


def taken(ended: Sequence[FinishedTrial], running: Sequence[RunningTrial]) -> list[Params]:
    """The parameters of this search's trials."""
    return [*(t.params for t in ended if t.number is not None), *(t.params for t in running)]


class QMCSettings(SamplerSettings):
    """A low-discrepancy sequence: Sobol' (1967), scrambled, or Halton (1960)."""

    place: ClassVar[int] = 3
    separate: ClassVar[Separate] = "opening"
    name: Literal["qmc"] = "qmc"
    kind: Kind = "sobol"

    def build(self, space: SearchSpace, seed: int) -> Sampler:
        return PerSubspaceSampler(space, seed, self.subspaces(space), partial(QMCModel, kind=self.kind))


SAMPLER = QMCSettings
