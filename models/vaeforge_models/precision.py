"""The floating-point type that models compute in: torch's default, which is float32 unless a caller sets another.

No model names float32, so that `torch.set_default_dtype` alone makes a training compute in float64. The golden losses
(`tests/golden`) are computed so: float32 rounds differently from CPU to CPU, and twenty optimiser steps make that
visible.
"""

import torch
from torch import Tensor


def floating(values: Tensor) -> Tensor:
    """`values` of any type in the default floating-point type; the same tensor where it has that type already."""
    return values.to(torch.get_default_dtype())
