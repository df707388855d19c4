"""Pixels on the way from a file to a sample: whole levels of 8 bits (uint8) or 16 bits (uint16).

Pillow has no colour of 16 bits, so that greys and sizes of those are made here: the same luma, the same filter on each
channel as floats, rounded once.

Shapes: RGB [H, W, 3], grey [H, W].
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vaeforge.samples import FINE

LUMA = (19595, 38470, 7471)  # ITU-R 601-2 in 65,536ths, as Pillow has it
Pixels = NDArray[np.unsignedinteger[Any]]


def grey_of(rgb: Pixels) -> Pixels:
    """RGB as grey, by Pillow's luma (R 19595 + G 38470 + B 7471 + 32768) >> 16."""
    if rgb.dtype == np.uint8:
        return np.asarray(Image.fromarray(rgb).convert("L"))
    weighed = rgb.astype(np.uint32) @ np.array(LUMA, dtype=np.uint32)  # below 2^32
    grey: Pixels = ((weighed + np.uint32(2**15)) >> np.uint32(16)).astype(rgb.dtype)
    return grey


def resized(image: Pixels, size: tuple[int, int]) -> Pixels:
    """RGB or grey at `size` (width, height): bicubic, antialiased where it shrinks."""
    if image.dtype == np.uint8:
        return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize(size, Image.Resampling.BICUBIC))
    if image.ndim == 3:
        colours: Pixels = np.stack([resized(image[..., channel], size) for channel in range(image.shape[2])], axis=-1)
        return colours
    made = np.asarray(Image.fromarray(image.astype(np.float32)).resize(size, Image.Resampling.BICUBIC))
    levels: Pixels = np.clip(np.rint(made), 0, np.iinfo(image.dtype).max).astype(image.dtype)
    return levels


def in_8_bits(pixels: Pixels) -> NDArray[np.uint8]:
    """The nearest levels of 8 bits."""
    return pixels if pixels.dtype == np.uint8 else ((pixels + np.uint32(FINE // 2)) // FINE).astype(np.uint8)


def is_of_8_bits(pixels: Pixels) -> bool:
    """Whether 8 bits hold these levels as they are."""
    return pixels.dtype == np.uint8 or not (pixels % FINE).any()
