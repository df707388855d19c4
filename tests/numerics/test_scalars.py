"""Schedules and learning rates on tensors of a device against the same ones on floats."""

import math
from typing import Any

import pytest
import torch

from vaeforge.training.lr_schedule import options_at
from vaeforge_models.controllers import Geco, PiControl
from vaeforge_models.objective import BetaSchedule, State
from vaeforge_models.schedules import SCHEDULES, Cyclical, Step

GRID = [step / 24 for step in range(1, 25)]
OTHERS = {
    "cyclical, sigmoid": Cyclical(cycles=3, ramp=0.7, shape="sigmoid", min=0.1, max=2.0),
    "cyclical, cosine": Cyclical(cycles=2, ramp=1.0, shape="cosine"),
    "step with four knots": Step(knots=((0.1, 0.5), (0.3, 0.0), (0.8, 2.0), (1.0, 9.0))),
    "geco, tight": Geco(tolerance=1.0, ema=0.5),
    "pi, narrow": PiControl(target=3.0, kp=0.5, ki=0.2, min=0.1, max=0.6),
}
CASES = {name: kind() for name, kind in SCHEDULES.items()} | OTHERS
DISTORTION, KL = torch.tensor(7.0, dtype=torch.float64), torch.tensor([0.01, 2.5, 0.4], dtype=torch.float64)


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def plain(state: State) -> dict[str, float]:
    return {name: float(value) for name, value in state.items()}


@pytest.mark.parametrize("schedule", CASES.values(), ids=CASES)
def test_a_schedule_of_tensors_is_that_of_floats(schedule: BetaSchedule) -> None:
    state = schedule.initial()
    device: State = {name: number(float(value)) for name, value in state.items()}
    for place, t in enumerate(GRID):
        given = number(t)
        assert float(schedule.beta(given, device)) == pytest.approx(float(schedule.beta(t, state)), rel=1e-12)
        assert float(schedule.size(device)) == pytest.approx(float(schedule.size(state)), rel=1e-12)
        loss = schedule.loss(DISTORTION, KL, given, device)
        assert loss.dtype == torch.float64 and loss.shape == ()
        assert float(loss) == pytest.approx(float(schedule.loss(DISTORTION, KL, t, state)), rel=1e-12)
        rate = math.nan if place == 5 else 6.0 - place / 3  # an overflow on the way: controllers keep their state
        distortion = math.inf if place == 5 else 9.0 - place
        state = schedule.update(state, distortion, rate, t)
        device = schedule.update(device, number(distortion), number(rate), given)
        assert all(isinstance(value, torch.Tensor) and value.dtype == torch.float64 for value in device.values())
        assert plain(device) == pytest.approx(plain(state), rel=1e-12)


@pytest.mark.parametrize("kind", ["cosine", "onecycle"])
@pytest.mark.parametrize("total", [1, 2, 3, 4, 30])
def test_a_learning_rate_of_tensors_is_that_of_floats(kind: Any, total: int) -> None:
    for step in range(total):
        plain_options, device = options_at(kind, 0.02, step, total), options_at(kind, 0.02, number(float(step)), total)
        assert plain_options is not None and device is not None
        assert float(device.lr) == pytest.approx(float(plain_options.lr), rel=1e-12)
        if plain_options.beta1 is not None:
            assert device.beta1 is not None
            assert float(device.beta1) == pytest.approx(float(plain_options.beta1), rel=1e-12)
