"""Blocks for vectors and for short rows of tokens: attention, gated residual blocks, a processor per coordinate.

Shapes: B samples, T tokens of width h, F features, H heads.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from vaeforge_models.dropout import Dropout

REDUCTION = 4


class Attention(nn.Module):
    """queries + A(LN(queries), LN(context)), multi-head scaled dot products (Vaswani et al. 2017), pre-norm.

    queries [B, T, h] and context [B, S, h] to [B, T, h]; the context is the queries themselves for self-attention. Keys
    have no bias: it adds the same number to all of a query's scores, which the softmax takes off again.
    """

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        if width % heads:
            raise ValueError(f"attention: width is {width}, must be a multiple of heads, which is {heads}")
        self.heads, self.dropout = heads, Dropout(dropout)
        self.query_norm, self.context_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_query, self.to_key = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.to_value, self.to_output = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, queries: Tensor, context: Tensor) -> Tensor:
        context = self.context_norm(context)
        query, key, value = self.to_query(self.query_norm(queries)), self.to_key(context), self.to_value(context)
        mixed = self._mixed(self._split(query), self._split(key), self._split(value))
        added: Tensor = self.to_output(mixed.transpose(1, 2).flatten(2))
        return queries + added

    def _mixed(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Values weighed by the softmax of the scaled products, which dropout thins in training: [B, H, T, h / H]."""
        if not self.training or not self.dropout.p:
            return functional.scaled_dot_product_attention(query, key, value)
        scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
        mixed: Tensor = self.dropout(scores.softmax(-1)) @ value
        return mixed

    def _split(self, tokens: Tensor) -> Tensor:
        """[B, T, h] to [B, H, T, h / H]."""
        batch, count, width = tokens.shape
        return tokens.reshape(batch, count, self.heads, width // self.heads).transpose(1, 2)


class SqueezeExcitation(nn.Module):
    """x * sigma(W2 gelu(W1 x)) with W1 to a quarter of the features (Hu et al. 2018), for [B, F] without positions."""

    def __init__(self, features: int):
        super().__init__()
        squeezed = max(1, features // REDUCTION)
        self.weights = nn.Sequential(
            nn.Linear(features, squeezed), nn.GELU(), nn.Linear(squeezed, features), nn.Sigmoid()
        )

    def forward(self, values: Tensor) -> Tensor:
        scaled: Tensor = values * self.weights(values)
        return scaled


class GatedResidual(nn.Module):
    """x + SE(sigma(G x) * f(x)), f = LN, Linear, GELU, dropout, LN, Linear; [B, F] to [B, F]."""

    def __init__(self, features: int, dropout: float):
        super().__init__()
        self.body = nn.Sequential(
            nn.LayerNorm(features),
            nn.Linear(features, features),
            nn.GELU(),
            Dropout(dropout),
            nn.LayerNorm(features),
            nn.Linear(features, features),
        )
        self.gate = nn.Sequential(nn.Linear(features, features), nn.Sigmoid())
        self.excite = SqueezeExcitation(features)

    def forward(self, values: Tensor) -> Tensor:
        residual: Tensor = self.excite(self.gate(values) * self.body(values))
        return values + residual


class CoordinateProcessor(nn.Module):
    """The values [B, S] of one coordinate to a token [B, h]: Linear, then a residual block of two layers.

    S is 1 where a sample is a point, and all points where it is a map, `shared` by all samples: B is then 1.
    """

    def __init__(self, inputs: int, width: int, dropout: float, shared: bool = False):
        super().__init__()
        self.enter = nn.Linear(inputs, width)
        self.body = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, width),
            nn.GELU(),
            Dropout(dropout, shared),
            nn.Linear(width, width),
        )

    def forward(self, values: Tensor) -> Tensor:
        entered: Tensor = self.enter(values)
        residual: Tensor = self.body(entered)
        return entered + residual


class CoordinateTokens(nn.Module):
    """A processor per coordinate: [B, 3, S] to tokens [B, 3, h]."""

    def __init__(self, inputs: int, width: int, dropout: float, shared: bool = False):
        super().__init__()
        self.processors = nn.ModuleList(CoordinateProcessor(inputs, width, dropout, shared) for _ in range(3))

    def forward(self, coordinates: Tensor) -> Tensor:
        tokens = [process(coordinates[:, axis]) for axis, process in enumerate(self.processors)]
        return torch.stack(tokens, dim=1)


class WideningResidual(nn.Module):
    """Skip(x) + Dropout(GELU(LN(Linear x))) from `before` to `after` features, the skip linear; [B, before] in."""

    def __init__(self, before: int, after: int, dropout: float):
        super().__init__()
        self.skip = nn.Linear(before, after)
        self.body = nn.Sequential(nn.Linear(before, after), nn.LayerNorm(after), nn.GELU(), Dropout(dropout))

    def forward(self, values: Tensor) -> Tensor:
        skipped: Tensor = self.skip(values)
        residual: Tensor = self.body(values)
        return skipped + residual
