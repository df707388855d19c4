"""The beta schedules of several lanes as one: every kind among them is computed for all lanes, and each takes its own.

So a step is the same sequence of operations whichever lane follows which schedule, and a lane that is refilled with
another trial needs no new graph while its kind of schedule is among them. Numbers of a schedule are tensors [K]; what
is no number (the shape of a ramp, how many knots there are) belongs to the kind.

Shapes: K lanes, L latent dimensions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vaeforge_models.objective import BatchLoss, BetaSchedule, State, batch_loss
from vaeforge_models.scalars import Scalar, where

Kind = tuple[Any, ...]
SEPARATOR = ":"  # between the number of a kind and the name of a number of its state


def kind_of(schedule: BetaSchedule) -> Kind:
    """What schedules must have in common to be computed at once."""
    return (schedule.schedule, *(_outline(value) for _, value in _numbers(schedule)))


def _numbers(schedule: BetaSchedule) -> list[tuple[str, Any]]:
    return [(name, getattr(schedule, name)) for name in type(schedule).model_fields if name != "schedule"]


def _outline(value: Any) -> Any:
    """A value without its numbers."""
    if isinstance(value, tuple):
        return tuple(_outline(one) for one in value)
    return None if isinstance(value, (int, float)) and not isinstance(value, bool) else value


@dataclass(frozen=True)
class _Form:
    """A kind of schedule for all lanes.

    Attributes:
        schedule: with tensors [K] for numbers; those of lanes of other kinds are some lane's, so that they are sound.
        own: bool [K], the lanes that follow it.
    """

    schedule: BetaSchedule
    own: Tensor


class LaneSchedules:
    """The schedules of K lanes.

    Attributes:
        kinds: that are computed, in the order in which they came up.
        linear: whether all of them are linear in distortion and KL.
    """

    def __init__(self, schedules: Sequence[BetaSchedule], device: torch.device):
        """
        Args:
            schedules: of each lane.
            device: of their numbers.
        """
        self._device, self._schedules = device, list(schedules)
        self.kinds = list(dict.fromkeys(map(kind_of, schedules)))
        self._samples = {kind_of(schedule): schedule for schedule in schedules}
        self._forms = [self._form(kind) for kind in self.kinds]
        self.linear = all(form.schedule.linear for form in self._forms)

    def replace(self, lane: int, schedule: BetaSchedule) -> bool:
        """Let `lane` follow `schedule`, in the same tensors; whether it is of a kind that is computed."""
        self._schedules[lane] = schedule
        if kind_of(schedule) not in self.kinds:
            return False
        for kind, form in zip(self.kinds, self._forms, strict=True):
            fresh = self._form(kind)
            form.own.copy_(fresh.own)
            for (_, kept), (_, value) in zip(_numbers(form.schedule), _numbers(fresh.schedule), strict=True):
                _copy(kept, value)
        return True

    def _form(self, kind: Kind) -> _Form:
        """A kind's numbers of all lanes."""
        own = [kind_of(schedule) == kind for schedule in self._schedules]
        sample = next((s for s, is_own in zip(self._schedules, own, strict=True) if is_own), self._samples[kind])
        filled = [s if is_own else sample for s, is_own in zip(self._schedules, own, strict=True)]
        fields = {name: self._lifted([getattr(one, name) for one in filled]) for name, _ in _numbers(sample)}
        return _Form(type(sample).model_construct(**fields), torch.tensor(own, device=self._device))

    def _lifted(self, values: Sequence[Any]) -> Any:
        """The values of all lanes as one: numbers as a tensor, tuples entry by entry, what is the same as it is."""
        first = values[0]
        if isinstance(first, tuple):
            return tuple(self._lifted(column) for column in zip(*values, strict=True))
        if isinstance(first, (int, float)) and not isinstance(first, bool):
            return torch.tensor([float(value) for value in values], dtype=torch.float64, device=self._device)
        return first

    # the numbers of a step

    def by_means(
        self,
        distortion: Tensor,
        kl: Tensor,
        t: Scalar,
        state: Mapping[str, Scalar],
        log_mse_dimensions: Scalar | None,
        units: Tensor,
    ) -> BatchLoss:
        """`batch_loss` of each lane under its own schedule: value and d_distortion [K], d_kl [K, L]."""
        found: BatchLoss | None = None
        for number, form in enumerate(self._forms):
            one = batch_loss(form.schedule, distortion, kl, t, self._state_of(number, state), log_mse_dimensions, units)
            if found is None:
                found = one
                continue
            own = form.own
            found = BatchLoss(
                torch.where(own, one.value, found.value),
                torch.where(own, one.d_distortion, found.d_distortion),
                torch.where(own[:, None], one.d_kl, found.d_kl),
            )
        assert found is not None
        return found

    def beta(self, t: Scalar, state: Mapping[str, Scalar]) -> Tensor:
        """The weight in force in each lane [K]."""
        return self._chosen([form.schedule.beta(t, self._state_of(n, state)) for n, form in enumerate(self._forms)])

    def size(self, state: Mapping[str, Scalar]) -> Tensor:
        """By how much each lane's loss is scaled [K]."""
        return self._chosen([form.schedule.size(self._state_of(n, state)) for n, form in enumerate(self._forms)])

    def update(self, state: Mapping[str, Scalar], distortion: Tensor, rate: Tensor, t: Scalar) -> State:
        """The states after a step; a lane's numbers of other kinds' states mean nothing."""
        after: State = {}
        for number, form in enumerate(self._forms):
            before = self._state_of(number, state)
            if before:
                moved = form.schedule.update(before, distortion, rate, t)
                after |= {f"{number}{SEPARATOR}{name}": value for name, value in moved.items()}
        return after

    def _chosen(self, values: Sequence[Scalar]) -> Tensor:
        """Of a number of each kind, every lane's own: [K]."""
        chosen: Scalar = torch.zeros(len(self._schedules), dtype=torch.float64, device=self._device)
        for form, value in zip(self._forms, values, strict=True):
            chosen = where(form.own, value, chosen)
        assert isinstance(chosen, Tensor)
        return chosen

    # states of single lanes

    def blank_state(self) -> State:
        """A state of all kinds that have one, as at the first step of each."""
        return {
            f"{number}{SEPARATOR}{name}": self._lifted([value] * len(self._schedules))
            for number, kind in enumerate(self.kinds)
            for name, value in self._samples[kind].initial().items()
        }

    def put_state(self, lane: int, own: Mapping[str, float], state: Mapping[str, Scalar]) -> None:
        """Write a lane's own state into that of all."""
        number = self.kinds.index(kind_of(self._schedules[lane]))
        for name, value in own.items():
            kept = state[f"{number}{SEPARATOR}{name}"]
            assert isinstance(kept, Tensor)
            kept[lane] = value

    def state_in(self, lane: int, state: Mapping[str, Scalar]) -> dict[str, float]:
        """A lane's own state."""
        number = self.kinds.index(kind_of(self._schedules[lane]))
        return {name: float(_at(value, lane)) for name, value in self._state_of(number, state).items()}

    def _state_of(self, number: int, state: Mapping[str, Scalar]) -> State:
        start = f"{number}{SEPARATOR}"
        return {name.removeprefix(start): value for name, value in state.items() if name.startswith(start)}


def _at(value: Scalar, lane: int) -> Scalar:
    return value[lane] if isinstance(value, Tensor) else value


def _copy(kept: Any, value: Any) -> None:
    """Write tensors into those of the same form."""
    if isinstance(kept, tuple):
        for own, new in zip(kept, value, strict=True):
            _copy(own, new)
    elif isinstance(kept, Tensor):
        kept.copy_(value)
