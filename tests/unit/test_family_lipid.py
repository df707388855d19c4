"""The lipid family: coordinates, neighbours, attention, its two readings of the data and its regularisers."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch import nn

from manifest_samples import prepared_manifest
from vaeforge.data.prepared import Prepared
from vaeforge.package.export import export
from vaeforge.package.parity import check_parity
from vaeforge.samples import Samples
from vaeforge_models import coordinates
from vaeforge_models.attention import Attention
from vaeforge_models.coordinates import Coordinates, bounding_box, edge_weights, nearest_neighbours, spherical
from vaeforge_models.families.lipid import LipidSettings, LipidVAE, bounded_logvar
from vaeforge_models.vae import DataSpec, Posterior, parameter_count

SMALL: dict[str, Any] = {"latent_dim": 3, "hidden": 8, "heads": 2, "blocks": 1, "neighbours": 4}
POINTS, CHANNELS = 30, 5


def places(count: int = POINTS, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(seed)) * torch.tensor([4.0, 2.0, 1.0]) + 5


def points_spec(minmax: bool = False) -> DataSpec:
    low, high = torch.full((CHANNELS,), -2.0), torch.full((CHANNELS,), 6.0)
    mean, std = (low, high - low) if minmax else (torch.zeros(CHANNELS), torch.ones(CHANNELS))
    centre, scale = bounding_box(places())
    constants = {"mean": mean, "std": std, "minimum": low, "maximum": high, "centre": centre, "scale": scale}
    return DataSpec((CHANNELS,), 3, constants)


def maps_spec(count: int = POINTS) -> DataSpec:
    return DataSpec((count,), 0, {"coordinates": places(count)})


def built(spec: DataSpec, **settings: Any) -> LipidVAE:
    torch.manual_seed(0)
    return LipidVAE(LipidSettings(**{**SMALL, **settings}), spec)


def batch(spec: DataSpec, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    raw = torch.rand(count, *spec.event_shape, generator=generator)
    return raw, places(count, 2) if spec.condition_dim else torch.zeros(count, 0)


def test_spherical_convention() -> None:
    given = torch.tensor([[0, 0, 2], [3, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, -1], [0, 0, 0]]).float()
    quarter = math.pi / 2
    expected = [
        [2, 0, 0],
        [3, quarter, 0],
        [1, quarter, quarter],
        [1, quarter, math.pi],
        [1, quarter, -quarter],
        [1, math.pi, 0],
        [0, 0, 0],
    ]
    torch.testing.assert_close(spherical(given), torch.tensor(expected).float())


def test_spherical_coordinates_lead_back() -> None:
    given = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    r, theta, phi = spherical(given).unbind(1)
    planar = r * theta.sin()
    back = torch.stack([planar * phi.cos(), planar * phi.sin(), r * theta.cos()], dim=1)
    torch.testing.assert_close(back, given, atol=1e-5, rtol=1e-4)


def test_coordinates_are_brought_into_the_unit_box() -> None:
    given = places()
    centre, scale = bounding_box(given)
    cartesian = Coordinates("cartesian", centre, scale)(given)
    torch.testing.assert_close(cartesian.amax(0), torch.ones(3))
    torch.testing.assert_close(cartesian.amin(0), -torch.ones(3))
    round_one = Coordinates("spherical", centre, scale)(given)
    assert round_one.abs().max() <= 1
    # the corner of the box is as far from its centre as half the diagonal, r = 2 * 1 - 1
    torch.testing.assert_close(Coordinates("spherical", centre, scale)((centre + scale)[None])[0, 0], torch.tensor(1.0))


def test_an_axis_without_extent_does_no_harm() -> None:
    found = Coordinates("cartesian", torch.zeros(3), torch.tensor([1.0, 0.0, 2.0]))(torch.tensor([[1.0, 0.0, 2.0]]))
    torch.testing.assert_close(found, torch.tensor([[1.0, 0.0, 1.0]]))


def test_neighbours_are_scikit_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    given = torch.randn(101, 3, generator=torch.Generator().manual_seed(0)) * 1000
    expected, reference = NearestNeighbors(n_neighbors=6).fit(given.numpy()).kneighbors()
    for size in (coordinates.CHUNK_VALUES, 101 * 7):  # in one piece, and seven rows at a time
        monkeypatch.setattr(coordinates, "CHUNK_VALUES", size)
        indices, distances = nearest_neighbours(given, 6)
        np.testing.assert_array_equal(indices, reference)
        np.testing.assert_allclose(distances, expected, rtol=1e-5)


def test_no_point_is_its_own_neighbour() -> None:
    same = torch.ones(5, 3)
    indices, distances = nearest_neighbours(same, 9)
    assert indices.shape == distances.shape == (5, 4)
    assert not (indices == torch.arange(5)[:, None]).any()
    assert (distances == 0).all()
    assert nearest_neighbours(same[:1], 3)[0].shape == (1, 0)


def test_edge_weights() -> None:
    # 1 / (2 * (0.4 + 0.1)) = 1 and 1 / (2 * (0.9 + 0.1)) = 0.5
    torch.testing.assert_close(edge_weights(torch.tensor([[0.4, 0.9]]), 0.1), torch.tensor([[1.0, 0.5]]))


def test_attention_is_torchs_own() -> None:
    torch.manual_seed(0)
    own = Attention(8, 2, dropout=0.0)
    reference = nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        layers = (own.to_query, own.to_key, own.to_value)
        reference.in_proj_weight.copy_(torch.cat([layer.weight for layer in layers]))
        biases = [torch.zeros(8) if layer.bias is None else layer.bias for layer in layers]
        reference.in_proj_bias.copy_(torch.cat(biases))
        reference.out_proj.load_state_dict(own.to_output.state_dict())
    queries, context = torch.randn(4, 3, 8), torch.randn(4, 5, 8)
    normal = own.context_norm(context)
    expected = queries + reference(own.query_norm(queries), normal, normal, need_weights=False)[0]
    torch.testing.assert_close(own(queries, context), expected)


def test_log_variances_are_bounded_without_dead_gradients() -> None:
    given = torch.tensor([-12.0, 0.0, 12.0], requires_grad=True)
    found = bounded_logvar(given)
    torch.testing.assert_close(found[1], torch.tensor(0.0), atol=1e-6, rtol=0)
    assert -6 <= found[0] < -5.99
    assert 1.99 < found[2] <= 2
    found.sum().backward()
    assert given.grad is not None and (given.grad > 0).all()


@pytest.mark.parametrize(
    ("spec", "settings"),
    [
        (points_spec(), {"coordinates": "spherical", "likelihood": "calibrated"}),
        (points_spec(minmax=True), {"bounded": True}),
        (maps_spec(), {}),
        (maps_spec(), {"bounded": True, "coordinates": "spherical"}),
    ],
)
def test_every_variant_trains_all_its_parameters(spec: DataSpec, settings: dict[str, Any]) -> None:
    model = built(spec, **settings)
    raw, condition = batch(spec, 9)
    x, output, mu, logvar = model(raw, condition, torch.randn(9, model.latent_dim))
    posterior = Posterior(mu, logvar)
    loss = model.distortion(x, output).sum() + posterior.rate().sum() + model.penalty(output, posterior).sum()
    (loss + model.batch_penalty(model.mean(output), condition)).backward() if model.batch_coupled else loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name
    assert model.calibrated == (model.likelihood == "calibrated")


def test_numbers_of_maps_do_not_depend_on_the_batch() -> None:
    model = built(maps_spec()).eval()
    raw, condition = batch(maps_spec(), 6)
    whole, part = model.reconstruct(raw, condition)[0], model.reconstruct(raw[2:4], condition[2:4])[0]
    torch.testing.assert_close(whole[2:4], part)


def test_spatial_term_of_points_against_a_loop() -> None:
    model = built(points_spec(), spatial_weight=0.7, softening=0.02)
    condition = places(12, 4)
    shown = torch.randn(12, CHANNELS, generator=torch.Generator().manual_seed(3), requires_grad=True)
    half_diagonal = float(points_spec().constants["scale"].norm())
    expected = 0.0
    for i in range(12):
        distances = sorted(
            (float((condition[i] - condition[j]).norm()) / half_diagonal, j) for j in range(12) if j != i
        )
        for distance, j in distances[:4]:
            expected += float((shown[i] - shown[j]).detach().norm()) / (distance + 0.02) / 4
    found = model.batch_penalty(shown, condition)
    assert found.item() == pytest.approx(0.7 * expected / 12, rel=1e-5)
    found.backward()
    assert shown.grad is not None and torch.isfinite(shown.grad).all()


def test_spatial_term_of_equal_and_of_single_reconstructions() -> None:
    model = built(points_spec())
    for count in (1, 6):
        shown = torch.ones(count, CHANNELS, requires_grad=True)
        value = model.batch_penalty(shown, places(count))
        assert value.item() == 0
        value.backward()
        assert shown.grad is not None and (shown.grad == 0).all()


def test_the_spatial_term_is_coupled_only_where_it_takes_several_samples() -> None:
    assert built(points_spec()).batch_coupled
    assert not built(points_spec(), spatial_weight=0.0).batch_coupled
    assert not built(maps_spec()).batch_coupled


def test_penalties_of_maps_against_a_loop() -> None:
    model = built(maps_spec(), spatial_weight=0.3, softening=0.05, l1_weight=0.2)
    output = torch.randn(2, POINTS, generator=torch.Generator().manual_seed(5))
    mu = torch.tensor([[1.0, -2.0, 0.0], [0.0, 0.5, 0.0]])
    given = places()
    half_diagonal = float(bounding_box(given)[1].norm())
    shown = model.mean(output).detach()
    expected = []
    for sample, units in zip(shown, mu, strict=True):
        total = 0.0
        for i in range(POINTS):
            near = sorted((float((given[i] - given[j]).norm()) / half_diagonal, j) for j in range(POINTS) if j != i)
            total += sum(abs(float(sample[i] - sample[j])) / (distance + 0.05) / 4 for distance, j in near[:4])
        expected.append(0.3 * total + 0.2 * float(units.abs().sum()))
    found = model.penalty(output, Posterior(mu, torch.zeros_like(mu)))
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-4, atol=1e-4)


def test_the_bounds_penalty_acts_before_the_sigmoid() -> None:
    model = built(points_spec(minmax=True), bounded=True, l1_weight=0.0)
    output = torch.tensor([[0.0, 0.5, 1.0, 0.2, 0.9], [1.5, -0.25, 0.5, 0.5, 0.5]])
    nothing = Posterior(torch.zeros(2, 3), torch.zeros(2, 3))
    torch.testing.assert_close(model.penalty(output, nothing), torch.tensor([0.0, 10 * (0.5 + 0.25)]))
    ends = model.mean(torch.tensor([0.0, 1.0, 0.5])).detach()
    # sigma(-4), sigma(4), sigma(0)
    torch.testing.assert_close(ends, torch.tensor([0.017986, 0.982014, 0.5]), atol=1e-5, rtol=0)
    free = built(points_spec(), l1_weight=0.0)
    assert (free.penalty(output, nothing) == 0).all()


def test_a_sigmoid_is_refused_for_data_that_it_cannot_reach() -> None:
    with pytest.raises(ValueError, match=r"set prepare\.scaling: minmax, or model\.bounded: false"):
        built(points_spec(), bounded=True)


def test_other_data_are_refused() -> None:
    with pytest.raises(ValueError, match="conditions of 2 values, must be vectors with 3 coordinates"):
        built(DataSpec((4,), 2))
    with pytest.raises(ValueError, match="coordinates None; prepare the data again"):
        built(DataSpec((4,), 0))
    with pytest.raises(ValueError, match=r"maps of 4 points have coordinates \(30, 3\)"):
        built(DataSpec((4,), 0, {"coordinates": places()}))
    with pytest.raises(ValueError, match="hidden is 9, must be a multiple of heads, which is 2"):
        LipidSettings(**{**SMALL, "hidden": 9})


def test_published_widths_on_maps_of_fifty_thousand_points_have_the_sources_size() -> None:
    spec = DataSpec((50_000,), 0, {"coordinates": places(50_000)})
    settings = LipidSettings(latent_dim=128, hidden=512, blocks=3, spatial_weight=0.0)
    with torch.device("meta"):
        model = LipidVAE(settings, spec)
    assert parameter_count(model) == pytest.approx(493e6, rel=0.05)


@pytest.mark.long
@pytest.mark.parametrize("reading", ["points", "maps"])
def test_graphs_with_angles_and_a_sigmoid_export(reading: str, tmp_path: Path) -> None:
    spec = points_spec(minmax=True) if reading == "points" else maps_spec()
    model = built(spec, bounded=True, coordinates="spherical", scales=1, blocks=0).eval()
    raw, condition = (tensor.numpy() for tensor in batch(spec, 12))
    if reading == "points":
        condition[0] = spec.constants["centre"].numpy()  # where angles are not defined
    samples = Samples(raw, condition)
    nothing = np.zeros(12, dtype=np.int64)
    prepared = Prepared(tmp_path, prepared_manifest(), samples, samples, samples, nothing, nothing, {})
    files = export(model, tmp_path, condition_dim=spec.condition_dim)
    assert check_parity(model, files, prepared).passed
