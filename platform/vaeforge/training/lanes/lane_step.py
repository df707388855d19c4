"""One optimiser step of several lanes, as one pass through one stacked model.

Each operation of the model is done for all lanes at once (`torch.vmap` of the model with its weights as arguments:
products become batched ones, convolutions grouped ones), and no number of a lane enters another lane's.

Shapes: K lanes, b samples of each, L latent dimensions of the stack.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn, vmap
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.dropout import _DropoutNd

from vaeforge.config.experiment import Experiment, Optimizer
from vaeforge.training.batches import Batch
from vaeforge.training.device_adam import BETAS, EPS
from vaeforge.training.gradient_step import GradientStep, StepNumber, autocast
from vaeforge.training.lanes.lane_loss import LaneLoss
from vaeforge.training.lanes.lane_weights import LaneWeights
from vaeforge.training.lanes.padding import UnstackableError, own_latents
from vaeforge.training.lr_schedule import options_at
from vaeforge.training.process_group import ProcessGroup
from vaeforge.training.step_loss import OwnTerms
from vaeforge.training.train_step import TrainStep
from vaeforge_models import dropout
from vaeforge_models.counter_random import derived, normal, threshold
from vaeforge_models.objective import LossSums
from vaeforge_models.precision import floating
from vaeforge_models.scalars import Scalar, where
from vaeforge_models.vae import VAE, Posterior

CLIP_EPS = 1e-6  # torch.nn.utils.clip_grad_norm_ adds as much to the norm
SCHEDULED = ("cosine", "onecycle")  # learning rates that follow from the number of the step


@dataclass(frozen=True)
class LaneOptions:
    """What the optimiser takes of each lane, float64 [K].

    Attributes:
        lr: at the beginning of the epoch.
        peak: `optimizer.lr`, which schedules by the number of the step start from.
        beta1: of Adam, where the schedule leaves it alone.
        decay: weight decay.
        clip_norm: largest norm of the gradient.
        schedules: for each kind of schedule by the number of the step, the lanes that follow it, bool [K].
    """

    lr: Tensor
    peak: Tensor
    beta1: Tensor
    decay: Tensor
    clip_norm: Tensor
    schedules: dict[str, Tensor]

    @classmethod
    def blank(cls, lanes: int, device: torch.device) -> "LaneOptions":
        """Of lanes that are to be filled."""
        lr, peak, beta1, decay, clip = torch.ones(5, lanes, dtype=torch.float64, device=device).unbind()
        followed = {kind: torch.zeros(lanes, dtype=torch.bool, device=device) for kind in SCHEDULED}
        return cls(lr, peak, beta1, decay, clip, followed)

    def put(self, lane: int, settings: Optimizer, group: dict[str, Any]) -> None:
        """Take over a training's own options; `group` is that of its optimiser."""
        self.lr[lane], self.peak[lane], self.beta1[lane] = float(group["lr"]), settings.lr, BETAS[0]
        self.decay[lane], self.clip_norm[lane] = settings.weight_decay, settings.clip_norm
        for kind, own in self.schedules.items():
            own[lane] = settings.schedule == kind

    def at(self, step: Scalar, total: Scalar) -> tuple[Scalar, Scalar]:
        """Learning rate and beta1 of each lane in its step `step` of `total`."""
        lr: Scalar = self.lr
        beta1: Scalar = self.beta1
        for kind, own in self.schedules.items():
            found = options_at(kind, self.peak, step, total)
            assert found is not None
            lr = where(own, found.lr, lr)
            beta1 = beta1 if found.beta1 is None else where(own, found.beta1, beta1)
        return lr, beta1


class LaneStep(GradientStep):
    """The steps of K trainings, each of which is a lane.

    Attributes:
        weights: of all lanes, with the moments.
        options: of all lanes.
        lr, beta1: of each lane in the last step [K].
    """

    def __init__(
        self, experiment: Experiment, model: VAE, group: ProcessGroup, dataset_size: int, trainings: Sequence[TrainStep]
    ):
        """
        Args:
            experiment: of any of them; what they share is taken from it.
            model: of the stack's shape, on the group's device.
            group: of one rank.
            dataset_size: N, training samples.
            trainings: of each lane, which is filled from it.

        Raises:
            UnstackableError: if one of them cannot be stacked with the others.
        """
        _require_stackable(experiment, model, group)
        self.experiment, self.model, self.group = experiment, model.train(), group
        self.weights = LaneWeights(model, len(trainings), group.device)
        self.loss: LaneLoss = LaneLoss(experiment, model, group, dataset_size, [one.schedule for one in trainings])
        self.options = LaneOptions.blank(len(trainings), group.device)
        self.lr, self.beta1 = self.options.lr.clone(), self.options.beta1.clone()
        self.schedule_state = self.loss.schedules.blank_state()
        self.terms_shape = (len(trainings), 3)
        layers = len(dropout.layers_of(model))
        self._thresholds = torch.zeros(len(trainings), layers, dtype=torch.int64, device=group.device)
        self._kept = torch.ones(len(trainings), layers, device=group.device)
        self._keys = torch.zeros(len(trainings), dtype=torch.int64, device=group.device)
        self._following = 0
        self._pass = _LanePass(model, self.loss, experiment.training.amp)
        self._passes = vmap(self._one_lane, in_dims=(0, 0, 0, 0, 0, 0, 0, 0, 0, None, None))
        for lane, training in enumerate(trainings):
            try:
                self.put(lane, training)
            except UnstackableError as error:
                error.lane = lane
                raise

    def put(self, lane: int, training: TrainStep) -> bool:
        """Fill `lane` from a training; whether a captured step still stands for what it does."""
        own, experiment = training.model, training.experiment
        self.weights.put(lane, own, training.optimizer)
        self.options.put(lane, experiment.optimizer, training.optimizer.param_groups[0])
        self.loss.units[lane] = torch.arange(self.model.latent_dim, device=self.group.device) < own.latent_dim
        self.loss.extra_correlation[lane] = experiment.training.total_correlation - 1.0
        for place, layer in enumerate(dropout.layers_of(own)):
            self._thresholds[lane, place], self._kept[lane, place] = threshold(layer.p), 1.0 - layer.p
        if not self.loss.schedules.replace(lane, training.schedule):
            return False
        state = {name: float(value) for name, value in training.schedule_state.items()}
        self.loss.schedules.put_state(lane, state, self.schedule_state)
        return True

    def refresh(self, lane: int, training: TrainStep) -> None:
        """Take over what a training decides between epochs: its learning rate."""
        self.options.put(lane, training.experiment.optimizer, training.optimizer.param_groups[0])

    @torch.no_grad()
    def probe(self, raw: Tensor, condition: Tensor) -> Tensor:
        """Sums of distortion and KL of the same samples in every lane, without dropout: [K, 2]."""
        lanes = len(self.weights.flat)
        self.model.eval()
        x, c, eps = (one.expand(lanes, *one.shape) for one in (raw, condition, self._probe_noise(len(raw))))
        own = self._forward(Batch(x, c, eps, len(raw)))
        self.model.train()
        return torch.stack([own.sums.distortion, own.sums.kl.sum(-1)], -1)

    @torch.no_grad()
    def probe_alone(self, training: TrainStep, raw: Tensor, condition: Tensor) -> Tensor:
        """The same of a training's own model: [2]."""
        model = training.model.eval()
        with autocast(self.group.device, self.experiment.training.amp):
            x, output, mu, logvar = model(raw, condition, self._probe_noise(len(raw))[:, : model.latent_dim])
        kl = Posterior(floating(mu), floating(logvar)).rate().sum()
        return torch.stack([model.distortion(x, floating(output)).sum(), kl])

    def _probe_noise(self, samples: int) -> Tensor:
        rows = torch.arange(self.model.latent_dim, device=self.group.device)
        return normal(0, rows, samples).T

    def mapped(self, module: nn.Module, in_dims: tuple[int | None, ...]) -> Callable[..., Any]:
        """`module`, which holds the stack's model as `model`, for every lane with its weights.

        `in_dims` tell where the lanes' dimension of each argument is.
        """

        def one(weights: dict[str, Tensor], statistics: dict[str, Tensor], *arguments: Any) -> Any:
            return functional_call(module, self._named(weights, statistics), arguments)

        over_lanes = vmap(one, in_dims=(0, 0, *in_dims))
        return lambda *arguments: over_lanes(self.weights.by_name(), self.weights.statistics, *arguments)

    def _named(self, weights: dict[str, Tensor], statistics: dict[str, Tensor]) -> dict[str, Tensor]:
        """A lane's weights by their names in a module that holds the model as `model`."""
        return {f"model.{name}": one for name, one in {**self.weights.constants, **weights, **statistics}.items()}

    def take(self, lane: int, training: TrainStep) -> None:
        """Copy what `lane` has learned back to its own training."""
        self.weights.take(lane, training.model, training.optimizer)
        for group in training.optimizer.param_groups:
            group.update(lr=float(self.lr[lane]), betas=(float(self.beta1[lane]), group["betas"][1]))
        training.schedule_state = dict(self.loss.schedules.state_in(lane, self.schedule_state))

    def _begin(self, at: StepNumber) -> None:
        lr, beta1 = self.options.at(at.done, at.total)
        _write(self.lr, lr)
        _write(self.beta1, beta1)
        self.weights.flat.grad = None

    def _begin_draws(self, at: StepNumber) -> None:
        self._keys.copy_(derived(at.key, at.number, self.group.device))
        self._following = 0

    def _forward(self, batch: Batch) -> OwnTerms:
        weights = self.weights
        with sdpa_kernel(SDPBackend.MATH):  # the fused kernels take one batch of samples, not one for each lane
            sums, observed, penalty, coupled = self._passes(
                weights.by_name(),
                weights.statistics,
                batch.raw,
                batch.condition,
                batch.eps,
                self.loss.units,
                self._keys,
                self._thresholds,
                self._kept,
                self._following,
                batch.total,
            )
        self._following += batch.total
        return OwnTerms(LossSums(*sums), observed, penalty, coupled, batch.total)

    def _one_lane(
        self,
        weights: dict[str, Tensor],
        statistics: dict[str, Tensor],
        raw: Tensor,
        condition: Tensor,
        eps: Tensor,
        units: Tensor,
        key: Tensor,
        thresholds: Tensor,
        kept: Tensor,
        start: int,
        total: int,
    ) -> Any:
        """A lane's pass through the model with its own weights."""
        rates = [dropout.Rate(*one) for one in zip(thresholds.unbind(), kept.unbind(), strict=True)]
        dropout.begin_step(self.model, key, rates)
        dropout.begin_micro_batch(self.model, total, slice(start, start + total))
        named = self._named(weights, statistics)
        return functional_call(self._pass, named, (raw, condition, eps, units, total))

    def _backward(self, surrogate: Tensor) -> None:
        torch.autograd.backward([surrogate.sum()])

    def _update(self) -> Tensor:
        gradient = self.weights.flat.grad
        assert gradient is not None
        norm: Tensor = torch.linalg.vector_norm(gradient, dim=1)
        factor = (self.options.clip_norm.to(norm) / (norm + CLIP_EPS)).clamp(max=1.0)
        gradient = gradient * factor[:, None]
        decoupled = self.experiment.optimizer.name == "adamw"
        self.weights.adam(gradient, self.lr, self.beta1, self.options.decay, decoupled, EPS)
        return norm

    def _advance_schedule(self, terms: Tensor, progress: Scalar) -> None:
        _, distortion, rate = terms.unbind(-1)
        moved = self.loss.schedules.update(self.schedule_state, distortion, rate, progress)
        for name, value in moved.items():
            _write(self.schedule_state[name], value)

    def _buffers(self) -> Iterable[Tensor]:
        return self.weights.statistics.values()


class _LanePass(nn.Module):
    """A pass through a model whose last latents may belong to larger models alone, and what it adds to the loss."""

    def __init__(self, model: VAE, loss: LaneLoss, amp: str):
        super().__init__()
        self.model, self._loss, self._amp = model, loss, amp

    def forward(self, raw: Tensor, condition: Tensor, eps: Tensor, units: Tensor, total: int) -> Any:
        with autocast(raw.device, self._amp):
            x = self.model.normalise(raw)
            kept = own_latents(self.model.encode(x, condition), units)
            output = self.model.decode(kept.sample(eps), condition)
        posterior = Posterior(floating(kept.mu), floating(kept.logvar))
        own = self._loss.own(x, floating(output), posterior, eps, condition, total)
        return (own.sums.distortion, own.sums.kl), own.observed, own.penalty, own.coupled


def _write(kept: Scalar, value: Scalar) -> None:
    """Write numbers of all lanes where a captured step looks for them."""
    assert isinstance(kept, Tensor) and isinstance(value, Tensor)
    kept.copy_(value)


def _require_stackable(experiment: Experiment, model: VAE, group: ProcessGroup) -> None:
    if group.world_size > 1:
        raise UnstackableError(f"it trains on {group.world_size} ranks; lanes train on one (search.workers: 1)")
    if experiment.training.amp == "fp16":
        raise UnstackableError("training.amp is fp16, whose scale of the gradient belongs to one training; bf16 can be")
    if any(isinstance(m, _DropoutNd) and not isinstance(m, dropout.Dropout) for m in model.modules()):
        raise UnstackableError("its model draws by itself; vaeforge_models.dropout.Dropout draws for each lane")
    if type(model).forward is not VAE.forward:
        raise UnstackableError("its model has a forward pass of its own instead of encode and decode")
