"""The cilia family: what its settings build, and the golden number of its published net's parameters."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from samples import random_prepared, random_samples
from vaeforge.config.loader import load
from vaeforge.package.export import export
from vaeforge.package.parity import check_parity
from vaeforge.search.space.checks import check
from vaeforge.search.space.space import read_space
from vaeforge_models.families.cilia import FAMILY, CiliaSettings, CiliaVAE
from vaeforge_models.likelihoods import squared_error_distortion
from vaeforge_models.schedules import SCHEDULES
from vaeforge_models.vae import DataSpec, build_seeded, parameter_count

ROOT = Path(__file__).parents[2]
SMALL: dict[str, Any] = {"latent_dim": 3, "width": 0.125, "hidden": (16, 8)}


def built(spec: DataSpec, **settings: Any) -> CiliaVAE:
    model = build_seeded(CiliaVAE, CiliaSettings(**SMALL | settings), spec, seed=0)
    assert isinstance(model, CiliaVAE)
    return model


def on_meta(preset: str, **settings: Any) -> CiliaVAE:
    chosen = FAMILY.presets[preset]
    with torch.device("meta"):
        side = chosen["prepare"]["size"]
        return CiliaVAE(CiliaSettings(**chosen["model"] | settings), DataSpec((1, side, side), 5))


def test_the_published_net_has_the_published_layers() -> None:
    convolutions = sum(9 * a * b + b for a, b in [(1, 32), (32, 64), (64, 128), (128, 64), (64, 32), (32, 1)])
    flat = 128 * 28 * 28
    encoder = (flat + 5) * 512 + 2 * 512 + 512 * 256 + 2 * 256
    heads = 2 * (256 * 128 + 128)
    decoder = (128 + 5) * 256 + 2 * 256 + 256 * 512 + 2 * 512 + 512 * flat + flat
    assert parameter_count(on_meta("published")) == convolutions + encoder + heads + decoder


def test_dense_layers_hold_822_million_parameters_at_448() -> None:
    dense, pooled = (parameter_count(on_meta("published_448", pool=pool)) for pool in ("dense", "adaptive"))
    assert 2 * 256 * 56 * 56 * 512 == 822_083_584
    # connections and the decoder's biases; everything else is alike
    assert dense - pooled == 2 * 256 * (56**2 - 7**2) * 512 + 256 * (56**2 - 7**2)


@pytest.mark.parametrize("side", [16, 56, 80, 224])
@pytest.mark.parametrize("settings", [{"pool": "dense"}, {"double": True}, {"double": True, "hidden": (9,)}])
def test_any_size_and_any_depth(side: int, settings: dict[str, Any]) -> None:
    model = built(DataSpec((1, side, side), 2), **settings)
    raw, condition = random_samples(FAMILY, DataSpec((1, side, side), 2), 2).tensors(slice(None))
    x, output, mu, logvar = model(raw, condition, torch.zeros(2, 3))
    assert x.shape == model.mean(output).shape == (2, 1, side, side)
    (model.distortion(x, output).sum() + mu.square().sum() + logvar.square().sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_a_side_that_cannot_be_halved_three_times_is_refused() -> None:
    with pytest.raises(ValueError, match="36 x 32 pixels, both must be multiples of 8"):
        built(DataSpec((1, 36, 32), 2))


def test_double_is_two_convolutions_a_stage() -> None:
    def convolutions(model: CiliaVAE) -> int:
        return sum(isinstance(module, torch.nn.Conv2d) for module in model.modules())

    spec = DataSpec((1, 32, 32), 2)
    assert (convolutions(built(spec)), convolutions(built(spec, double=True))) == (6, 12)


def test_the_class_changes_encoding_and_decoding() -> None:
    spec = DataSpec((1, 32, 32), 2)
    model = built(spec).eval()
    raw, _ = random_samples(FAMILY, spec, 1).tensors(slice(None))
    first, second = torch.eye(2)[:, None]
    x, z = model.normalise(raw), torch.zeros(1, 3)
    assert not torch.allclose(model.encode(x, first).mu, model.encode(x, second).mu)
    assert not torch.allclose(model.decode(z, first), model.decode(z, second))


def test_the_likelihoods() -> None:
    spec = DataSpec((1, 16, 16), 2)
    raw, condition = random_samples(FAMILY, spec, 3).tensors(slice(None))
    for likelihood in ("squared_error", "bernoulli", "calibrated"):
        model = built(spec, likelihood=likelihood).eval()
        x, output, _, _ = model(raw, condition, torch.zeros(3, 3))
        p = output.double().sigmoid()
        entropy = -(x * p.log() + (1 - x) * (1 - p).log()).flatten(1).sum(1)
        expected = entropy if likelihood == "bernoulli" else squared_error_distortion(x, p)
        torch.testing.assert_close(model.distortion(x, output).double(), expected.double(), rtol=1e-4, atol=1e-4)
        assert model.calibrated == (likelihood == "calibrated")


@pytest.mark.long
def test_pooled_graphs_without_classes_compute_what_torch_computes(tmp_path: Path) -> None:
    """80 pixels leave 10 x 10 places, which 7 x 7 do not divide evenly."""
    unconditional = replace(FAMILY, example=DataSpec((1, 80, 80), 0))
    model = built(unconditional.example).eval()
    files = export(model, tmp_path, condition_dim=0)
    assert check_parity(model, files, random_prepared(unconditional, tmp_path, 4, 3, 6)).passed


def test_the_space_fits_the_configuration() -> None:
    space = read_space(ROOT / "tune_spaces" / "cilia.yaml")
    assert check(space, load(ROOT, "cilia").experiment) == []
    (schedules,) = (d for d in space.dimensions if d.path == "beta.schedule")
    options = set(schedules.options)
    assert len(options) >= 4 and options <= set(SCHEDULES)
