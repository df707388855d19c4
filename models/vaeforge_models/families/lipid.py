"""`lipid`: a coordinate-conditioned VAE of spatial maps with several channels.

Shapes: B samples, E values of a sample, L latent dimensions, h `hidden`, S `scales`, F = h (2^S - 1) features.
Two readings of the same data, told by the specification:
- points: a sample is the C channels at one point, x [B, C], and its condition the raw coordinates [B, 3]; E = C.
- maps: a sample is one channel at all N points, x [B, N], no condition, coordinates a constant [N, 3]; E = N.

Encoder: S parallel MLPs of widths h 2^i, concatenated; gated residual blocks; self-attention over a token per scale and
a token per coordinate; heads for mu (no LayerNorm on it: that would force the rate above 0) and log sigma^2.
Decoder: S latent tokens that attend to the coordinate tokens; residual layers that widen from h to h 2^(S - 1); E
outputs u; a learnable scale and shift; a sigmoid only for data that lie in [0, 1].

Training adds to distortion and beta * rate, in nats per sample (weights are settings, everything summed):
    bounds   sum relu(u - 1) + relu(-u), where there is a sigmoid: u in [0, 1] is what scale and shift map to it
    l1       sum |mu_j|
    spatial  sum_i mean_{j in kNN(i)} |x_i - x_j| / (d_ij + softening), x the reconstruction, |.| over channels, d in
             half diagonals of the bounding box; neighbours are those within a batch, for maps those within the map
"""

import math
from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from vaeforge_models.attention import Attention, CoordinateTokens, GatedResidual, WideningResidual
from vaeforge_models.coordinates import Coordinates, bounding_box, edge_weights, nearest_neighbours
from vaeforge_models.dropout import Dropout
from vaeforge_models.family import Family
from vaeforge_models.layers import Standardise, constant_or
from vaeforge_models.precision import floating
from vaeforge_models.settings import Settings
from vaeforge_models.vae import VAE, DataSpec, Posterior

AXES = 3
LOGVAR_RANGE = (-6.0, 2.0)
STEEPNESS = 8.0  # of the sigmoid at first: u in [0, 1] reaches 0.02 to 0.98
Weight = Annotated[float, Field(ge=0)]


class LipidSettings(Settings):
    """The `model` section of the configuration."""

    latent_dim: Annotated[int, Field(ge=1, le=4096)] = 16
    hidden: Annotated[int, Field(ge=1, le=8192, description="h, a multiple of heads")] = 64
    scales: Annotated[int, Field(ge=1, le=6, description="parallel MLPs, each twice as wide as the one before")] = 3
    blocks: Annotated[int, Field(ge=0, le=32, description="gated residual blocks of the encoder")] = 2
    heads: Annotated[int, Field(ge=1)] = 8
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    coordinates: Literal["cartesian", "spherical"] = "cartesian"
    likelihood: Literal["squared_error", "calibrated"] = "squared_error"
    bounded: Annotated[
        bool, Field(description="outputs through a sigmoid; for data in [0, 1], that is `prepare.scaling: minmax`")
    ] = False
    bounds_weight: Weight = 10.0
    l1_weight: Weight = 0.01
    spatial_weight: Weight = 0.01
    neighbours: Annotated[int, Field(ge=1, le=64, description="k of the spatial term")] = 8
    softening: Annotated[float, Field(gt=0, description="added to distances, half diagonals of the bounding box")] = (
        0.01
    )

    @model_validator(mode="after")
    def _whole_heads(self) -> "LipidSettings":
        if self.hidden % self.heads:
            raise ValueError(f"hidden is {self.hidden}, must be a multiple of heads, which is {self.heads}")
        return self


class LipidVAE(VAE):
    """See the module's docstring.

    Raises:
        ValueError: if the data are of neither reading, a map has no coordinates, or `bounded` does not fit the data.
    """

    places: Tensor
    neighbours: Tensor
    edges: Tensor

    def __init__(self, settings: LipidSettings, spec: DataSpec):
        super().__init__()
        _require_reading(spec)
        self.settings, self.maps = settings, spec.condition_dim == 0
        self.latent_dim, self.event_shape, self.likelihood = settings.latent_dim, spec.event_shape, settings.likelihood
        self.calibrated = settings.likelihood == "calibrated"
        self.batch_coupled = settings.spatial_weight > 0 and not self.maps
        self.standardise = Standardise(spec)
        self.masked = self.standardise.fill is not None
        if settings.bounded:
            _require_unit_range(spec)
        self._place(spec)
        self.coordinate_tokens = CoordinateTokens(
            spec.dimensions if self.maps else 1, settings.hidden, settings.dropout, shared=self.maps
        )
        self.encoder, self.decoder = Encoder(settings, spec.dimensions), Decoder(settings, spec.dimensions)
        scale, shift = (STEEPNESS, -STEEPNESS / 2) if settings.bounded else (1.0, 0.0)
        self.output_scale, self.output_shift = nn.Parameter(torch.tensor(scale)), nn.Parameter(torch.tensor(shift))

    def _place(self, spec: DataSpec) -> None:
        """Where the samples lie: constants of the bounding box, and the points and edges of maps."""
        if self.maps:
            coordinates = floating(spec.constants["coordinates"])
            centre, extent = bounding_box(coordinates)
        else:
            coordinates = torch.zeros(0, AXES)
            centre = constant_or(spec.constants, "centre", torch.zeros(AXES))
            extent = constant_or(spec.constants, "scale", torch.ones(AXES))
        self.place = Coordinates(self.settings.coordinates, centre, extent)
        self.register_buffer("places", self.place(coordinates).T[None].contiguous())
        reach = self.place.scale.square().sum().sqrt()
        wanted = self.settings.neighbours if self.maps and self.settings.spatial_weight else 0
        indices, distances = nearest_neighbours(coordinates / reach, wanted)
        self.register_buffer("neighbours", indices)
        self.register_buffer("edges", edge_weights(distances, self.settings.softening))

    def normalise(self, raw: Tensor) -> Tensor:
        normal: Tensor = self.standardise(raw)
        return normal

    def denormalise(self, x: Tensor) -> Tensor:
        return self.standardise.inverse(x)

    def filled(self, x: Tensor) -> Tensor:
        return self.standardise.filled(x)

    def encode(self, x: Tensor, condition: Tensor) -> Posterior:
        mu, unbounded = self.encoder(self.filled(x), self._tokens(x, condition))
        return Posterior(mu, bounded_logvar(unbounded))

    def decode(self, z: Tensor, condition: Tensor) -> Tensor:
        output: Tensor = self.decoder(z, self._tokens(z, condition))
        return output

    def _tokens(self, first: Tensor, condition: Tensor) -> Tensor:
        """The coordinate tokens [B, 3, h] of a batch that `first` [B, ...] is also of."""
        inputs = self.places if self.maps else self.place(condition)[:, :, None]
        tokens: Tensor = self.coordinate_tokens(inputs)
        return tokens.expand(first.shape[0], -1, -1)

    def mean(self, output: Tensor) -> Tensor:
        scaled = output * self.output_scale + self.output_shift
        return scaled.sigmoid() if self.settings.bounded else scaled

    def distortion(self, x: Tensor, output: Tensor) -> Tensor:
        return self.difference(x, self.mean(output)).square().flatten(1).sum(1)

    def penalty(self, output: Tensor, posterior: Posterior) -> Tensor:
        added = self.settings.l1_weight * posterior.mu.abs().sum(1)
        if self.settings.bounded:
            added = added + self.settings.bounds_weight * ((output - 1).relu() + (-output).relu()).sum(1)
        if self.maps and self.settings.spatial_weight:
            x = self.mean(output)
            steps = (x[:, :, None] - x[:, self.neighbours]).abs()
            added = added + self.settings.spatial_weight * (steps * self.edges).flatten(1).sum(1)
        return added

    def batch_penalty(self, reconstruction: Tensor, condition: Tensor) -> Tensor:
        """The spatial term over the nearest neighbours within the batch, mean over samples; 0 for a single one."""
        reach = self.place.scale.square().sum().sqrt()
        indices, distances = nearest_neighbours(floating(condition.detach()) / reach, self.settings.neighbours)
        steps = torch.linalg.vector_norm(reconstruction[:, None] - reconstruction[indices], dim=2)
        weighted = steps * edge_weights(distances, self.settings.softening)
        added: Tensor = self.settings.spatial_weight * weighted.sum() / len(reconstruction)
        return added


class Encoder(nn.Module):
    """x [B, E] and coordinate tokens [B, 3, h] to mu and an unbounded log-variance, [B, L] each."""

    def __init__(self, settings: LipidSettings, values: int):
        super().__init__()
        self.widths = [settings.hidden * 2**scale for scale in range(settings.scales)]
        self.scales = nn.ModuleList(
            nn.Sequential(nn.Linear(values, width), nn.LayerNorm(width), nn.GELU(), Dropout(settings.dropout))
            for width in self.widths
        )
        blocks = [GatedResidual(sum(self.widths), settings.dropout) for _ in range(settings.blocks)]
        self.blocks = nn.Sequential(*blocks)
        self.to_tokens = nn.ModuleList(nn.Linear(width, settings.hidden) for width in self.widths)
        self.attention = Attention(settings.hidden, settings.heads, settings.dropout)
        features = settings.hidden * (settings.scales + AXES)
        self.to_mu = nn.Linear(features, settings.latent_dim)
        self.to_logvar = nn.Linear(features, settings.latent_dim)

    def forward(self, x: Tensor, coordinate_tokens: Tensor) -> tuple[Tensor, Tensor]:
        features = self.blocks(torch.cat([scale(x) for scale in self.scales], dim=1))
        parts = features.split(self.widths, dim=1)
        own = torch.stack([project(part) for project, part in zip(self.to_tokens, parts, strict=True)], dim=1)
        tokens = torch.cat([own, coordinate_tokens], dim=1)
        attended = self.attention(tokens, tokens).flatten(1)
        return self.to_mu(attended), self.to_logvar(attended)


class Decoder(nn.Module):
    """z [B, L] and coordinate tokens [B, 3, h] to outputs u [B, E]."""

    def __init__(self, settings: LipidSettings, values: int):
        super().__init__()
        hidden, scales, dropout = settings.hidden, settings.scales, settings.dropout
        self.from_latent = nn.Sequential(
            nn.Linear(settings.latent_dim, hidden * scales), nn.Unflatten(1, (scales, hidden))
        )
        self.attention = Attention(hidden, settings.heads, dropout)
        widths = [hidden * scales, *(hidden * 2**scale for scale in range(scales))]
        stages = [WideningResidual(a, b, dropout) for a, b in pairwise(widths)]
        self.widen = nn.Sequential(*stages)
        self.to_values = nn.Linear(widths[-1], values)
        if settings.bounded:
            nn.init.constant_(self.to_values.bias, 0.5)  # the middle of the range, where neither bound pulls

    def forward(self, z: Tensor, coordinate_tokens: Tensor) -> Tensor:
        tokens = self.attention(self.from_latent(z), coordinate_tokens)
        outputs: Tensor = self.to_values(self.widen(tokens.flatten(1)))
        return outputs


def bounded_logvar(unbounded: Tensor) -> Tensor:
    """Log-variances within [-6, 2], 0 at 0.

    -6 + 8 sigma(v + log 3): a clamp would give no gradient to a unit that once left the range, this always gives some.
    """
    low, high = LOGVAR_RANGE
    return low + (high - low) * torch.sigmoid(unbounded + math.log(-low / high))


def _require_reading(spec: DataSpec) -> None:
    if len(spec.event_shape) != 1 or spec.condition_dim not in (0, AXES):
        raise ValueError(
            f"lipid: samples are {spec.event_shape} with conditions of {spec.condition_dim} values, must be "
            f"vectors with {AXES} coordinates, or maps without a condition"
        )
    found = spec.constants.get("coordinates")
    if spec.condition_dim == 0 and (found is None or found.shape != (spec.dimensions, AXES)):
        shape = None if found is None else tuple(found.shape)
        raise ValueError(f"lipid: maps of {spec.dimensions} points have coordinates {shape}; prepare the data again")


def _require_unit_range(spec: DataSpec) -> None:
    """A sigmoid reaches only [0, 1]. Maps are scaled before they get here, and carry no statistics to tell."""
    mean, low = spec.constants.get("mean"), spec.constants.get("minimum")
    if mean is not None and low is not None and not torch.allclose(mean, low):
        raise ValueError(
            "lipid: model.bounded is true, but the data are not scaled to [0, 1]; set prepare.scaling: minmax, or "
            "model.bounded: false"
        )


def _example() -> DataSpec:
    """Six channels about 0 over a box around the origin."""
    values = {"mean": 0.0, "std": 1.0, "minimum": -4.0, "maximum": 4.0}
    constants = {name: torch.full((6,), value) for name, value in values.items()}
    return DataSpec((6,), AXES, constants | {"centre": torch.zeros(AXES), "scale": torch.full((AXES,), 2.0)})


FAMILY = Family(
    name="lipid",
    settings=LipidSettings,
    build=LipidVAE,
    defaults={
        "optimizer": {"name": "adamw", "lr": 5e-4, "weight_decay": 0.01, "clip_norm": 1.0, "schedule": "onecycle"},
        "training": {"batch_size": 128},
        "beta": {"schedule": "half_cosine", "max": 0.5, "cycles": 3},
        # what coordinates explain needs no unit, and few channels leave little else
        "gates": {"min_active_units": 1},
    },
    presets={
        # a small net at a larger learning rate, too short a training to overfit; already at a beta of 0.5 it reads so
        # much off the coordinates that two units stay active
        "sample": {
            "model": {"latent_dim": 8, "hidden": 48, "blocks": 1, "dropout": 0.0},
            "optimizer": {"lr": 5e-3},
            "training": {"epochs": 8, "steps_per_epoch": 150, "evaluation_samples": 4},
            "beta": {"max": 0.3},
        },
        # the source leaves its widths free; hidden 512 gives its 493 million parameters on maps of 50,000 points
        "published": {
            "model": {"latent_dim": 128, "hidden": 256, "blocks": 3},
            "training": {"epochs": 200, "amp": "bf16"},
            # 0.5 where p(x|z) = N(f, I): SSE / 2 + 0.5 KL is half of SSE + 1.0 KL (docs/families.md)
            "beta": {"max": 1.0},
        },
    },
    data="points",
    missing_values=True,
    task="maps",
    example=_example(),
)
