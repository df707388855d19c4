"""Sending uint8 arrays through a model, 64 samples at a time, so that memory does not grow with the data.

Shapes: N samples [N, C, H, W] in 0..255.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from vaeforge.errors import CheckpointError
from vaeforge_models.vae import VAE

BATCH = 64
WHITE = 255.0
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """What reconstruction at z = mu says of each sample, all [N].

    Attributes:
        score: the family's score, larger for stranger.
        psnr: peak signal-to-noise ratio of the reconstruction in dB, peak 255.
        ssim: structural similarity (Wang et al. 2004), at most 1.
    """

    score: Floats
    psnr: Floats
    ssim: Floats

    def where(self, chosen: NDArray[np.bool_]) -> "Measured":
        """The samples for which `chosen` [N] holds."""
        return Measured(self.score[chosen], self.psnr[chosen], self.ssim[chosen])


def batches(samples: NDArray[np.uint8]) -> Iterator[Tensor]:
    """`samples` as uint8 tensors of at most 64; a memory map is read batch by batch."""
    for start in range(0, len(samples), BATCH):
        yield torch.from_numpy(np.array(samples[start : start + BATCH]))


@torch.no_grad()
def measure(model: VAE, samples: NDArray[np.uint8]) -> Measured:
    """Score, PSNR and SSIM of each sample.

    Raises:
        CheckpointError: if a score is not finite, which no sound model gives.
    """
    parts = [_measure_batch(model, raw) for raw in batches(samples)]
    score, psnr, ssim = (np.concatenate([part[i].double().numpy() for part in parts]) for i in range(3))
    if not np.isfinite(score).all():
        bad = int((~np.isfinite(score)).sum())
        raise CheckpointError(
            f"the model gives {bad} of {len(score)} samples a score that is not finite; train it again"
        )
    return Measured(score, psnr, ssim)


def _measure_batch(model: VAE, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    reconstruction, _, score = model.reconstruct(raw)
    image, target = model.denormalise(reconstruction), raw.float()
    psnr = peak_signal_noise_ratio(image, target, data_range=WHITE, reduction="none", dim=(1, 2, 3))
    ssim = structural_similarity_index_measure(image, target, data_range=WHITE, reduction="none")
    assert isinstance(ssim, Tensor)  # a tuple only where the full image is asked for
    return score, psnr, ssim


def scores(model: VAE, samples: NDArray[np.uint8]) -> Floats:
    """The model's score of each sample: [N]."""
    with torch.no_grad():
        return np.concatenate([model.reconstruct(raw)[2].double().numpy() for raw in batches(samples)])
