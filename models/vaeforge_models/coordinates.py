"""Coordinates as models see them, and which points are neighbours in space.

Shapes: P points; coordinates [P, 3] in raw units; k neighbours. One convention holds everywhere: cartesian (x, y, z) in
the data's order, spherical (r, theta, phi) about the centre of the bounding box with theta the angle from +z in
[0, pi] and phi the angle from +x towards +y in (-pi, pi] (ISO 80000-2). All are brought to about [-1, 1].
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from vaeforge_models.precision import floating

System = Literal["cartesian", "spherical"]
CHUNK_VALUES = 2**24  # distances held at once, 64 MB


class Coordinates(nn.Module):
    """Raw coordinates [P, 3] to model inputs [P, 3] with the training points' bounding box.

    cartesian: (c - centre) / scale, each axis by itself, so that the box becomes [-1, 1]^3.
    spherical: 2 r / |scale| - 1, 2 theta / pi - 1, phi / pi. Angles need one unit for all axes, so the axes are not
    scaled; r reaches |scale|, half the box's diagonal, in its corners. phi jumps by 2 behind the z axis: maps that go
    through the plane y = 0, x < 0 are easier to learn from cartesian coordinates.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, system: System, centre: Tensor, scale: Tensor):
        super().__init__()
        self.system = system
        self.register_buffer("centre", floating(centre).clone())
        self.register_buffer("scale", torch.where(scale > 0, floating(scale), torch.ones_like(floating(scale))))

    def forward(self, coordinates: Tensor) -> Tensor:
        offset = floating(coordinates) - self.centre
        if self.system == "cartesian":
            return offset / self.scale
        r, theta, phi = spherical(offset).unbind(-1)
        reach = self.scale.square().sum().sqrt()
        return torch.stack([2 * r / reach - 1, 2 * theta / math.pi - 1, phi / math.pi], dim=-1)


def spherical(offset: Tensor) -> Tensor:
    """(x, y, z) [..., 3] to (r, theta, phi) [..., 3]; at the origin both angles are 0."""
    x, y, z = offset.unbind(-1)
    planar = (x.square() + y.square()).sqrt()
    return torch.stack([(planar.square() + z.square()).sqrt(), angle(planar, z), angle(y, x)], dim=-1)


def angle(opposite: Tensor, adjacent: Tensor) -> Tensor:
    """atan2 without its undefined points: 0 where both sides are 0; exported graphs divide there otherwise."""
    origin = (opposite == 0) & (adjacent == 0)
    return torch.atan2(opposite, torch.where(origin, torch.ones_like(adjacent), adjacent))


def bounding_box(coordinates: Tensor) -> tuple[Tensor, Tensor]:
    """Centre and half extents [3] of points [P, 3]."""
    low, high = coordinates.amin(0), coordinates.amax(0)
    return (low + high) / 2, (high - low) / 2


@torch.no_grad()
def nearest_neighbours(points: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The nearest `count` other points of each point, fewer where there are not so many: a graph without self-edges.

    Chunks of rows are compared with all points, so that no P x P matrix is held: 50,000 points take 64 MB, not 10 GB.

    Args:
        points: [P, 3].
        count: k.

    Returns:
        indices int64 [P, k] and distances [P, k], the nearest first.
    """
    kept, rows = min(count, len(points) - 1), max(1, CHUNK_VALUES // max(1, len(points)))
    if kept < 1:
        return points.new_zeros((len(points), 0), dtype=torch.int64), points.new_zeros((len(points), 0))
    found = [_nearest(points, start, min(start + rows, len(points)), kept) for start in range(0, len(points), rows)]
    return torch.cat([indices for indices, _ in found]), torch.cat([distances for _, distances in found])


def _nearest(points: Tensor, start: int, stop: int, count: int) -> tuple[Tensor, Tensor]:
    # the quick way by a matrix product loses small distances to rounding, and those carry the largest weights
    distances = torch.cdist(points[start:stop], points, compute_mode="donot_use_mm_for_euclid_dist")
    own = torch.arange(stop - start, device=points.device)
    distances[own, own + start] = math.inf
    values, indices = distances.topk(count, dim=1, largest=False)
    return indices, values


def edge_weights(distances: Tensor, softening: float) -> Tensor:
    """1 / (k (d + softening)) for distances [P, k]: near pairs count more, and k does not change the sum's size."""
    return 1.0 / ((distances + softening) * max(1, distances.shape[1]))
