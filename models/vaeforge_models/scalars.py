"""Arithmetic on single numbers that are Python floats on the host, or float64 tensors on a device.

Tensors have no dimensions, or one: a number of each of several trainings (lanes).

A schedule is written once with these functions: the loop of a processor gives it floats, a captured step of a GPU gives
it tensors, whose values the host never waits for. torch is imported by the first tensor: the settings of schedules are
read where nothing is trained, too.
"""

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    Scalar = float | Tensor
    Flag = bool | Tensor
else:
    Scalar = Flag = Any
NUMBER = (float, int)  # of the host; bool is one


def clamp(value: Scalar, low: Scalar, high: Scalar) -> Scalar:
    """`value` within [low, high]; `high` where they cross."""
    return minimum(maximum(value, low), high)


def minimum(first: Scalar, second: Scalar) -> Scalar:
    """The smaller one."""
    if isinstance(first, NUMBER):
        return min(first, second) if isinstance(second, NUMBER) else minimum(second, first)
    import torch

    return torch.minimum(first, _tensor(second, first.device))


def maximum(first: Scalar, second: Scalar) -> Scalar:
    """The larger one."""
    if isinstance(first, NUMBER):
        return max(first, second) if isinstance(second, NUMBER) else maximum(second, first)
    import torch

    return torch.maximum(first, _tensor(second, first.device))


def where(flag: Flag, yes: Scalar, no: Scalar) -> Scalar:
    """`yes` if the flag holds, else `no`."""
    if isinstance(flag, NUMBER):
        return yes if flag else no
    import torch

    return torch.where(flag, _tensor(yes, flag.device), _tensor(no, flag.device))


def cosine(value: Scalar) -> Scalar:
    """cos(value), in radians."""
    return math.cos(value) if isinstance(value, NUMBER) else value.cos()


def exponential(value: Scalar) -> Scalar:
    """e to the power of `value`."""
    return math.exp(value) if isinstance(value, NUMBER) else value.exp()


def fraction(value: Scalar) -> Scalar:
    """What is behind the point of a number that is not negative."""
    return math.modf(value)[0] if isinstance(value, NUMBER) else value.frac()


def finite(value: Scalar) -> Flag:
    """Whether it is neither infinite nor NaN."""
    return math.isfinite(value) if isinstance(value, NUMBER) else value.isfinite()


def logistic(value: Scalar) -> Scalar:
    """1 / (1 + exp(-value)), without overflow for any value."""
    half = 0.5 * value
    return 0.5 * (1.0 + (math.tanh(half) if isinstance(half, NUMBER) else half.tanh()))


def per_unit(value: Scalar) -> Scalar:
    """The number of each lane, to be compared with those of its latent dimensions: [K] to [K, 1]."""
    return value if isinstance(value, NUMBER) or not value.dim() else value[..., None]


def _tensor(value: Scalar, device: "torch.device") -> "Tensor":
    """A number of the host is written by the device itself: no copy, which a captured step could not make."""
    import torch

    if not isinstance(value, NUMBER):
        return value
    return torch.full((), value, dtype=torch.float64, device=device)
