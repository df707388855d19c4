"""Augmentation of image batches, driven by uniform draws given from outside.

Shapes: raw images [B, C, H, W] in 0..255; draws [B, DRAWS] in [0, 1).
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from vaeforge_models.family import Augmentation
from vaeforge_models.precision import floating
from vaeforge_models.vae import DataSpec

DRAWS = 8
ROTATION_DEGREES = 10.0
JITTER = 0.1


def crop(raw: Tensor, draws: Tensor, height: int, width: int) -> Tensor:
    """A window [height, width] of each image at the place its two draws name; draws of 0.5 take the centre."""
    free_rows, free_columns = raw.shape[2] - height, raw.shape[3] - width
    rows = (draws[:, 0] * (free_rows + 1)).long().clamp(max=free_rows)
    columns = (draws[:, 1] * (free_columns + 1)).long().clamp(max=free_columns)
    row_index = rows[:, None] + torch.arange(height, device=raw.device)
    column_index = columns[:, None] + torch.arange(width, device=raw.device)
    sample = torch.arange(raw.shape[0], device=raw.device)[:, None, None]
    return raw.movedim(1, 3)[sample, row_index[:, :, None], column_index[:, None, :]].movedim(3, 1)


def _flip_and_rotate(images: Tensor, draws: Tensor) -> Tensor:
    """Mirror each axis with probability one half and rotate within +-10 degrees, in one resampling.

    The pixel at p, from the centre, shows what was at R M p: M = diag(+-1, +-1) mirrors x (to the right) and y (down),
    R turns by the angle. Grids are in units of half an image along each axis, so that what goes from one axis to the
    other takes the ratio of their sizes; without it images that are not square would be sheared.
    """
    height, width = images.shape[2:]
    angle = (2 * draws[:, 2] - 1) * math.radians(ROTATION_DEGREES)
    mirror_x = torch.where(draws[:, 0] < 0.5, -1.0, 1.0)
    mirror_y = torch.where(draws[:, 1] < 0.5, -1.0, 1.0)
    cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    x = torch.stack([mirror_x * cosine, -mirror_y * sine * height / width, zero], 1)
    y = torch.stack([mirror_x * sine * width / height, mirror_y * cosine, zero], 1)
    grid = functional.affine_grid(torch.stack([x, y], 1), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _colour_jitter(images: Tensor, draws: Tensor) -> Tensor:
    """Brightness, contrast and saturation each within +-10 %, clipped to 0..255."""
    brightness, contrast, saturation = (1 + JITTER * (2 * draws[:, i] - 1).view(-1, 1, 1, 1) for i in range(3))
    images = images * brightness
    images = (images - images.mean((1, 2, 3), keepdim=True)) * contrast + images.mean((1, 2, 3), keepdim=True)
    grey = images.mean(1, keepdim=True)
    return ((images - grey) * saturation + grey).clamp(0, 255)


def augment_images(raw: Tensor, draws: Tensor, spec: DataSpec) -> Tensor:
    """A random crop to the event shape [C, H, W], flips, a small rotation and colour jitter, still in 0..255."""
    images = floating(crop(raw, draws[:, 0:2], spec.event_shape[1], spec.event_shape[2]))
    if not len(images):  # a rank's share of a last, small batch; grid_sample refuses empty batches
        return images
    return _colour_jitter(_flip_and_rotate(images, draws[:, 2:5]), draws[:, 5:8])


IMAGES = Augmentation(augment_images, lambda _: DRAWS)
