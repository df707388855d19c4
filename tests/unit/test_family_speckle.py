"""The speckle family: the published net's size, its blocks, any width, and what its likelihood is."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from vaeforge.config.loader import load
from vaeforge.samples import Samples
from vaeforge.search.space.checks import check
from vaeforge.search.space.space import read_space
from vaeforge.training.loop import TrainingData, fit
from vaeforge_models.families.speckle import FAMILY, Residual, SpeckleSettings, SpeckleVAE, group_norm
from vaeforge_models.vae import DataSpec, build_seeded, parameter_count

NONE = torch.zeros(3, 0)


def built(side: int = 32, **settings: object) -> SpeckleVAE:
    model = build_seeded(SpeckleVAE, SpeckleSettings.model_validate(settings), DataSpec((1, side, side)), seed=1)
    assert isinstance(model, SpeckleVAE)
    return model


def raw(side: int, count: int = 3) -> torch.Tensor:
    return torch.randint(0, 256, (count, 1, side, side), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)


def test_the_published_preset_is_the_full_net(tmp_path: Path) -> None:
    experiment = load(tmp_path, "speckle", "published").experiment
    with torch.device("meta"):
        model = FAMILY.build(experiment.model, DataSpec((1, 96, 96)))

    def convolution(before: int, after: int) -> int:
        return 9 * before * after + after

    def residual(channels: int) -> int:
        return 2 * (convolution(channels, channels) + 2 * channels)

    widths = [64, 128, 256, 512]
    down = sum(convolution(a, b) for a, b in pairwise([1, *widths])) + sum(map(residual, widths[:3]))
    up = sum(convolution(a, b) + residual(b) for a, b in pairwise([512, 256, 128, 64, 32])) + convolution(32, 1)
    linear = 2 * (18432 * 512 + 512) + (512 * 18432 + 18432)
    assert model.latent_dim == 512
    assert parameter_count(model) == down + up + linear
    assert (experiment.optimizer.name, experiment.optimizer.lr, experiment.optimizer.clip_norm) == ("adam", 1e-4, 1.0)


@pytest.mark.parametrize("upsample", ["resize", "transpose"])
@pytest.mark.parametrize("width", [0.07, 0.11, 0.125, 0.17])
def test_every_width_builds_and_learns_with_every_parameter(upsample: str, width: float) -> None:
    model = built(16, latent_dim=5, width=width, upsample=upsample)  # 1 x 1 pixels at the bottom
    x, output, mu, logvar = model(raw(16), NONE, torch.randn(3, 5, generator=torch.Generator().manual_seed(0)))
    (model.distortion(x, output).sum() + mu.square().sum() + logvar.square().sum()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(("channels", "groups"), [(4, 1), (7, 1), (8, 2), (12, 3), (22, 2), (64, 8), (44, 4), (512, 8)])
def test_groups_divide_the_channels(channels: int, groups: int) -> None:
    # at most 8 groups of at least 4 channels: 22 = 2 * 11, and 44 = 4 * 11
    assert group_norm(channels).num_groups == groups


def test_a_residual_block_against_its_formula() -> None:
    torch.manual_seed(0)
    block = Residual(8)
    h = torch.randn(2, 8, 5, 5)
    first, _, one, second, _, two = block.layers
    inner = torch.nn.functional.conv2d(torch.nn.functional.silu(first(h)), one.weight, one.bias, padding=1)
    expected = h + torch.nn.functional.conv2d(torch.nn.functional.silu(second(inner)), two.weight, two.bias, padding=1)
    torch.testing.assert_close(block(h), expected)


def test_distortion_is_the_summed_squared_error_of_the_sigmoid() -> None:
    model = built(latent_dim=4, width=0.0625)
    x, output = torch.full((1, 1, 32, 32), 0.25), torch.zeros(1, 1, 32, 32)
    # sigmoid(0) = 1/2, so each of the 1024 pixels is off by 1/4: 1024 / 16 = 64
    assert model.distortion(x, output).item() == pytest.approx(64.0)


def test_sides_must_be_multiples_of_16() -> None:
    with pytest.raises(ValueError, match="40 x 40 pixels, both must be multiples of 16"):
        built(40)


@pytest.mark.slow
def test_a_short_training_learns(tmp_path: Path) -> None:
    overrides = {"training.epochs": 4, "training.steps_per_epoch": 30, "model.latent_dim": 4, "model.width": 0.0625}
    experiment = load(tmp_path, "speckle", "sample", overrides).experiment
    rng = np.random.default_rng(0)
    levels = rng.integers(20, 236, (80, 1, 1, 1))
    images = (levels + rng.normal(0, 4, (80, 1, 16, 16))).clip(0, 255).astype(np.uint8)
    train, validation = Samples.unconditional(images[:60]), Samples.unconditional(images[60:])
    reports = list(fit(experiment, TrainingData(train, validation, DataSpec((1, 16, 16)))))
    spread = float(((images[60:] / 255 - images[:60].mean(0) / 255) ** 2).mean())
    assert reports[-1].metrics["val/mse"] < 0.5 * spread


def test_the_space_is_valid_and_no_rung_comes_too_early(tmp_path: Path) -> None:
    space = read_space(Path(__file__).parents[2] / "tune_spaces" / "speckle.yaml")
    assert check(space, load(tmp_path, "speckle", "sample").experiment) == []
