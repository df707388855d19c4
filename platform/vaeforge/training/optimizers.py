"""Torch's Adam without the import of torch's compiler: two seconds and a tenth of a gigabyte of each training process.

Torch's optimizers import it to tell it to leave some of their methods alone. Here are the methods that are left alone.
Who does compile a model has imported it, and gains nothing of what it would make of an optimizer.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer


def _left_alone(method: Callable[..., Any]) -> Any:
    """What a method of torch's calls once it has told the compiler; itself where this torch tells it nothing."""
    return getattr(method, "__wrapped__", method)


class UncompiledOptimizer(Optimizer):
    """What every optimizer has."""

    add_param_group = _left_alone(Optimizer.add_param_group)
    zero_grad = _left_alone(Optimizer.zero_grad)
    state_dict = _left_alone(Optimizer.state_dict)
    load_state_dict = _left_alone(Optimizer.load_state_dict)


class Adam(UncompiledOptimizer, torch.optim.Adam):
    """Adam (Kingma and Ba 2015), `torch.optim.Adam`."""

    step = torch.no_grad()(_left_alone(torch.optim.Adam.step))


class AdamW(UncompiledOptimizer, torch.optim.AdamW):
    """AdamW (Loshchilov and Hutter 2019), `torch.optim.AdamW`."""

    step = torch.no_grad()(_left_alone(torch.optim.AdamW.step))
