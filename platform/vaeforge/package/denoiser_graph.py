"""Graph of a latent diffusion model's network, and its noise schedule as data.

Whoever samples runs the graph once a step and follows diffusion.json, say by DDIM without noise (Song et al. 2021,
eq. 12), from u_T ~ N(0, I) down the time steps t = T - T/S, ..., T/S, 0 of S steps, s the one after t:

    u_0 = (u_t - sqrt(1 - abar_t) eps) / sqrt(abar_t), limited to [-bound, bound] where there is a bound
    eps = (u_t - sqrt(abar_t) u_0) / sqrt(1 - abar_t)
    u_s = sqrt(abar_s) u_0 + sqrt(1 - abar_s) eps, abar_s = 1 after the last step
    z   = mean + std * u_0, which goes into decoder.onnx

Shapes: B samples, L latent dimensions, T time steps; u_t and the predicted noise eps [B, L], t int64 [B], the pattern
image of a conditional model [B, 1, H, W].
"""

from typing import Any

import torch
from torch import Tensor, nn

from vaeforge.package.graphs import EXAMPLE_BATCH, Graph
from vaeforge_models.diffusion import LatentDiffusion

NOISE = "noise"


class Denoiser(nn.Module):
    """The noise in u_t that the network sees."""

    def __init__(self, diffusion: LatentDiffusion):
        super().__init__()
        self.diffusion = diffusion

    def forward(self, latent: Tensor, t: Tensor, pattern: Tensor | None = None) -> tuple[Tensor, ...]:
        return (self.diffusion.predict_noise(latent, t, pattern),)


def denoising_graph(diffusion: LatentDiffusion, pattern_shape: tuple[int, ...]) -> Graph:
    """The graph `denoiser`; `pattern_shape` is that of one pattern image and counts for a conditional model only."""
    latent = torch.zeros(EXAMPLE_BATCH, diffusion.latent_dim)
    examples = {"latent": latent, "t": torch.zeros(EXAMPLE_BATCH, dtype=torch.int64)}
    if diffusion.settings.conditional:
        examples["pattern"] = torch.zeros(EXAMPLE_BATCH, *pattern_shape)
    return Graph(Denoiser(diffusion).eval(), examples, (NOISE,), {"t": diffusion.settings.timesteps})


def schedule_of(diffusion: LatentDiffusion) -> dict[str, Any]:
    """What diffusion.json holds; `bound` limits standardised u_0 and is null for none, `sampling_steps` are DDIM's."""
    settings, process = diffusion.settings, diffusion.forward_process
    return {
        "prediction": NOISE,
        "timesteps": settings.timesteps,
        "betas": process.betas.tolist(),
        "alphas_cumprod": process.alphas_cumprod.tolist(),
        "sampler": settings.sampler,
        "sampling_steps": settings.sampling_steps,
        "bound": diffusion.bound.item() if settings.clip else None,
        "mean": diffusion.mean.tolist(),
        "std": diffusion.std.tolist(),
        "latent_dim": diffusion.latent_dim,
        "conditional": settings.conditional,
    }
