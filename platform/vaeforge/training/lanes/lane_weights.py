"""Weights, running statistics and Adam's moments of several lanes in one tensor each.

Shapes: K lanes, P trainable weights of the stack's model, L its latent dimensions. A lane is a row: it is filled from
a training of its own and copied back there by rows, and one operation moves all lanes.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from vaeforge.training.device_adam import BETAS
from vaeforge.training.lanes.padding import Padding, UnstackableError, pad, unpad
from vaeforge_models.vae import VAE


class LaneWeights:
    """See the module's docstring.

    Attributes:
        flat: the trainable weights [K, P], a leaf of autograd's graph.
        first, second: Adam's moments [K, P].
        steps: that Adam has made of each lane, float64 [K].
        statistics: what passes through the model change (of batch normalisation), each [K, *shape].
        constants: the other buffers and weights that are not trained: those of every lane.
    """

    def __init__(self, model: VAE, lanes: int, device: torch.device):
        """
        Args:
            model: of the stack's shape; its constants are taken.
            lanes: K.
            device: where all of it lies.
        """
        trained = {name: one for name, one in model.named_parameters() if one.requires_grad}
        self.latent_dim = model.latent_dim
        self._shapes = {name: one.shape for name, one in trained.items()}
        self._sizes = [one.numel() for one in trained.values()]
        rows = (lanes, sum(self._sizes))
        self.flat = torch.zeros(rows, device=device).requires_grad_()
        self.first, self.second = torch.zeros(rows, device=device), torch.zeros(rows, device=device)
        self.steps = torch.zeros(lanes, dtype=torch.float64, device=device)
        changing = set(_changing(model))
        buffers = dict(model.named_buffers())
        self.statistics = {n: torch.stack([one.to(device)] * lanes) for n, one in buffers.items() if n in changing}
        fixed = {name: one.detach() for name, one in model.named_parameters() if not one.requires_grad}
        constants = fixed | {n: one for n, one in buffers.items() if n not in changing}
        self.constants = {name: one.to(device) for name, one in constants.items()}

    def by_name(self) -> dict[str, Tensor]:
        """The trainable weights, each [K, *shape], as views through which gradients reach `flat`."""
        return dict(zip(self._shapes, self._views(self.flat), strict=True))

    def _views(self, rows: Tensor) -> Iterator[Tensor]:
        parts = torch.split(rows, self._sizes, dim=-1)
        return (part.view((*part.shape[:-1], *shape)) for part, shape in zip(parts, self._shapes.values(), strict=True))

    @torch.no_grad()
    def put(self, lane: int, model: VAE, optimizer: torch.optim.Optimizer) -> None:
        """Fill `lane` from a training of its own.

        Raises:
            UnstackableError: if its weights are none that a model of the stack's shape can hold.
        """
        self._require_same_constants(model)
        padding = Padding(model.latent_dim, self.latent_dim)
        parameters = self._parameters(model)
        kept = [optimizer.state[one] for one in parameters]
        blank = [torch.zeros_like(one) for one in parameters]
        for rows, values in (
            (self.flat, parameters),
            (self.first, [s.get("exp_avg", b) for s, b in zip(kept, blank, strict=True)]),
            (self.second, [s.get("exp_avg_sq", b) for s, b in zip(kept, blank, strict=True)]),
        ):
            for large, small in zip(self._views(rows[lane]), values, strict=True):
                pad(padding, small, large)
        self.steps[lane] = max((float(one["step"]) for one in kept if one), default=0.0)
        for name, buffer in model.named_buffers():
            if name in self.statistics:
                self.statistics[name][lane].copy_(buffer)

    @torch.no_grad()
    def take(self, lane: int, model: VAE, optimizer: torch.optim.Optimizer) -> None:
        """Copy `lane` back to its own training."""
        padding = Padding(model.latent_dim, self.latent_dim)
        parameters, moved = self._parameters(model), float(self.steps[lane])
        columns = (self._views(rows[lane]) for rows in (self.flat, self.first, self.second))
        for parameter, weight, first, second in zip(parameters, *columns, strict=True):
            unpad(padding, weight, parameter)
            if moved:
                state = _state_of(optimizer, parameter)
                state["step"].fill_(moved)
                unpad(padding, first, state["exp_avg"])
                unpad(padding, second, state["exp_avg_sq"])
        for name, buffer in model.named_buffers():
            if name in self.statistics:
                buffer.copy_(self.statistics[name][lane])

    def _parameters(self, model: VAE) -> list[nn.Parameter]:
        found = {name: one for name, one in model.named_parameters() if one.requires_grad}
        if list(found) != list(self._shapes):
            raise UnstackableError("its model has other weights than those that it would be stacked with")
        return list(found.values())

    def _require_same_constants(self, model: VAE) -> None:
        """Constants are shared by all lanes: those of a lane must be the same."""
        fixed = {name: one for name, one in model.named_parameters() if not one.requires_grad}
        own = {n: one for n, one in {**fixed, **dict(model.named_buffers())}.items() if n not in self.statistics}
        same = own.keys() == self.constants.keys() and all(
            torch.equal(one, self.constants[name]) for name, one in own.items()
        )
        if not same:
            raise UnstackableError("constants of its model differ from those of the other models of the stack")

    @torch.no_grad()
    def adam(self, gradient: Tensor, lr: Tensor, beta1: Tensor, decay: Tensor, decoupled: bool, eps: float) -> None:
        """A step of Adam in every lane, each with options of its own; as `DeviceAdam` does it.

        Args:
            gradient: [K, P].
            lr, beta1, decay: float64 [K].
            decoupled: AdamW.
            eps: Adam's.
        """
        weights, kind = self.flat.detach(), self.flat.dtype
        beta2 = BETAS[1]
        self.steps.add_(1)
        if decoupled:
            weights.mul_((1 - lr * decay).to(kind)[:, None])
        else:
            gradient = gradient + weights * decay.to(kind)[:, None]
        self.first.mul_(beta1.to(kind)[:, None]).add_(gradient * (1 - beta1).to(kind)[:, None])
        self.second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        scales = self.second.sqrt().div_((1 - beta2**self.steps).sqrt().to(kind)[:, None]).add_(eps)
        weights.addcmul_(self.first / scales, (-lr / (1 - beta1**self.steps)).to(kind)[:, None])


def _changing(model: VAE) -> Iterable[str]:
    """Names of the buffers that passes through the model change."""
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            yield from (f"{name}.{own}" for own, _ in module.named_buffers(recurse=False))


def _state_of(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> dict[str, Any]:
    """What torch's Adam keeps of a weight, made where it has not moved yet."""
    state: dict[str, Any] = optimizer.state[parameter]
    if not state:
        state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
        state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
    return state
