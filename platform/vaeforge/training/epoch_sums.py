"""Sums of an epoch over its steps, on the device, without the host waiting for any of them."""

import math

import torch
from torch import Tensor


class EpochSums:
    """Terms of the loss, times samples, and the largest gradient of an epoch.

    Args:
        device: where they lie.
        lanes: of several trainings at once, whose numbers then have a dimension more in front; none for one.
    """

    def __init__(self, device: torch.device, lanes: int | None = None):
        front = () if lanes is None else (lanes,)
        self._terms = torch.zeros(*front, 3, dtype=torch.float64, device=device)
        self._samples = torch.zeros((), dtype=torch.float64, device=device)
        self._norm = torch.zeros(front, dtype=torch.float64, device=device)

    def clear(self) -> None:
        """Begin an epoch."""
        for one in (self._terms, self._samples, self._norm):
            one.zero_()

    def add(self, terms: Tensor, norm: Tensor, samples: int) -> None:
        """Add a step.

        Args:
            terms: its loss, distortion and rate, nats per sample [3].
            norm: of its gradient before clipping; what is not a number counts as infinite.
            samples: of the whole step, of each training.
        """
        self._terms.add_(terms, alpha=samples)
        self._samples.add_(samples)
        self._norm.copy_(torch.maximum(self._norm, norm.double().nan_to_num(nan=math.inf)))

    def metrics(self) -> dict[str, float]:
        """Means per sample in nats, and the largest norm, of one training; the host waits for the device here."""
        (found,) = self.by_lane()
        return found

    def by_lane(self) -> list[dict[str, float]]:
        """The same of each training."""
        numbers = torch.cat([self._terms / self._samples, self._norm[..., None]], -1).reshape(-1, 4).tolist()
        names = ("train/loss", "train/distortion", "train/rate", "gradient_norm")
        return [dict(zip(names, row, strict=True)) for row in numbers]
