"""Random numbers that follow from a key and a counter alone, the same on every device and in any order.

Value number i under a key is the i-th output of SplitMix64 (Steele, Lea and Flood 2014, `java.util.SplittableRandom`)
whose state starts at the key: an addition, two multiplications and three shifts of a 64-bit integer. So a rank, a
captured graph or one of several models that train together draws just the rows that it needs, and draws the same ones
again after a resume. Not for cryptography.

Shapes: rows [R] are counters of rows, from 0; a row has `columns` values, and value (r, c) is number r * columns + c.
Keys are integers of 64 bits: a Python int, or an int64 tensor of no dimensions where they are made on the device. Keys
[K] of several models draw for all of them at once: what is [R, columns] under one key is then [K, R, columns].
"""

import math

import torch
from torch import Tensor

Key = int | Tensor

GAMMA = 0x9E3779B97F4A7C15 - 2**64  # the golden ratio's share of 2^64, as every constant here in two's complement
FIRST, SECOND = 0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64
UNIFORM_BITS = 24  # a float32 holds as many
HALF = 32  # bits of each of the two uniform numbers that a normal one is made of


def derived(key: Key, number: Key, device: torch.device) -> Tensor:
    """The key of case `number` under `key`: that output of the generator. Numbers of any shape give as many keys.

    Keys [K] and numbers [K] give the key of each number under its own key.
    """
    counter = number if isinstance(number, Tensor) else torch.full((), number, dtype=torch.int64, device=device)
    return _mixed(counter * GAMMA + key)


def integers(key: Key, rows: Tensor, columns: int, own: Tensor | None = None) -> Tensor:
    """Evenly distributed integers of 64 bits, int64 [R, columns].

    Args:
        key: or keys [K].
        rows: counters.
        columns: values of a row.
        own: of several keys, the columns [K] that count for each of them, at most `columns`; what lies behind them is
            drawn for nobody.
    """
    places = torch.arange(1, columns + 1, device=rows.device)
    lengths = columns if own is None else own[:, None, None]
    counters = (rows[:, None] * lengths + places).mul_(GAMMA)
    if isinstance(key, Tensor):
        return _mixed(counters + (key[:, None, None] if key.dim() else key))
    return _mixed(counters.add_(key))


def uniform(key: Key, rows: Tensor, columns: int) -> Tensor:
    """Uniform numbers in [0, 1), multiples of 2^-24, in torch's default type: [R, columns]."""
    whole = _shifted(integers(key, rows, columns), 64 - UNIFORM_BITS)
    return whole.to(torch.get_default_dtype()).mul_(2.0**-UNIFORM_BITS)


def chance(key: Key, rows: Tensor, columns: int, threshold: Key) -> Tensor:
    """Whether a uniform number is below the probability whose threshold that is: bool [R, columns]."""
    return _shifted(integers(key, rows, columns), 64 - UNIFORM_BITS).lt(threshold)


def threshold(probability: float) -> int:
    """How many of the numbers that `uniform` takes lie below `probability`."""
    return math.ceil(probability * float(2**UNIFORM_BITS))


def normal(key: Key, rows: Tensor, columns: int, own: Tensor | None = None) -> Tensor:
    """Standard normal numbers in torch's default type: [R, columns].

    sqrt(-2 ln u) cos(2 pi v) (Box and Muller 1958), u in (0, 1] and v in [0, 1) from the two halves of one integer; at
    most 6.8 in absolute value. `own` is that of `integers`.
    """
    drawn, kind = integers(key, rows, columns, own), torch.get_default_dtype()
    angle = (drawn & (2**HALF - 1)).to(kind).mul_(2.0 * math.pi * 2.0**-HALF).cos_()
    radius = _shifted(drawn, 64 - HALF).to(kind).add_(0.5).mul_(2.0**-HALF).log_().mul_(-2.0).sqrt_()
    return radius.mul_(angle)


def permutation(key: Key, count: int, device: torch.device) -> Tensor:
    """The numbers below `count` in a random order: int64 [count]."""
    drawn = integers(key, torch.arange(count, device=device), 1)
    return drawn[:, 0].argsort(stable=True)


def choices(key: Key, weights: Tensor, count: int) -> Tensor:
    """`count` indices drawn with replacement, each as likely as its share of `weights` [N]: int64 [count]."""
    reached = weights.double().cumsum(0)
    drawn = _shifted(integers(key, torch.arange(count, device=weights.device), 1)[:, 0], 64 - 53)
    points = drawn.double().mul_(2.0**-53).mul_(reached[-1])
    return torch.searchsorted(reached, points, right=True).clamp_(max=len(weights) - 1)


def _mixed(state: Tensor) -> Tensor:
    """The output function, in place."""
    state = state.bitwise_xor_(_shifted(state, 30)).mul_(FIRST)
    state = state.bitwise_xor_(_shifted(state, 27)).mul_(SECOND)
    return state.bitwise_xor_(_shifted(state, 31))


def _shifted(values: Tensor, bits: int) -> Tensor:
    """`values` shifted right by `bits`, with zeros from the left; torch's own shift repeats the sign."""
    return (values >> bits).bitwise_and_(2 ** (64 - bits) - 1)
