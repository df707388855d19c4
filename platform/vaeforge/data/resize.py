"""Resizing of pictures to squares. Imports no torch.

Shapes: S side of the square; RGB [H, W, 3] and grey images [H, W], uint8 or uint16.
"""

from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.pixels import Pixels, resized

Kind = TypeVar("Kind", bound=np.generic)


def crop_square(picture: Pixels, side: int) -> Pixels:
    """An RGB picture's centre square, resized (bicubic) to [3, side, side]."""
    height, width = picture.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    square = resized(picture[top : top + edge, left : left + edge], (side, side))
    return np.ascontiguousarray(square.transpose(2, 0, 1))


def centre_of(image: NDArray[Kind], side: int) -> NDArray[Kind]:
    """The middle `side` x `side` pixels of an image [C, H, W]."""
    top, left = (image.shape[1] - side) // 2, (image.shape[2] - side) // 2
    return image[:, top : top + side, left : left + side]


def fit_square(image: Pixels, side: int, fit: Literal["pad", "squash"]) -> Pixels:
    """A grey image [H, W] as [side, side], bicubic, antialiased where it shrinks.

    `pad` scales the longer side to `side` and surrounds the image with the median of its border; `squash` distorts.
    """
    height, width = image.shape
    scale = side / max(height, width)
    target = (side, side) if fit == "squash" else (max(1, round(width * scale)), max(1, round(height * scale)))
    made = resized(image, target)
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    padded = np.full((side, side), round(float(np.median(border))), dtype=image.dtype)
    top, left = (side - target[1]) // 2, (side - target[0]) // 2
    padded[top : top + target[1], left : left + target[0]] = made
    return padded
