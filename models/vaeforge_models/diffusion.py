"""Latent diffusion: a generative model of the latent vectors of a trained VAE.

Shapes: B samples, L latent dimensions, T timesteps, t in 0..T-1; z [B, L] in latent units, u [B, L] standardised.

    u = (z - mean) / std, per dimension
    q(u_t | u) = N(sqrt(abar_t) u, (1 - abar_t) I), abar_t = prod_{s <= t} (1 - beta_s)         (Ho et al. 2020, eq. 4)
    loss = mean |eps - eps_theta(u_t, t)|^2 per dimension                                        (the same, eq. 14)

Sampling is DDPM (Ho et al. 2020, algorithm 2, the smaller variance) or DDIM with eta = 0 (Song et al. 2021, eq. 12).
The noise schedules and reverse steps are those of the `diffusers` library.
"""

from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from vaeforge_models.denoisers import TIME_RANGE, ConvUNet1d, MLPUNet
from vaeforge_models.settings import Settings

Sampler = Literal["ddpm", "ddim"]
LINEAR_BETAS = (1e-4, 0.02)
PUBLISHED_TIMESTEPS = 1000
SMALLEST_STD = 1e-6
SEED_RANGE = 2**63 - 1


class DiffusionSettings(Settings):
    """What the diffusion model is, how it is trained and how it is sampled.

    Attributes:
        kind: the network that predicts the noise.
        conditional: whether it sees a pattern image.
        width: multiplies every width of the network.
        timesteps: T. Linear betas are those of 1000 steps times 1000 / T, so that abar_T stays near 0.
        noise: linear (1e-4 to 0.02) or cosine (s = 0.008, Nichol and Dhariwal 2021).
        steps: optimiser steps.
        lr_schedule: constant, or a cosine from `lr` to 0 over `steps`.
        ema: decay of the average of the weights that is validated, kept and sampled from; none for the weights alone.
        validation_interval: optimiser steps between two validations.
        sampling_steps: steps of DDIM, a divisor of `timesteps`; DDPM takes all of them. Few steps lose variance: of
            Gaussian latents 10 leave 0.69 (linear) or 0.80 (cosine), 50 leave 0.93 or 0.95 (docs/metrics.md).
        clip: limit predicted z_0 to the largest standardised training latent. At the noisy end of a cosine schedule an
            error in the predicted noise is multiplied by 1 / sqrt(abar_T), about 20000.
    """

    kind: Literal["conv", "mlp"] = "mlp"
    conditional: bool = False
    width: Annotated[float, Field(gt=0, le=8)] = 1.0
    timesteps: Annotated[int, Field(ge=50, le=10_000)] = PUBLISHED_TIMESTEPS
    noise: Literal["linear", "cosine"] = "linear"
    steps: Annotated[int, Field(ge=1)] = 20_000
    batch_size: Annotated[int, Field(ge=1)] = 128
    lr: Annotated[float, Field(gt=0)] = 1e-4
    lr_schedule: Literal["constant", "cosine"] = "constant"
    weight_decay: Annotated[float, Field(ge=0)] = 1e-6
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    ema: Annotated[float, Field(gt=0, lt=1)] | None = 0.999
    validation_interval: Annotated[int, Field(ge=1)] = 500
    sampler: Sampler = "ddim"
    sampling_steps: Annotated[int, Field(ge=1)] = 50
    clip: bool = True

    @model_validator(mode="after")
    def _divisible(self) -> "DiffusionSettings":
        _check_steps(self.sampling_steps, self.timesteps)
        return self


def _check_steps(steps: int, timesteps: int) -> None:
    """The library starts too late or steps unevenly where `steps` does not divide T."""
    if steps < 1 or timesteps % steps:
        raise ValueError(f"sampling_steps: got {steps}, must be a divisor of timesteps, which is {timesteps}")


def noise_scheduler(settings: DiffusionSettings, sampler: Sampler, bound: float | None = None) -> Any:
    """The library's scheduler for `sampler`; `bound` limits |u_0| where it is given.

    Its own default, a limit of 1, is for images in [-1, 1] and would cut off most standardised latents.
    """
    # a second of import that only those pay who use it
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    first, last = (beta * PUBLISHED_TIMESTEPS / settings.timesteps for beta in LINEAR_BETAS)
    kind = {"ddpm": DDPMScheduler, "ddim": DDIMScheduler}[sampler]
    return kind(
        num_train_timesteps=settings.timesteps,
        beta_start=first,
        beta_end=last,
        beta_schedule={"linear": "linear", "cosine": "squaredcos_cap_v2"}[settings.noise],
        clip_sample=bound is not None,
        clip_sample_range=1.0 if bound is None else bound,
    )


class LatentDiffusion(nn.Module):
    """A noise predictor, the noise schedule, and the mean and standard deviation of the latents it was trained on."""

    mean: Tensor
    std: Tensor
    bound: Tensor

    def __init__(self, settings: DiffusionSettings, latent_dim: int):
        super().__init__()
        self.settings, self.latent_dim = settings, latent_dim
        network = {"conv": ConvUNet1d, "mlp": MLPUNet}[settings.kind]
        self.denoiser: nn.Module = network(latent_dim, settings.width, settings.conditional)
        self.forward_process = noise_scheduler(settings, "ddpm")
        self.register_buffer("mean", torch.zeros(latent_dim))
        self.register_buffer("std", torch.ones(latent_dim))
        self.register_buffer("bound", torch.tensor(torch.finfo(torch.float32).max))

    def fit_scaling(self, latents: Tensor) -> None:
        """Take mean, standard deviation and bound from training latents [N, L].

        A dimension that does not vary keeps a standard deviation of 1: it is 0 when standardised, and there is no
        spread to restore.
        """
        std = latents.std(dim=0, correction=0)
        self.mean.copy_(latents.mean(dim=0))
        self.std.copy_(torch.where(std > SMALLEST_STD, std, torch.ones_like(std)))
        self.bound.copy_(self.standardise(latents).abs().max().clamp(min=1.0))

    def standardise(self, z: Tensor) -> Tensor:
        """(z - mean) / std: [B, L]."""
        return (z - self.mean) / self.std

    def diffuse(self, u: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """u_t = sqrt(abar_t) u + sqrt(1 - abar_t) noise for u, noise [B, L] and t [B]."""
        noisy: Tensor = self.forward_process.add_noise(u, noise, t)
        return noisy

    def predict_noise(self, u_t: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """eps_theta(u_t, t) [B, L]; the network sees t as if T were 1000."""
        noise: Tensor = self.denoiser(u_t, t * (TIME_RANGE / self.settings.timesteps), condition)
        return noise

    def loss(self, z: Tensor, noise: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """Mean squared error of the predicted noise for latents z, noise [B, L] and timesteps t [B]: a scalar.

        1 for a network that always predicts zero.
        """
        u_t = self.diffuse(self.standardise(z), noise, t)
        return (noise - self.predict_noise(u_t, t, condition)).square().mean()

    @torch.no_grad()
    def sample(
        self,
        count: int,
        generator: torch.Generator,
        sampler: Sampler | None = None,
        steps: int | None = None,
        condition: Tensor | None = None,
        batch_size: int = 1024,
    ) -> Tensor:
        """Draw latents z [count, L] in latent units.

        Each sample has its own generator, seeded from `generator`: what one sample becomes depends neither on
        `batch_size` nor on how many follow it.

        Args:
            count: how many samples.
            generator: a CPU generator.
            sampler: as in the settings by default.
            steps: a divisor of `timesteps`; by default `sampling_steps` for DDIM and all for DDPM.
            condition: [count, 1, H, W] for a conditional model.
            batch_size: how many go through the network at once.

        Raises:
            ValueError: if `steps` does not divide `timesteps`, or the condition is missing, unwanted or of another
                length.
        """
        if count < 1:
            raise ValueError(f"count: got {count}, must be >= 1")
        if condition is not None and len(condition) != count:
            raise ValueError(f"condition: got {len(condition)} images, must be one for each of {count} samples")
        chosen = sampler or self.settings.sampler
        seeds = torch.split(torch.randint(SEED_RANGE, (count,), generator=generator), batch_size)
        patterns = [None] * len(seeds) if condition is None else torch.split(condition, batch_size)
        parts = [self._denoise(chosen, steps, *part) for part in zip(seeds, patterns, strict=True)]
        return self.mean + self.std * torch.cat(parts)

    def _reverse_process(self, sampler: Sampler, steps: int | None) -> Any:
        settings = self.settings
        wanted = steps if steps is not None else settings.sampling_steps if sampler == "ddim" else settings.timesteps
        _check_steps(wanted, settings.timesteps)
        scheduler = noise_scheduler(settings, sampler, self.bound.item() if settings.clip else None)
        scheduler.set_timesteps(wanted)
        return scheduler

    def _denoise(self, sampler: Sampler, steps: int | None, seeds: Tensor, condition: Tensor | None) -> Tensor:
        """Standardised u_0 [B, L], one sample for each seed [B]."""
        scheduler = self._reverse_process(sampler, steps)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds.tolist()]
        u = torch.cat([torch.randn(1, self.latent_dim, generator=one) for one in generators]).to(self.mean.device)
        # where u_0 was clipped, DDIM's direction to u_t has to be that of the clipped u_0
        options = {"use_clipped_model_output": self.settings.clip} if sampler == "ddim" else {}
        for t in scheduler.timesteps:
            noise = self.predict_noise(u, t.to(u.device).expand(len(u)), condition)
            u = scheduler.step(noise, t, u, generator=generators, **options).prev_sample
        return u
