"""Latent diffusion against the papers' formulas, worked out anew in double precision."""

import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from vaeforge_models.denoisers import ConvUNet1d, MLPUNet, Modulation, sinusoidal_embedding
from vaeforge_models.diffusion import DiffusionSettings, LatentDiffusion, noise_scheduler

T = 1000
SMALL = {"width": 1 / 16}


def linear_alpha_bars() -> list[float]:
    """abar_t = prod (1 - beta_s), beta from 1e-4 to 0.02 in 1000 equal steps (Ho et al. 2020, section 4)."""
    product, bars = 1.0, []
    for t in range(T):
        product *= 1 - (1e-4 + (0.02 - 1e-4) * t / (T - 1))
        bars.append(product)
    return bars


def cosine_alpha_bars() -> list[float]:
    """f(t) / f(0), f(t) = cos^2((t / T + s) / (1 + s) * pi / 2), s = 0.008, t = 1..T (Nichol and Dhariwal 2021)."""
    f = [math.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(T + 1)]
    return [value / f[0] for value in f[1:]]


ALPHA_BARS = {"linear": linear_alpha_bars(), "cosine": cosine_alpha_bars()}


def model(latent_dim: int = 3, **settings: object) -> LatentDiffusion:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LatentDiffusion(DiffusionSettings.model_validate({**SMALL, **settings}), latent_dim).eval()


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# the forward process


@pytest.mark.parametrize(
    ("t", "signal"),
    [
        (0, 1 - 1e-4),
        (1, (1 - 1e-4) * (1 - (1e-4 + 0.0199 / 999))),  # beta_1 = 1e-4 + 0.0199 / 999
    ],
)
def test_the_first_steps_by_hand(t: int, signal: float) -> None:
    noisy = model(1).diffuse(torch.tensor([[2.0]]), torch.tensor([[-1.0]]), torch.tensor([t]))
    assert noisy.item() == pytest.approx(2 * math.sqrt(signal) - math.sqrt(1 - signal), rel=1e-5)


@pytest.mark.parametrize("noise", ["linear", "cosine"])
def test_the_noisy_latent_has_the_closed_form(noise: str) -> None:
    u, eps = draws(5, 3), draws(5, 3, seed=1)
    steps = [0, 1, 250, 500, 998]
    noisy = model(noise=noise).diffuse(u, eps, torch.tensor(steps))
    for row, t in enumerate(steps):
        bar = ALPHA_BARS[noise][t]
        expected = math.sqrt(bar) * u[row] + math.sqrt(1 - bar) * eps[row]
        assert torch.allclose(noisy[row], expected, atol=2e-5)


def test_the_cosine_schedule_is_the_published_one_up_to_the_capped_last_step() -> None:
    scheduler = noise_scheduler(DiffusionSettings(noise="cosine"), "ddpm")
    expected = torch.tensor(cosine_alpha_bars()[:-1])
    assert torch.allclose(scheduler.alphas_cumprod[:-1], expected, rtol=1e-3, atol=1e-6)
    assert scheduler.betas[-1].item() == pytest.approx(0.999)


@pytest.mark.parametrize("noise", ["linear", "cosine"])
@pytest.mark.parametrize("timesteps", [50, 200, 4000])
def test_any_number_of_steps_ends_in_noise(noise: str, timesteps: int) -> None:
    settings = DiffusionSettings.model_validate({"noise": noise, "timesteps": timesteps})
    assert noise_scheduler(settings, "ddpm").alphas_cumprod[-1] < 1e-4


# one reverse step


@pytest.mark.parametrize("noise", ["linear", "cosine"])
@pytest.mark.parametrize("t", [1, 40, 500, 900])
def test_a_ddpm_step_is_that_of_ho_et_al(noise: str, t: int) -> None:
    bars = ALPHA_BARS[noise]
    alpha = bars[t] / bars[t - 1]
    u, eps, z = draws(4, 3).double(), draws(4, 3, seed=1).double(), draws(4, 3, seed=2).double()
    mean = (u - (1 - alpha) / math.sqrt(1 - bars[t]) * eps) / math.sqrt(alpha)  # algorithm 2
    sigma = math.sqrt((1 - bars[t - 1]) / (1 - bars[t]) * (1 - alpha))  # the smaller of section 3.2's two
    scheduler = noise_scheduler(DiffusionSettings.model_validate({"noise": noise}), "ddpm")
    got = scheduler.step(eps.float(), t, u.float(), generator=seeded(2)).prev_sample
    assert torch.allclose(got.double(), mean + sigma * z, atol=3e-4)


def test_the_last_ddpm_step_adds_no_noise() -> None:
    u, eps = draws(4, 3), draws(4, 3, seed=1)
    got = noise_scheduler(DiffusionSettings(), "ddpm").step(eps, 0, u, generator=seeded()).prev_sample
    assert torch.allclose(got, (u - math.sqrt(1e-4) * eps) / math.sqrt(1 - 1e-4), atol=1e-5)


@pytest.mark.parametrize("noise", ["linear", "cosine"])
@pytest.mark.parametrize("t", [0, 20, 500, 980])
def test_a_ddim_step_is_that_of_song_et_al(noise: str, t: int) -> None:
    bar, before = ALPHA_BARS[noise][t], ALPHA_BARS[noise][t - 20] if t else 1.0
    u, eps = draws(4, 3).double(), draws(4, 3, seed=1).double()
    origin = (u - math.sqrt(1 - bar) * eps) / math.sqrt(bar)  # predicted x_0, equation 12
    expected = math.sqrt(before) * origin + math.sqrt(1 - before) * eps
    scheduler = noise_scheduler(DiffusionSettings.model_validate({"noise": noise}), "ddim")
    scheduler.set_timesteps(50)
    got = scheduler.step(eps.float(), t, u.float()).prev_sample
    assert torch.allclose(got.double(), expected, rtol=1e-3, atol=1e-4)


# whole chains


class ExactNoise(nn.Module):
    """E[eps | u_t] for u ~ N(m, s^2): sqrt(1 - abar) (u_t - sqrt(abar) m) / (abar s^2 + 1 - abar)."""

    def __init__(self, noise: str, m: float, s: float):
        super().__init__()
        self.m, self.s, self.bars = m, s, torch.tensor(ALPHA_BARS[noise])

    def forward(self, u: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        bar = self.bars[t.long()][:, None]
        return (1 - bar).sqrt() * (u - bar.sqrt() * self.m) / (bar * self.s**2 + 1 - bar)


@pytest.mark.parametrize("noise", ["linear", "cosine"])
@pytest.mark.parametrize(("sampler", "steps"), [("ddpm", 1000), ("ddpm", 100), ("ddim", 50), ("ddim", 1000)])
@pytest.mark.slow
def test_the_exact_predictor_of_a_gaussian_samples_that_gaussian(noise: str, sampler: str, steps: int) -> None:
    diffusion = model(20, noise=noise)
    diffusion.denoiser = ExactNoise(noise, m=0.5, s=0.6)
    diffusion.bound.fill_(8.0)
    z = diffusion.sample(150, seeded(), sampler, steps)
    # 3000 values: standard errors 0.011 of the mean and 0.008 of the deviation, and a few steps are less exact
    assert z.mean().item() == pytest.approx(0.5, abs=0.05)
    assert z.std().item() == pytest.approx(0.6, abs=0.05)


@pytest.mark.parametrize("bound", [None, 0.5])
def test_ddim_sampling_is_a_loop_of_the_formula(bound: float | None) -> None:
    diffusion = model(3, clip=bound is not None)
    diffusion.bound.fill_(bound or math.inf)
    seed = torch.randint(2**63 - 1, (1,), generator=seeded(7)).item()
    u = torch.randn(1, 3, generator=seeded(int(seed)))
    bars = linear_alpha_bars()
    for t in range(900, -1, -100):
        eps = diffusion.predict_noise(u, torch.tensor([t])).detach()
        before = bars[t - 100] if t else 1.0
        origin = ((u - math.sqrt(1 - bars[t]) * eps) / math.sqrt(bars[t])).clamp(-diffusion.bound, diffusion.bound)
        eps = (u - math.sqrt(bars[t]) * origin) / math.sqrt(1 - bars[t])  # the noise that leads to the clipped origin
        u = math.sqrt(before) * origin + math.sqrt(1 - before) * eps
    assert torch.allclose(diffusion.sample(1, seeded(7), "ddim", 10), u, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "steps"), [("ddpm", 50), pytest.param("ddim", 1000, marks=pytest.mark.long)])
def test_samples_depend_on_the_generator_alone(sampler: str, steps: int) -> None:
    diffusion = model(2)
    one, again, other = (diffusion.sample(3, seeded(seed), sampler, steps) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_a_sample_does_not_depend_on_those_beside_it(sampler: str) -> None:
    diffusion = model(20)
    whole = diffusion.sample(7, seeded(), sampler, 20)
    cut = diffusion.sample(7, seeded(), sampler, 20, batch_size=3)
    fewer = diffusion.sample(4, seeded(), sampler, 20)
    assert torch.allclose(whole, cut, atol=1e-3)
    assert torch.allclose(whole[:4], fewer, atol=1e-3)


def test_samples_come_in_latent_units_within_the_bound() -> None:
    latents = draws(500, 2) * torch.tensor([3.0, 0.01]) + torch.tensor([10.0, -1.0])
    diffusion = model(2, noise="cosine")
    diffusion.fit_scaling(latents)
    u = diffusion.standardise(latents)
    assert torch.allclose(u.mean(0), torch.zeros(2), atol=1e-4)
    assert torch.allclose(u.std(0, correction=0), torch.ones(2), atol=1e-4)
    assert diffusion.bound.item() == pytest.approx(u.abs().max().item())
    z = diffusion.sample(50, seeded(), "ddim", 50)  # the last predicted u_0, of an untrained network, is clipped
    assert diffusion.standardise(z).abs().max() <= diffusion.bound * 1.001
    free = model(2, noise="cosine", clip=False).sample(50, seeded(), "ddim", 50)
    assert free.abs().max() > diffusion.bound


def test_a_constant_dimension_comes_out_constant() -> None:
    latents = torch.stack([draws(100), torch.full((100,), 2.5)], dim=1)
    diffusion = model(2)
    diffusion.fit_scaling(latents)
    assert diffusion.std[1] == 1
    assert torch.equal(diffusion.standardise(latents)[:, 1], torch.zeros(100))


def test_a_network_that_predicts_zero_has_a_loss_of_one() -> None:
    diffusion = model(4)
    diffusion.denoiser = ExactNoise("linear", 0.0, math.inf)
    noise = draws(2000, 4)
    got = diffusion.loss(draws(2000, 4, seed=1), noise, torch.randint(T, (2000,), generator=seeded()))
    assert got.item() == pytest.approx(noise.square().mean().item())


@pytest.mark.parametrize("steps", [0, 3, 1001])
def test_steps_that_do_not_divide_the_timesteps_are_refused(steps: int) -> None:
    with pytest.raises(ValueError, match="divisor of timesteps"):
        model().sample(1, seeded(), "ddim", steps)


def test_settings_refuse_sampling_steps_that_do_not_divide() -> None:
    with pytest.raises(ValidationError, match=r"sampling_steps: got 50, must be a divisor of timesteps, which is 120"):
        DiffusionSettings(timesteps=120)


# the networks


@pytest.mark.parametrize("kind", [ConvUNet1d, MLPUNet])
@pytest.mark.parametrize("latent_dim", [1, 5, 8, 13])
@pytest.mark.parametrize("conditional", [False, True])
def test_every_parameter_of_a_denoiser_learns(
    kind: type[ConvUNet1d] | type[MLPUNet], latent_dim: int, conditional: bool
) -> None:
    torch.manual_seed(0)
    network = kind(latent_dim, 1 / 16, conditional)
    condition = draws(6, 1, 17, 20) if conditional else None
    out = network(draws(6, latent_dim), torch.tensor([0, 1, 10, 100, 500, 999]), condition)
    assert out.shape == (6, latent_dim)
    (out - draws(6, latent_dim, seed=1)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("kind", ["conv", "mlp"])
def test_time_and_condition_change_the_prediction(kind: str) -> None:
    diffusion = model(6, kind=kind, conditional=True)
    u, pattern = draws(1, 6), draws(1, 1, 16, 16)
    early, late = (diffusion.predict_noise(u, torch.tensor([t]), pattern) for t in (10, 800))
    assert (early - late).abs().max() > 1e-3
    other = diffusion.predict_noise(u, torch.tensor([10]), draws(1, 1, 16, 16, seed=1))
    assert (early - other).abs().max() > 1e-3
    moved = diffusion.predict_noise(u, torch.tensor([10]), pattern.roll(8, dims=3))  # where it lies matters
    assert (early - moved).abs().max() > 1e-3
    first, second = (diffusion.sample(1, seeded(), "ddim", 10, pattern.roll(n, dims=3)) for n in (0, 8))
    assert not torch.allclose(first, second, atol=1e-3)


@pytest.mark.parametrize("positions", [(), (5,)])
def test_the_condition_scales_and_shifts_normalised_features(positions: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer = Modulation(16, 4, conditional=True)  # two groups of eight channels
    h, time, pattern = draws(3, 16, *positions), draws(3, 4, seed=1), draws(3, 4, seed=2)
    assert layer.film is not None
    film = layer.film(pattern)
    grouped = h.reshape(3, 2, -1)
    normal = (grouped - grouped.mean(2, keepdim=True)) / (grouped.var(2, correction=0, keepdim=True) + 1e-5).sqrt()
    ones = (1,) * len(positions)
    scale, shift, added = (part.reshape(3, 16, *ones) for part in (film[:, :16], film[:, 16:], layer.time(time)))
    assert torch.allclose(layer(h, time, pattern), normal.reshape(h.shape) * (1 + scale) + shift + added, atol=1e-5)


@pytest.mark.parametrize("conditional", [False, True])
def test_a_missing_or_unwanted_condition_is_refused(conditional: bool) -> None:
    pattern = None if conditional else draws(2, 1, 8, 8)
    with pytest.raises(ValueError, match="condition: got"):
        model(conditional=conditional).sample(2, seeded(), "ddim", 10, pattern)
    with pytest.raises(ValueError, match="one for each of 2 samples"):
        model(conditional=True).sample(2, seeded(), "ddim", 10, draws(3, 1, 8, 8))


def test_published_widths_are_those_of_multiplier_one() -> None:
    conv, mlp = ConvUNet1d(512), MLPUNet(256)
    assert [block.first.out_channels for block in conv.down] == [64, 128, 256]
    assert [block.first.out_channels for block in conv.middle] == [512, 512]
    assert [blocks[0].first.out_features for blocks in mlp.down] == [128, 256, 512]
    assert [len(list(blocks.children())) for blocks in [*mlp.down, *mlp.up]] == [2] * 5


def test_the_time_embedding_is_sines_and_cosines() -> None:
    got = sinusoidal_embedding(torch.tensor([3.0]), 4)[0].tolist()
    assert got == pytest.approx([math.sin(3), math.sin(0.03), math.cos(3), math.cos(0.03)])  # 10000^(-1/2) = 0.01
