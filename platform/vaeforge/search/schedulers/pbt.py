"""Population based training (PBT) in synchronous generations: Jaderberg et al. 2017, "Population Based Training of
Neural Networks", with truncation selection.

All trials of the search are one population. After every generation each waits until the last live one has arrived.
Then the worst `quantile` of them goes on with weights and parameters of a member of the best `quantile`, drawn
uniformly, its parameters changed as `mutation.py` says; the others continue as they are. Fewer than four have no
quartiles: one inherits from one; one alone continues. Schedule groups play no role: all of a generation have trained
equally long, and an inheritor may take another schedule.

One that had failed and is tried again trains alone through the generations that were decided without it, and the
others wait for it in the next one.

Synchronous, because a decision then depends on nothing but the values and the seed, not on which worker group was
faster. The price is waiting: members give their worker groups back meanwhile, so that a population may be larger than
the cluster.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from vaeforge.ledger.history import SearchHistory
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.search.schedulers.base import RungReport, Scheduler, TrialDecision, compared, decision_of, require_finite
from vaeforge.search.schedulers.mutation import Mutation, mutable
from vaeforge.search.schedulers.settings import SchedulerContext, SchedulerSettings
from vaeforge.search.space.dimensions import Dimension, Params, walk
from vaeforge.search.space.fidelity import Fidelity
from vaeforge.seeds import derive


@dataclass
class Member:
    """A trial of the population.

    Attributes:
        params: its present parameters; none before it was first heard of.
        reached: the last generation's epoch that it has arrived at.
        gone: it has ended, and nobody waits for it.
    """

    params: Params | None = None
    reached: int = 0
    gone: bool = False


class PBT(Scheduler):
    """Trials 0 .. population - 1, and those of an earlier session that had more."""

    uses_latest_value = True
    releases_worker = True

    def __init__(self, epochs: Iterable[int], population: int, quantile: float, mutation: Mutation, seed: int):
        self.epochs = frozenset(epochs)
        self._generations = {epoch: number for number, epoch in enumerate(sorted(self.epochs), start=1)}
        self._quantile, self._mutation, self._seed = quantile, mutation, seed
        self._members = {number: Member() for number in range(population)}
        self._waiting: dict[int, dict[int, float]] = {epoch: {} for epoch in self.epochs}
        self._reopened: dict[int, dict[int, float]] = {}
        self._given: dict[tuple[int, int], TrialDecision] = {}
        self._answers: dict[tuple[int, int], list[TrialDecision]] = {}

    def on_report(self, trial: RungReport, epoch: int, value: float) -> list[TrialDecision]:
        key, member = (trial.number, epoch), self._members.setdefault(trial.number, Member())
        if key in self._given:
            return list(self._answers.get(key, [self._given[key]]))
        if epoch not in self.epochs or member.gone:
            return []
        require_finite(trial.number, epoch, value)
        if member.params is None:
            member.params = trial.params
        member.reached = max(member.reached, epoch)
        self._waiting[epoch].setdefault(trial.number, value)
        decisions = self._settle(epoch)
        if decisions:
            self._answers[key] = decisions
        return list(decisions)

    def on_trial_end(self, number: int) -> list[TrialDecision]:
        member = self._members.setdefault(number, Member())
        if member.gone:
            return []
        member.gone = True
        for waiting in self._waiting.values():
            waiting.pop(number, None)
        return [decision for epoch in sorted(self.epochs) for decision in self._settle(epoch)]

    def replay(self, history: SearchHistory) -> None:
        trials = history.trials.values()
        for trial in trials:
            self._take_in(trial)
        for epoch in self.epochs:
            if any(t.state is None and t.epoch == epoch and epoch not in t.decisions for t in trials):
                # the last session ended between two decisions of one generation: the rest is decided as it would have
                # been, among all of them; those who have moved on since then belong to a generation that was complete
                self._reopened[epoch] = {
                    t.number: t.decisions[epoch].value for t in trials if t.epoch == epoch and epoch in t.decisions
                }

    def _take_in(self, trial: TrialRecord) -> None:
        member = self._members.setdefault(trial.number, Member())
        member.params, member.gone = trial.params, trial.state is not None or trial.repeat_of is not None
        for epoch, decision in sorted(trial.decisions.items()):
            if epoch in self.epochs:
                self._given[trial.number, epoch] = decision_of(decision)
                member.reached = epoch

    def _settle(self, epoch: int) -> list[TrialDecision]:
        """The decisions on all who wait at `epoch`, if nobody who could still join them is missing."""
        waiting = self._waiting[epoch]
        if not waiting or any(m.reached < epoch and not m.gone for m in self._members.values()):
            return []
        values = self._reopened.pop(epoch, {}) | waiting
        decisions = [decision for decision in self._select(epoch, values) if decision.trial in waiting]
        self._waiting[epoch] = {}
        for decision in decisions:
            self._given[decision.trial, epoch] = decision
            if decision.params is not None:
                self._members[decision.trial].params = decision.params
        return decisions

    def _select(self, epoch: int, values: dict[int, float]) -> list[TrialDecision]:
        """Truncation selection among `values`; inheritors first, so that donors stand where they are inherited from."""
        order = sorted(values, key=lambda number: (values[number], number))
        # 0.29 * 100 is 28.999999999999996
        count = min(max(1, int(len(order) * self._quantile + 1e-9)), len(order) // 2)
        staying, worst = order[: len(order) - count], order[len(order) - count :]
        needed = values[staying[-1]] if count else None
        generation = f"generation {self._generations[epoch]}"
        rest = f"{generation}: " + (f"best {len(staying)} of {len(order)}" if count else self._alone(epoch))
        inherited = [
            self._inherit(TrialDecision(number, epoch, "inherit", values[number], needed), generation, order, count)
            for number in sorted(worst)
        ]
        return inherited + [
            TrialDecision(number, epoch, "go", values[number], needed, rest) for number in sorted(staying)
        ]

    def _alone(self, epoch: int) -> str:
        """Why a member is compared with nobody."""
        late = any(decided == epoch for _, decided in self._given)
        return "the others are further" if late else "nobody to compare with"

    def _inherit(self, decision: TrialDecision, generation: str, order: list[int], count: int) -> TrialDecision:
        """`decision` with a donor from the best `count` of `order`, and the donor's parameters changed."""
        generator = np.random.default_rng(derive(self._seed, "inherit", decision.trial, decision.epoch))
        donor = order[int(generator.integers(count))]
        params = self._mutation.of(self._members[donor].params or {}, generator)
        numbers = "" if decision.needed is None else f" ({compared(decision.value, decision.needed)})"
        why = f"{generation}: worst {count} of {len(order)}{numbers}; weights of trial {donor}"
        return replace(decision, why=why, donor=donor, params=params)


class PBTSettings(SchedulerSettings):
    """Population based training (Jaderberg et al. 2017), in generations of `interval` epochs."""

    place: ClassVar[int] = 3
    several_goals: ClassVar[bool] = False
    begins: ClassVar[str | None] = "interval"
    must_decide: ClassVar[bool] = True
    name: Literal["pbt"] = "pbt"
    interval: Annotated[int | None, Field(ge=1, description="epochs of a generation; none: fidelity.min")] = None
    quantile: Annotated[float, Field(gt=0, le=0.5, description="share that inherits, and share that bequeaths")] = 0.25
    resample: Annotated[float, Field(ge=0, le=1, description="probability that a parameter is drawn anew")] = 0.25

    def epochs(self, fidelity: Fidelity) -> list[int]:
        interval = self.first(fidelity)[1]
        return list(range(interval, fidelity.max, interval))

    def build(self, context: SchedulerContext) -> Scheduler:
        mutation = Mutation(context.dimensions, self.resample)
        return PBT(self.epochs(context.fidelity), context.trials, self.quantile, mutation, context.seed)

    def unmet(self, dimensions: tuple[Dimension, ...]) -> list[str]:
        """Something must be searched that it may change."""
        if any(mutable(dimension.path) for dimension in walk(dimensions)):
            return []
        return [
            "pbt changes beta.*, optimizer.lr and optimizer.weight_decay during training, and none of them is "
            "searched; add one to the space, or take another scheduler"
        ]


SCHEDULER = PBTSettings
