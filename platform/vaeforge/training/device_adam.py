"""Adam whose options of a step may be tensors, so that a captured step takes new ones without the host.

torch's own takes a learning rate as a tensor, but with its fused kernel no beta1, which the one-cycle schedule moves
with every step. What it does and what it keeps is the same as torch's (a test compares them), so that a checkpoint of
one goes on with the other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vaeforge.training.optimizers import UncompiledOptimizer

BETAS, EPS = (0.9, 0.999), 1e-8


class DeviceAdam(UncompiledOptimizer):
    """Adam (Kingma and Ba 2015) or AdamW (Loshchilov and Hutter 2019), in torch's multi-tensor operations.

    A group's `lr`, and the first of its `betas`, are floats or tensors of no dimensions on the parameters' device. A
    step that a gradient scaler found to have overflowed changes nothing.

    Args:
        parameters: what is optimised; those without a gradient are left alone.
        lr: learning rate.
        weight_decay: of the weights themselves if `decoupled`, else added to the gradient.
        decoupled: AdamW.
    """

    _step_supports_amp_scaling = True  # torch.amp.GradScaler then gives `found_inf` instead of waiting for it
    found_inf: Tensor | None = None
    grad_scale: Tensor | None = None

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, weight_decay: float, decoupled: bool):
        defaults = {"lr": lr, "betas": BETAS, "eps": EPS, "weight_decay": weight_decay}
        super().__init__(parameters, {**defaults, "decoupled_weight_decay": decoupled})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient; `closure` is not called."""
        for group in self.param_groups:
            moving = [one for one in group["params"] if one.grad is not None]
            if moving:
                self._step_group(group, moving)

    def _step_group(self, group: dict[str, Any], moving: list[nn.Parameter]) -> None:
        moments = _Moments.of([self._state_of(one) for one in moving])
        if self.found_inf is None:
            _move(group, moving, moments)
            return
        changed: list[Tensor] = [*moving, *moments.steps, *moments.first, *moments.second]
        before = [one.clone() for one in changed]
        _move(group, moving, moments)
        for now, then in zip(changed, before, strict=True):
            now.copy_(torch.where(self.found_inf > 0, then, now))

    def _state_of(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        """What is kept of a parameter, made at its first step; with torch's own names."""
        state: dict[str, Tensor] = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        return state


@dataclass(frozen=True)
class _Moments:
    """Of each parameter: its steps so far, the mean of its gradients and of their squares."""

    steps: list[Tensor]
    first: list[Tensor]
    second: list[Tensor]

    @classmethod
    def of(cls, states: list[dict[str, Tensor]]) -> "_Moments":
        return cls(*([state[name] for state in states] for name in ("step", "exp_avg", "exp_avg_sq")))


def _move(group: dict[str, Any], moving: Sequence[nn.Parameter], moments: _Moments) -> None:
    lr, (beta1, beta2), decay = group["lr"], group["betas"], group["weight_decay"]
    weights: list[Tensor] = list(moving)
    gradients = [one.grad for one in moving if one.grad is not None]
    torch._foreach_add_(moments.steps, 1)
    if decay and group["decoupled_weight_decay"]:
        torch._foreach_mul_(weights, 1 - lr * decay)
    elif decay:
        gradients = list(torch._foreach_add(gradients, weights, alpha=decay))
    torch._foreach_mul_(moments.first, beta1)
    torch._foreach_add_(moments.first, list(torch._foreach_mul(gradients, 1 - beta1)))
    torch._foreach_mul_(moments.second, beta2)
    torch._foreach_addcmul_(moments.second, gradients, list(torch._foreach_mul(gradients, 1 - beta2)))
    number = moments.steps[0].double()  # the same of all that had gradients in every step, as parts of a model have
    scales = list(torch._foreach_sqrt(moments.second))
    kind = scales[0].dtype
    torch._foreach_div_(scales, (1 - beta2**number).sqrt().to(kind))
    torch._foreach_add_(scales, group["eps"])
    moves = list(torch._foreach_div(moments.first, scales))
    torch._foreach_mul_(moves, (-lr / (1 - beta1**number)).to(kind))
    torch._foreach_add_(weights, moves)
