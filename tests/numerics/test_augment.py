"""The geometry of augmented pictures: discs stay discs, corners go where a mirror and a turn put them."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaeforge_models.augment import augment_images
from vaeforge_models.vae import DataSpec

SIZES = [(96, 96), (64, 128), (120, 80)]
MIRRORS = [(False, False), (True, False), (False, True), (True, True)]
NEUTRAL = 0.5
Draws = tuple[bool, bool]


def augmented(picture: Tensor, mirrors: Draws, turn: float) -> Tensor:
    """`picture` [H, W] in 0..255 without jitter or crop; `turn` in -1..1 is a share of the ten degrees."""
    flips = [0.0 if mirror else 1.0 - 2**-24 for mirror in mirrors]
    draws = torch.tensor([[NEUTRAL, NEUTRAL, *flips, (turn + 1) / 2, NEUTRAL, NEUTRAL, NEUTRAL]])
    raw = picture.expand(1, 3, *picture.shape)
    return augment_images(raw, draws, DataSpec((3, *picture.shape)))[0, 0]


def pixels(height: int, width: int) -> tuple[Tensor, Tensor]:
    """x to the right and y down of each pixel, from the centre, in pixels."""
    y, x = torch.meshgrid(torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2, indexing="ij")
    return x, y


def blob(height: int, width: int, at: tuple[float, float], radius: float) -> Tensor:
    x, y = pixels(height, width)
    return 255 * torch.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * radius**2))


def moments(picture: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre of mass and covariance, in pixels."""
    x, y = pixels(*picture.shape)
    mass = picture.double() / picture.double().sum()
    centre = torch.stack([(mass * x).sum(), (mass * y).sum()])
    dx, dy = x - centre[0], y - centre[1]
    xy = (mass * dx * dy).sum()
    covariance = torch.stack([torch.stack([(mass * dx**2).sum(), xy]), torch.stack([xy, (mass * dy**2).sum()])])
    return centre.numpy(), covariance.numpy()


@pytest.mark.parametrize("turn", [-1.0, 0.4, 1.0])
@pytest.mark.parametrize("mirrors", MIRRORS)
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_disc_stays_a_disc(height: int, width: int, mirrors: Draws, turn: float) -> None:
    """Both principal second moments stay the radius squared: no stretch, no shear."""
    _, covariance = moments(augmented(blob(height, width, (7.0, -5.0), 6.0), mirrors, turn))
    assert np.sqrt(np.linalg.eigvalsh(covariance)) == pytest.approx([6.0, 6.0], rel=0.01)


@pytest.mark.parametrize("turn", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("mirrors", MIRRORS)
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_marks_go_where_the_mirror_and_the_turn_put_them(height: int, width: int, mirrors: Draws, turn: float) -> None:
    """Three marks give the linear map: a mark at q is seen at p with q = R(angle) M p, so p = M R(-angle) q."""
    marks = [(width / 4, height / 5), (-width / 5, height / 4), (width / 6, -height / 6)]
    seen = [moments(augmented(blob(height, width, mark, 3.0), mirrors, turn))[0] for mark in marks]
    angle = math.radians(10.0 * turn)
    back = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    mirror = np.diag([-1.0 if mirrored else 1.0 for mirrored in mirrors])
    for mark, place in zip(marks, seen, strict=True):
        assert place == pytest.approx(mirror @ back @ np.array(mark), abs=0.1)
    linear = np.linalg.lstsq(np.array(marks), np.array(seen), rcond=None)[0].T
    assert np.linalg.svd(linear, compute_uv=False) == pytest.approx([1.0, 1.0], abs=0.01)
    assert np.linalg.det(linear) == pytest.approx(-1.0 if mirrors[0] != mirrors[1] else 1.0, abs=0.01)


@pytest.mark.parametrize("mirrors", MIRRORS)
def test_without_a_turn_a_picture_is_mirrored_pixel_by_pixel(mirrors: Draws) -> None:
    picture = torch.arange(16.0 * 32).reshape(16, 32) / 4
    axes = [axis for axis, mirrored in ((1, mirrors[0]), (0, mirrors[1])) if mirrored]
    torch.testing.assert_close(augmented(picture, mirrors, 0.0), picture.flip(axes), rtol=0, atol=1e-3)
