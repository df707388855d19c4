"""Sums of an epoch over its steps, on the device, without the host waiting for any of them."""

import math

import torch
from torch import Tensor


class EpochSums:
    """Terms of the loss, times samples, and the largest gradient of an epoch."""

    def __init__(self, device: torch.device):
        self._terms = torch.zeros(3, dtype=torch.float64, device=device)
        self._samples = torch.zeros((), dtype=torch.float64, device=device)
        self._norm = torch.zeros((), dtype=torch.float64, device=device)

    def clear(self) -> None:
        """Begin an epoch."""
        for one in (self._terms, self._samples, self._norm):
            one.zero_()

    def add(self, terms: Tensor, norm: Tensor, samples: int) -> None:
        """Add a step.

        Args:
            terms: its loss, distortion and rate, nats per sample [3].
            norm: of its gradient before clipping; what is not a number counts as infinite.
            samples: of the whole step.
        """
        self._terms.add_(terms, alpha=samples)
        self._samples.add_(samples)
        self._norm.copy_(torch.maximum(self._norm, norm.double().nan_to_num(nan=math.inf)))

    def metrics(self) -> dict[str, float]:
        """Means per sample in nats, and the largest norm; the host waits for the device here."""
        loss, distortion, rate, norm = torch.cat([self._terms / self._samples, self._norm[None]]).tolist()
        return {"train/loss": loss, "train/distortion": distortion, "train/rate": rate, "gradient_norm": norm}
