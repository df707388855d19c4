"""Inference over samples, 64 at a time, so that memory does not grow with the data.

Shapes: N samples; images [N, C, H, W] in 0..255; L latent dimensions.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from vaeforge.data.grey_levels import WHITE
from vaeforge.errors import CheckpointError
from vaeforge.samples import Samples
from vaeforge_models.vae import VAE

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ImageMetrics:
    """What reconstruction at z = mu says of each sample, all [N].

    Attributes:
        score: the family's score, larger is more anomalous.
        psnr: peak signal-to-noise ratio of the reconstruction in dB, peak 255.
        ssim: structural similarity (Wang et al. 2004), at most 1.
    """

    score: Floats
    psnr: Floats
    ssim: Floats

    def where(self, chosen: NDArray[np.bool_]) -> "ImageMetrics":
        """The samples for which `chosen` [N] holds."""
        return ImageMetrics(self.score[chosen], self.psnr[chosen], self.ssim[chosen])


@torch.no_grad()
def measure(model: VAE, samples: Samples) -> ImageMetrics:
    """Score, PSNR and SSIM of each sample.

    Raises:
        CheckpointError: if a score is not finite, which no sound model gives.
    """
    parts = [_measure_batch(model, raw, condition) for raw, condition in samples.batches()]
    score, psnr, ssim = (np.concatenate([part[i].double().numpy() for part in parts]) for i in range(3))
    if not np.isfinite(score).all():
        bad = int((~np.isfinite(score)).sum())
        raise CheckpointError(
            f"the model gives {bad} of {len(score)} samples a score that is not finite; train it again"
        )
    return ImageMetrics(score, psnr, ssim)


def _measure_batch(model: VAE, raw: Tensor, condition: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    reconstruction, _, score = model.reconstruct(raw, condition)
    image, target = model.denormalise(reconstruction), raw.float()
    psnr = peak_signal_noise_ratio(image, target, data_range=WHITE, reduction="none", dim=(1, 2, 3))
    ssim = structural_similarity_index_measure(image, target, data_range=WHITE, reduction="none")
    assert isinstance(ssim, Tensor)  # a tuple only where the full image is asked for
    return score, psnr, ssim


@torch.no_grad()
def scores(model: VAE, samples: Samples) -> Floats:
    """The model's score of each sample: [N]."""
    parts = [model.reconstruct(raw, condition)[2].double().numpy() for raw, condition in samples.batches()]
    return np.concatenate(parts)


@torch.no_grad()
def reconstructions(model: VAE, samples: Samples) -> tuple[Floats, Floats]:
    """Samples and their reconstructions at z = mu, both in model units: [N, D] each."""
    pairs = []
    for raw, condition in samples.batches():
        reconstruction = model.reconstruct(raw, condition)[0].flatten(1).double().numpy()
        pairs.append((model.normalise(raw).flatten(1).double().numpy(), reconstruction))
    return np.concatenate([pair[0] for pair in pairs]), np.concatenate([pair[1] for pair in pairs])


@torch.no_grad()
def posteriors(model: VAE, samples: Samples) -> tuple[Floats, Floats]:
    """Posterior means and standard deviations: [N, L] each."""
    found = [model.encode(model.normalise(raw), condition) for raw, condition in samples.batches()]
    mu = np.concatenate([posterior.mu.double().numpy() for posterior in found])
    return mu, np.concatenate([(0.5 * posterior.logvar).exp().double().numpy() for posterior in found])
