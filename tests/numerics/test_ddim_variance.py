"""How much variance DDIM leaves on Gaussian latents, whose exact noise predictor is known: less the fewer the steps.

For u ~ N(0, 1) the best prediction of the noise is sqrt(1 - abar) u_t. With cos theta = sqrt(abar), a step of DDIM
(Song et al. 2021, eq. 12, eta = 0) from theta to theta' is then u cos(theta - theta'): the variance that is left after
all steps is the product of cos^2 of the angles between them.
"""

import math

import pytest
import torch
from torch import Tensor

from vaeforge_models.diffusion import SEED_RANGE, DiffusionSettings, LatentDiffusion

T = 1000


def angles(steps: int, noise: str) -> list[float]:
    """theta at the timesteps 0, T / steps, 2 T / steps, ... from the last to the first, then 0 of the sample itself."""
    betas = [1e-4 + (0.02 - 1e-4) * t / (T - 1) for t in range(T)]
    if noise == "cosine":
        f = [math.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(T + 1)]
        betas = [min(1 - after / before, 0.999) for before, after in zip(f, f[1:], strict=False)]  # noqa: RUF007
    bars, product = [], 1.0
    for beta in betas:
        product *= 1 - beta
        bars.append(product)
    return [math.acos(math.sqrt(bars[k * T // steps])) for k in reversed(range(steps))] + [0.0]


def variance_left(steps: int, noise: str = "linear") -> float:
    found = angles(steps, noise)
    return math.prod(math.cos(a - b) ** 2 for a, b in zip(found, found[1:], strict=False))  # noqa: RUF007


@pytest.mark.parametrize("noise", ["linear", "cosine"])
@pytest.mark.parametrize("steps", [10, 50])
def test_the_sampler_leaves_what_the_angles_say(steps: int, noise: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = DiffusionSettings.model_validate({"width": 1 / 16, "noise": noise, "clip": False})
    model = LatentDiffusion(settings, 3).eval()
    bars = model.forward_process.alphas_cumprod

    def exact(u: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        return (1 - bars[t]).sqrt()[:, None] * u

    monkeypatch.setattr(model, "predict_noise", exact)
    made = model.sample(4, torch.Generator().manual_seed(0), "ddim", steps)
    seeds = torch.randint(SEED_RANGE, (4,), generator=torch.Generator().manual_seed(0))
    start = torch.cat([torch.randn(1, 3, generator=torch.Generator().manual_seed(seed)) for seed in seeds.tolist()])
    torch.testing.assert_close(made, math.sqrt(variance_left(steps, noise)) * start, atol=1e-4, rtol=1e-3)


def test_ten_steps_lose_a_fifth_of_the_variance_or_more_and_fifty_little() -> None:
    """The figures of docs/metrics.md."""
    found = {noise: [round(variance_left(steps, noise), 2) for steps in (10, 50)] for noise in ("linear", "cosine")}
    assert found == {"linear": [0.69, 0.93], "cosine": [0.80, 0.95]}
    assert min(variance_left(1000, noise) for noise in found) > 0.995
