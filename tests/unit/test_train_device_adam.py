"""Adam with its options as tensors against torch's own, and checkpoints of one that the other goes on from."""

import pytest
import torch
from torch import nn

from vaeforge.training.device_adam import DeviceAdam

SHAPES = ((4, 3), (5,), (2, 2, 2))


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(3)
    return [nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in SHAPES]


def give_gradients(one: list[nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(100 + step)
    for parameter in one:
        parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 10.0 ** (step % 5 - 2)


def options(step: int) -> tuple[float, float]:
    return 0.01 * (1 + step % 7), 0.95 - 0.01 * (step % 4)


def set_options(optimizer: torch.optim.Optimizer, step: int, as_tensors: bool) -> None:
    lr, beta1 = options(step)
    group = optimizer.param_groups[0]
    if as_tensors:
        group["lr"] = torch.tensor(lr, dtype=torch.float64)
        group["betas"] = tuple(torch.tensor(one, dtype=torch.float64) for one in (beta1, 0.999))
    else:
        group["lr"], group["betas"] = lr, (beta1, 0.999)


def torchs(one: list[nn.Parameter], decoupled: bool, decay: float) -> torch.optim.Optimizer:
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    return kind(one, lr=0.01, weight_decay=decay, fused=True)


def move(optimizer: torch.optim.Optimizer, one: list[nn.Parameter], steps: range, as_tensors: bool) -> None:
    for step in steps:
        give_gradients(one, step)
        set_options(optimizer, step, as_tensors)
        optimizer.step()


@pytest.mark.parametrize("as_tensors", [True, False])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("decoupled", [True, False])
def test_steps_are_those_of_torch(decoupled: bool, decay: float, as_tensors: bool) -> None:
    own, reference = parameters(), parameters()
    move(DeviceAdam(own, 0.01, decay, decoupled), own, range(20), as_tensors)
    move(torchs(reference, decoupled, decay), reference, range(20), False)
    for found, expected in zip(own, reference, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("from_torch", [True, False])
def test_a_state_of_either_goes_on_in_the_other(from_torch: bool) -> None:
    own, reference = parameters(), parameters()
    move(torchs(reference, True, 0.1), reference, range(20), False)
    first = torchs(own, True, 0.1) if from_torch else DeviceAdam(own, 0.01, 0.1, True)
    move(first, own, range(10), False)
    second = DeviceAdam(own, 0.01, 0.1, True) if from_torch else torchs(own, True, 0.1)
    second.load_state_dict(first.state_dict())
    move(second, own, range(10, 20), False)
    for found, expected in zip(own, reference, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def test_a_step_that_overflowed_changes_nothing() -> None:
    own = parameters()
    optimizer = DeviceAdam(own, 0.01, 0.1, True)
    move(optimizer, own, range(3), True)
    before = [one.detach().clone() for one in own]
    moments = [value.clone() for state in optimizer.state.values() for value in state.values()]
    give_gradients(own, 3)
    gradient = own[0].grad
    assert gradient is not None
    gradient[0, 0] = torch.inf
    optimizer.found_inf = torch.tensor(1.0)
    optimizer.step()
    assert all(torch.equal(now, then) for now, then in zip(own, before, strict=True))
    after = [value for state in optimizer.state.values() for value in state.values()]
    assert all(torch.equal(now, then) for now, then in zip(after, moments, strict=True))
    optimizer.found_inf = torch.tensor(0.0)
    give_gradients(own, 3)
    optimizer.step()
    assert not torch.equal(own[0], before[0])


def test_parameters_without_a_gradient_are_left_alone() -> None:
    own = parameters()
    optimizer = DeviceAdam(own, 0.01, 0.1, False)
    give_gradients(own[:2], 0)
    before = own[2].detach().clone()
    optimizer.step()
    assert torch.equal(own[2], before) and own[2] not in optimizer.state
