"""The networks that predict the noise in a noisy latent vector: a convolutional and a fully connected U-Net.

Shapes: B samples, L latent dimensions, C channels, E features of the embedded time and condition, z_t [B, L], t [B]
in 0..1000 (any number type), condition [B, 1, H, W] or none. Both networks map (z_t, t, condition) to the noise [B, L].
Every block adds a projection of the embedded time (Ho et al. 2020) and, where there is a condition, scales and shifts
its normalised features by it (FiLM, Perez et al. 2018): h <- norm(h) * (1 + scale) + shift.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from vaeforge_models.precision import floating

TIME_RANGE = 1000.0
SLOWEST_PERIOD = 10_000.0
CONV_WIDTHS = (64, 128, 256)
CONV_BOTTLENECK = 512
MLP_WIDTHS = (128, 256, 512)
BLOCKS_PER_LEVEL = 2
NARROWEST = 8
CONDITION_GRID = 4


def scaled_width(base: int, multiplier: float) -> int:
    """`base` channels times `multiplier`, rounded to a multiple of 8 and at least 8."""
    return max(NARROWEST, NARROWEST * round(base * multiplier / NARROWEST))


def sinusoidal_embedding(t: Tensor, features: int) -> Tensor:
    """sin and cos of t at `features` / 2 frequencies from 1 down to 1 / 10000 (Vaswani et al. 2017): [B, features]."""
    half = features // 2
    steps = torch.arange(half, device=t.device, dtype=torch.get_default_dtype()) / half
    angles = floating(t)[:, None] * torch.exp(-math.log(SLOWEST_PERIOD) * steps)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class TimeEmbedding(nn.Module):
    """Time [B] to [B, E]: sinusoids, then two linear layers."""

    def __init__(self, features: int):
        super().__init__()
        self.features = features
        self.layers = nn.Sequential(nn.Linear(features, features), nn.SiLU(), nn.Linear(features, features), nn.SiLU())

    def forward(self, t: Tensor) -> Tensor:
        embedded: Tensor = self.layers(sinusoidal_embedding(t, self.features))
        return embedded


class PatternEncoder(nn.Module):
    """A pattern image [B, 1, H, W] of any size to [B, E]: three strided convolutions, pooled to 4 x 4.

    The grid is kept because where a pattern lies in its image matters; an average over the whole image would lose it.
    """

    def __init__(self, features: int, multiplier: float):
        super().__init__()
        widths = (1, *(scaled_width(base, multiplier) for base in CONV_WIDTHS))
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), _norm(after), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(CONDITION_GRID), nn.Flatten())
        self.head = nn.Sequential(nn.Linear(widths[-1] * CONDITION_GRID**2, features), nn.SiLU())

    def forward(self, condition: Tensor) -> Tensor:
        embedded: Tensor = self.head(self.layers(condition))
        return embedded


def _norm(channels: int) -> nn.GroupNorm:
    """At most 8 groups of at least 8 channels: a group of one value would be normalised to zero."""
    return nn.GroupNorm(max(1, min(8, channels // NARROWEST)), channels)


class Modulation(nn.Module):
    """Normalised features [B, C, ...], scaled and shifted by the embedded condition [B, E], plus the time [B, E]."""

    def __init__(self, channels: int, features: int, conditional: bool):
        super().__init__()
        self.norm = _norm(channels)
        self.time = nn.Linear(features, channels)
        self.film = nn.Linear(features, 2 * channels) if conditional else None

    def forward(self, h: Tensor, time: Tensor, condition: Tensor | None) -> Tensor:
        ones = (1,) * (h.ndim - 2)
        h = self.norm(h)
        if self.film is not None and condition is not None:
            scale, shift = self.film(condition).chunk(2, dim=1)
            h = h * (1 + scale.view(*scale.shape, *ones)) + shift.view(*shift.shape, *ones)
        embedded: Tensor = self.time(time)
        return h + embedded.view(*embedded.shape, *ones)


class ConvBlock(nn.Module):
    """Residual block [B, C_in, n] to [B, C_out, n]: convolution, modulation, SiLU, norm, SiLU, convolution."""

    def __init__(self, channels_in: int, channels_out: int, features: int, conditional: bool):
        super().__init__()
        self.first = nn.Conv1d(channels_in, channels_out, 3, padding=1)
        self.modulation = Modulation(channels_out, features, conditional)
        self.second = nn.Sequential(nn.SiLU(), nn.Conv1d(channels_out, channels_out, 3, padding=1))
        same = channels_in == channels_out
        self.skip: nn.Module = nn.Identity() if same else nn.Conv1d(channels_in, channels_out, 1)

    def forward(self, h: Tensor, time: Tensor, condition: Tensor | None) -> Tensor:
        out: Tensor = self.skip(h) + self.second(self.modulation(self.first(h), time, condition))
        return out


class SelfAttention(nn.Module):
    """Residual self-attention over the positions of [B, C, n], 4 heads."""

    def __init__(self, channels: int, heads: int = 4):
        super().__init__()
        self.heads, self.norm = heads, _norm(channels)
        self.queries_keys_values = nn.Conv1d(channels, 3 * channels, 1)
        self.out = nn.Conv1d(channels, channels, 1)

    def forward(self, h: Tensor) -> Tensor:
        batch, channels, positions = h.shape
        parts = self.queries_keys_values(self.norm(h)).view(batch, 3, self.heads, channels // self.heads, positions)
        query, key, value = parts.transpose(3, 4).unbind(1)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = h + self.out(mixed.transpose(2, 3).reshape(batch, channels, positions))
        return out


class ConvUNet1d(nn.Module):
    """1-D U-Net over the latent vector: 64, 128, 256 channels, 512 with self-attention in the middle.

    The vector is padded to a multiple of 4, because it is halved twice. A learnt embedding of each latent index is
    added at the start: latent dimensions differ from each other, and a convolution alone cannot tell them apart.
    """

    def __init__(self, latent_dim: int, multiplier: float = 1.0, conditional: bool = False):
        super().__init__()
        widths = [scaled_width(base, multiplier) for base in CONV_WIDTHS]
        middle = scaled_width(CONV_BOTTLENECK, multiplier)
        features = 4 * widths[0]
        self.padding = -latent_dim % 2 ** (len(widths) - 1)
        self.time = TimeEmbedding(features)
        self.condition = PatternEncoder(features, multiplier) if conditional else None
        self.start = nn.Conv1d(1, widths[0], 3, padding=1)
        self.index = nn.Parameter(0.02 * torch.randn(1, widths[0], latent_dim + self.padding))
        self.down = nn.ModuleList(
            ConvBlock(before, after, features, conditional) for before, after in pairwise([widths[0], *widths])
        )
        self.halve = nn.ModuleList(nn.Conv1d(width, width, 3, stride=2, padding=1) for width in widths[:-1])
        self.middle = nn.ModuleList(ConvBlock(c, middle, features, conditional) for c in (widths[-1], middle))
        self.attention = SelfAttention(middle)
        below = [middle, *reversed(widths[1:])]
        self.up = nn.ModuleList(
            ConvBlock(lower + width, width, features, conditional)
            for lower, width in zip(below, reversed(widths), strict=True)
        )
        self.end = nn.Sequential(_norm(widths[0]), nn.SiLU(), nn.Conv1d(widths[0], 1, 3, padding=1))

    def forward(self, z: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """The predicted noise [B, L]."""
        time, pattern = self.time(t), _embed(self.condition, condition)
        h = self.start(functional.pad(z, (0, self.padding))[:, None]) + self.index
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            h = block(h if level == 0 else self.halve[level - 1](h), time, pattern)
            skips.append(h)
        h = self.middle[1](self.attention(self.middle[0](h, time, pattern)), time, pattern)
        for level, block in enumerate(self.up):
            h = h if level == 0 else functional.interpolate(h, scale_factor=2.0, mode="nearest")
            h = block(torch.cat([h, skips.pop()], dim=1), time, pattern)
        out: Tensor = self.end(h)[:, 0, : z.shape[1]]
        return out


class MLPBlock(nn.Module):
    """Residual block [B, C]: linear, modulation, SiLU, linear."""

    def __init__(self, channels: int, features: int, conditional: bool):
        super().__init__()
        self.first = nn.Linear(channels, channels)
        self.modulation = Modulation(channels, features, conditional)
        self.second = nn.Sequential(nn.SiLU(), nn.Linear(channels, channels))

    def forward(self, h: Tensor, time: Tensor, condition: Tensor | None) -> Tensor:
        out: Tensor = h + self.second(self.modulation(self.first(h), time, condition))
        return out


class MLPUNet(nn.Module):
    """Residual MLP U-Net: 128, 256, 512 features, two blocks a level, skips by concatenation.

    z_t itself is added to the output, weighted per dimension by a function of time. Without that path a first level
    narrower than L could not express the noise, which fills all L dimensions.
    """

    def __init__(self, latent_dim: int, multiplier: float = 1.0, conditional: bool = False):
        super().__init__()
        widths = [scaled_width(base, multiplier) for base in MLP_WIDTHS]
        features = widths[0]

        def level(width: int) -> nn.ModuleList:
            return nn.ModuleList(MLPBlock(width, features, conditional) for _ in range(BLOCKS_PER_LEVEL))

        self.time = TimeEmbedding(features)
        self.condition = PatternEncoder(features, multiplier) if conditional else None
        self.enter = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise([latent_dim, *widths]))
        self.down = nn.ModuleList(level(width) for width in widths)
        upper = list(reversed(widths[:-1]))
        below = list(reversed(widths[1:]))
        self.merge = nn.ModuleList(nn.Linear(lower + width, width) for lower, width in zip(below, upper, strict=True))
        self.up = nn.ModuleList(level(width) for width in upper)
        self.end = nn.Sequential(_norm(widths[0]), nn.SiLU(), nn.Linear(widths[0], latent_dim))
        self.direct = nn.Linear(features, latent_dim)

    def forward(self, z: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """The predicted noise [B, L]."""
        time, pattern = self.time(t), _embed(self.condition, condition)
        h, skips = z, list[Tensor]()
        for enter, blocks in zip(self.enter, self.down, strict=True):
            h = _through(blocks, enter(h), time, pattern)
            skips.append(h)
        skips.pop()
        for merge, blocks in zip(self.merge, self.up, strict=True):
            h = _through(blocks, merge(torch.cat([h, skips.pop()], dim=1)), time, pattern)
        out: Tensor = self.end(h) + self.direct(time) * z
        return out


def _through(blocks: nn.Module, h: Tensor, time: Tensor, condition: Tensor | None) -> Tensor:
    for block in blocks.children():
        h = block(h, time, condition)
    return h


def _embed(encoder: nn.Module | None, condition: Tensor | None) -> Tensor | None:
    """The embedded condition [B, E].

    Raises:
        ValueError: if a network with a condition gets none, or one without gets one.
    """
    if (encoder is None) != (condition is None):
        got, must = ("none", "a tensor [B, 1, H, W]") if condition is None else ("a tensor", "none")
        raise ValueError(f"condition: got {got}, must be {must}; see `conditional` of the diffusion settings")
    return None if encoder is None else encoder(condition)
