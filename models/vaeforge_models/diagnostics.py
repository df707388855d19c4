"""How much of the latent space a model uses."""

import torch
from torch import Tensor

ACTIVE_THRESHOLD = 0.01


def active_units(total: Tensor, total_of_squares: Tensor, count: int) -> int:
    """#{j : Var_x E[z_j|x] > 0.01} (Burda et al. 2016) from sums of posterior means, each [L], over `count` samples.

    Takes sums so that ranks can add theirs before one of them divides; float64, because the difference of two large
    sums is small.
    """
    mean = total.to(torch.float64) / count
    variance = total_of_squares.to(torch.float64) / count - mean.square()
    return int((variance > ACTIVE_THRESHOLD).sum())
