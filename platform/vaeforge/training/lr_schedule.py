"""The learning rate as a function of training progress t in [0, 1]: a resumed training needs no state for it."""

import math

from vaeforge.config.experiment import Optimizer

WARMUP, START_DIVISOR, END_DIVISOR = 0.3, 25.0, 1e4


def learning_rate_at(optimizer: Optimizer, t: float) -> float | None:
    """The learning rate at progress t; none where it does not follow from progress.

    cosine: lr (1 + cos(pi t)) / 2 (Loshchilov and Hutter 2017, no restarts). onecycle: from lr / 25 up to lr over the
    first 30 %, then down to lr / 250,000, both along a cosine (Smith and Topin 2019, with PyTorch's defaults).
    """
    if optimizer.schedule == "cosine":
        return cosine_anneal(optimizer.lr, 0.0, t)
    if optimizer.schedule == "onecycle":
        start = optimizer.lr / START_DIVISOR
        if t < WARMUP:
            return cosine_anneal(start, optimizer.lr, t / WARMUP)
        return cosine_anneal(optimizer.lr, start / END_DIVISOR, (t - WARMUP) / (1 - WARMUP))
    return None


def cosine_anneal(first: float, last: float, t: float) -> float:
    """From `first` at t = 0 to `last` at t = 1 along half a cosine."""
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * t))
