"""Arithmetic on single numbers that are Python floats on the host, or float64 tensors without dimensions on a device.

A schedule is written once with these functions: the loop of a processor gives it floats, a captured step of a GPU gives
it tensors, whose values the host never waits for.
"""

import math

import torch
from torch import Tensor

Scalar = float | Tensor
Flag = bool | Tensor


def clamp(value: Scalar, low: Scalar, high: Scalar) -> Scalar:
    """`value` within [low, high]; `high` where they cross."""
    return minimum(maximum(value, low), high)


def minimum(first: Scalar, second: Scalar) -> Scalar:
    """The smaller one."""
    if isinstance(first, Tensor):
        return torch.minimum(first, _tensor(second, first.device))
    return minimum(second, first) if isinstance(second, Tensor) else min(first, second)


def maximum(first: Scalar, second: Scalar) -> Scalar:
    """The larger one."""
    if isinstance(first, Tensor):
        return torch.maximum(first, _tensor(second, first.device))
    return maximum(second, first) if isinstance(second, Tensor) else max(first, second)


def where(flag: Flag, yes: Scalar, no: Scalar) -> Scalar:
    """`yes` if the flag holds, else `no`."""
    if isinstance(flag, Tensor):
        return torch.where(flag, _tensor(yes, flag.device), _tensor(no, flag.device))
    return yes if flag else no


def cosine(value: Scalar) -> Scalar:
    """cos(value), in radians."""
    return value.cos() if isinstance(value, Tensor) else math.cos(value)


def exponential(value: Scalar) -> Scalar:
    """e to the power of `value`."""
    return value.exp() if isinstance(value, Tensor) else math.exp(value)


def fraction(value: Scalar) -> Scalar:
    """What is behind the point of a number that is not negative."""
    return value.frac() if isinstance(value, Tensor) else math.modf(value)[0]


def finite(value: Scalar) -> Flag:
    """Whether it is neither infinite nor NaN."""
    return value.isfinite() if isinstance(value, Tensor) else math.isfinite(value)


def logistic(value: Scalar) -> Scalar:
    """1 / (1 + exp(-value)), without overflow for any value."""
    half = 0.5 * value
    return 0.5 * (1.0 + (half.tanh() if isinstance(half, Tensor) else math.tanh(half)))


def _tensor(value: Scalar, device: torch.device) -> Tensor:
    """A number of the host is written by the device itself: no copy, which a captured step could not make."""
    return value if isinstance(value, Tensor) else torch.full((), value, dtype=torch.float64, device=device)
