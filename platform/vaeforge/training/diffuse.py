"""Training of a latent diffusion model on the latent vectors of a trained VAE, in one process.

Shapes: N training and M validation latents, L dimensions: float32 [N, L] and [M, L]; conditions [N, 1, H, W].
What is learnt depends on the latents, the settings and the seed alone. The weights that are kept are those with the
lowest validation loss, which is measured at the same timesteps and with the same noise every time.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch
from pydantic import ValidationError
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from vaeforge.errors import CheckpointError, ConfigError, DataError
from vaeforge.seeds import derive
from vaeforge.training.checkpoint import Checkpoint, load, save
from vaeforge.training.lr_schedule import cosine_anneal
from vaeforge.training.optimizers import AdamW
from vaeforge_models.diffusion import DiffusionSettings, LatentDiffusion
from vaeforge_models.vae import build_seeded

VALIDATION_DRAWS = 4
VALIDATION_BATCH = 1024
EMA_WARM_UP = 10


@dataclass(frozen=True)
class LossPoint:
    """One validation: optimiser steps so far, mean training loss since the last one, validation loss.

    Both are mean squared errors of the predicted noise per dimension; the validation loss is of the averaged weights
    where there is an average, the training loss of the weights themselves.
    """

    step: int
    train_loss: float
    val_loss: float


@dataclass(frozen=True)
class TrainedDiffusion:
    """A trained model with its best weights, in evaluation mode, and how its losses went."""

    model: LatentDiffusion
    curve: tuple[LossPoint, ...]

    @property
    def best(self) -> LossPoint:
        """The validation whose weights `model` holds."""
        return min(self.curve, key=lambda point: point.val_loss)


@dataclass(frozen=True)
class Latents:
    """Latents [N, L] and, for a conditional model, one pattern image [N, 1, H, W] each."""

    z: Tensor
    condition: Tensor | None = None


def fit_diffusion(
    train: Latents,
    validation: Latents,
    settings: DiffusionSettings,
    seed: int,
    on_step: Callable[[], None] = lambda: None,
) -> TrainedDiffusion:
    """Train a diffusion model on the device that the latents are on.

    Args:
        train: what is learnt, and what mean, standard deviation and bound are taken from.
        validation: what chooses the weights.
        settings: see `DiffusionSettings`.
        seed: of the weights, the batches, the timesteps and the noise.
        on_step: called after each step, for whoever watches over progress.

    Raises:
        DataError: if latents or conditions are empty, not finite, not float32 or of the wrong shape.
        ConfigError: if the loss stops being finite.
    """
    for name, part in (("training", train), ("validation", validation)):
        _check(name, part, train.z.shape[-1], settings.conditional)
    run = _DiffusionTraining(train, validation, settings, seed)
    for _ in range(settings.steps):
        run.step()
        on_step()
        if run.steps % settings.validation_interval == 0 or run.steps == settings.steps:
            run.validate()
    return run.fitted()


def _check(name: str, part: Latents, latent_dim: int, conditional: bool) -> None:
    shape, dtype = list(part.z.shape), part.z.dtype
    if part.z.ndim != 2 or shape[1] != latent_dim or not part.z.numel() or dtype != torch.float32:
        raise DataError(f"{name} latents: got {dtype} {shape}, must be torch.float32 [N >= 1, {latent_dim}]")
    if not bool(torch.isfinite(part.z).all()):
        raise DataError(f"{name} latents: got values that are not finite; encode with a VAE that has not diverged")
    given = None if part.condition is None else list(part.condition.shape)
    if (given is not None) != conditional:
        must = "none" if given else f"[{shape[0]}, 1, H, W]"
        raise DataError(
            f"{name} conditions: got {given or 'none'}, must be {must}; or set conditional: {not conditional}"
        )
    if given and (len(given) != 4 or given[:2] != [shape[0], 1]):
        raise DataError(f"{name} conditions: got {given}, must be [{shape[0]}, 1, H, W]")


class _DiffusionTraining:
    """The moving parts of one training."""

    def __init__(self, train: Latents, validation: Latents, settings: DiffusionSettings, seed: int):
        self.train, self.validation, self.settings, self.seed = train, validation, settings, seed
        self.device = train.z.device
        self.model = _untrained(settings, train.z.shape[1], seed).to(self.device)
        self.model.fit_scaling(train.z)
        self.parameters = list(self.model.denoiser.parameters())
        self.average = averaged(self.model, settings.ema)
        self.optimizer = AdamW(self.parameters, lr=settings.lr, weight_decay=settings.weight_decay)
        self.generator = torch.Generator().manual_seed(derive(seed, "diffusion", "steps"))
        self.order = torch.empty(0, dtype=torch.int64)
        self.steps, self.sum, self.counted = 0, 0.0, 0
        self.curve: list[LossPoint] = []
        self.best: dict[str, Tensor] = {}

    def step(self) -> None:
        """One optimiser step on one batch."""
        settings = self.settings
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(settings, self.steps)
        z, condition = self._batch()
        noise = torch.randn(z.shape, generator=self.generator).to(self.device)
        t = torch.randint(settings.timesteps, (len(z),), generator=self.generator).to(self.device)
        loss = self.model.loss(z, noise, t, condition)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.parameters, settings.clip_norm)
        self.optimizer.step()
        self.steps += 1
        self._track(loss.item())
        self.average.update_parameters(self.model)

    def _track(self, loss: float) -> None:
        if not math.isfinite(loss):
            lr = self.settings.lr
            raise ConfigError(f"diffusion: the loss is {loss} at step {self.steps} with lr {lr:g}; lower diffusion.lr")
        self.sum, self.counted = self.sum + loss, self.counted + 1

    def _batch(self) -> tuple[Tensor, Tensor | None]:
        """The next samples of an endless row of permutations: no more than `batch_size`, nor than there are."""
        size = min(self.settings.batch_size, len(self.train.z))
        while len(self.order) < size:
            permutation = torch.randperm(len(self.train.z), generator=self.generator)
            self.order = torch.cat([self.order, permutation])
        chosen, self.order = self.order[:size].to(self.device), self.order[size:]
        condition = self.train.condition
        return self.train.z[chosen], None if condition is None else condition[chosen]

    def validate(self) -> None:
        """Measure the averaged weights and keep them if none was better."""
        model = cast(LatentDiffusion, self.average.module.eval())
        point = LossPoint(self.steps, self.sum / self.counted, _validation_loss(model, self.validation, self.seed))
        if not math.isfinite(point.val_loss):
            raise ConfigError(f"diffusion: the validation loss is {point.val_loss} at step {self.steps}; lower its lr")
        if not self.curve or point.val_loss < min(earlier.val_loss for earlier in self.curve):
            self.best = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        self.curve.append(point)
        self.sum, self.counted = 0.0, 0

    def fitted(self) -> TrainedDiffusion:
        self.model.load_state_dict(self.best)
        return TrainedDiffusion(self.model.eval(), tuple(self.curve))


def _untrained(settings: DiffusionSettings, latent_dim: int, seed: int) -> LatentDiffusion:
    """The model with weights that depend on `seed` alone, leaving the global generator as it was."""
    return build_seeded(LatentDiffusion, settings, latent_dim, seed=derive(seed, "diffusion", "weights"))


def learning_rate(settings: DiffusionSettings, step: int) -> float:
    """The learning rate of the step that follows `step` finished ones."""
    if settings.lr_schedule == "constant":
        return settings.lr
    return float(cosine_anneal(settings.lr, 0.0, step / settings.steps))


def averaged(model: LatentDiffusion, decay: float | None) -> AveragedModel:
    """The exponential moving average of the weights of `model`, which is its first value.

    average <- d average + (1 - d) weights with d = min(decay, n / (10 + n)) at update n, so that a short training is
    not mostly its start; without a decay, the weights themselves. Torch's own class, and not diffusers' `EMAModel`:
    that one can be told the same d, but its import takes three seconds.
    """

    def update(averages: Sequence[Tensor], weights: Sequence[Tensor], number: Tensor | int) -> None:
        n = int(number)
        d = 0.0 if decay is None else min(decay, n / (EMA_WARM_UP + n))
        for average, weight in zip(averages, weights, strict=True):
            average.lerp_(weight, 1 - d)

    average = AveragedModel(model, multi_avg_fn=update)
    average.update_parameters(model)  # the first update copies
    return average


@torch.no_grad()
def _validation_loss(model: LatentDiffusion, validation: Latents, seed: int) -> float:
    """Mean squared error of the predicted noise per dimension over all latents, 4 draws each.

    The timesteps of one draw are spread evenly over 0..T-1 in a random order, and so cover all noise levels.
    """
    generator = torch.Generator().manual_seed(derive(seed, "diffusion", "validation"))
    z, count, timesteps, total = validation.z, len(validation.z), model.settings.timesteps, 0.0
    for _ in range(VALIDATION_DRAWS):
        spread = (torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)) / count
        t = (spread * timesteps).long().clamp(max=timesteps - 1).to(z.device)
        noise = torch.randn(z.shape, generator=generator).to(z.device)
        for part in torch.split(torch.arange(count, device=z.device), VALIDATION_BATCH):
            condition = None if validation.condition is None else validation.condition[part]
            total += model.loss(z[part], noise[part], t[part], condition).item() * len(part)
    return total / (VALIDATION_DRAWS * count)


def save_diffusion(path: Path, fitted: TrainedDiffusion) -> Checkpoint:
    """Write `fitted` to `path` atomically; the `epoch` of the checkpoint is the optimiser step of its weights.

    Raises:
        OSError: if the disk is full or read-only; `path` then holds what it held before.
    """
    state = {
        "settings": fitted.model.settings.model_dump(),
        "latent_dim": fitted.model.latent_dim,
        "model": fitted.model.state_dict(),
        "curve": [asdict(point) for point in fitted.curve],
    }
    return save(path, state, epoch=fitted.best.step)


def load_diffusion(checkpoint: Checkpoint, device: torch.device | str = "cpu") -> TrainedDiffusion:
    """What `save_diffusion` wrote, on `device`.

    Raises:
        CheckpointError: if the file is missing, altered or no diffusion model.
    """
    state = load(checkpoint, device)
    try:
        settings = DiffusionSettings.model_validate(state["settings"])
        model = _untrained(settings, state["latent_dim"], seed=0)
        model.load_state_dict(state["model"])
        curve = tuple(LossPoint(**point) for point in state["curve"])
    except (KeyError, TypeError, RuntimeError, ValidationError) as error:
        raise CheckpointError(f"{checkpoint.file}: is no diffusion model of this version ({error})") from error
    return TrainedDiffusion(model.to(device).eval(), curve)
