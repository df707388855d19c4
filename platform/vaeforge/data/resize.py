"""Resizing of pictures to squares. Imports no torch.

Shapes: S side of the square; grey images uint8 [H, W].
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Images = NDArray[np.uint8]


def crop_square(picture: Image.Image, side: int) -> Images:
    """An RGB picture's centre square, resized (bicubic) to [3, side, side]."""
    edge = min(picture.size)
    left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
    square = picture.crop((left, top, left + edge, top + edge)).resize((side, side), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


def centre_of(image: Images, side: int) -> Images:
    """The middle `side` x `side` pixels of an image [C, H, W]."""
    top, left = (image.shape[1] - side) // 2, (image.shape[2] - side) // 2
    return image[:, top : top + side, left : left + side]


def fit_square(image: Images, side: int, fit: Literal["pad", "squash"]) -> Images:
    """A grey image [H, W] as [side, side], bicubic, antialiased where it shrinks.

    `pad` scales the longer side to `side` and surrounds the image with the median of its border; `squash` distorts.
    """
    height, width = image.shape
    scale = side / max(height, width)
    target = (side, side) if fit == "squash" else (max(1, round(width * scale)), max(1, round(height * scale)))
    resized = np.asarray(Image.fromarray(image).resize(target, Image.Resampling.BICUBIC))
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    padded = np.full((side, side), round(float(np.median(border))), dtype=np.uint8)
    top, left = (side - target[1]) // 2, (side - target[0]) // 2
    padded[top : top + target[1], left : left + target[0]] = resized
    return padded
