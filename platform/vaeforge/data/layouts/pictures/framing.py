"""Remark on the framing of pictures: what a centre crop and a resize cut off or enlarge.

A picture of w x h pixels becomes its centre square of s = min(w, h), resized to size + margin pixels, of which
validation and test see the centre of `size`: the share (s size / (size + margin))² / (w h) of its area.
"""

from collections.abc import Sequence
from statistics import median

from vaeforge.data.layouts.pictures.settings import PictureSettings
from vaeforge.samples import RawImage

STEP = 16  # sizes are multiples of it


def framing_remark(images: Sequence[RawImage], settings: PictureSettings) -> str:
    """What the settings do to the pictures, and which ones would do less; empty where all is kept and none enlarged."""
    side = settings.size + settings.margin
    shares = [kept_share(image, settings) for image in images]
    small = [min(image.width, image.height) for image in images if min(image.width, image.height) < side]
    if not images or (not small and min(shares) == 1):
        return ""
    told = [f"of a picture's area {100 * median(shares):.0f} % are seen (the median; least {100 * min(shares):.0f} %)"]
    if small:
        told.append(
            f"{len(small)} of {len(images)} are enlarged, up to {side / min(small):.2g} times, to {side} pixels"
        )
    return f"at size {settings.size} and margin {settings.margin} {'; '.join(told)}{_proposed(images, settings)}"


def kept_share(image: RawImage, settings: PictureSettings) -> float:
    """The share of the picture's area that validation and test see, 0 to 1."""
    side = min(image.width, image.height) * settings.size / (settings.size + settings.margin)
    return side**2 / (image.width * image.height)


def proposed_size(images: Sequence[RawImage]) -> int:
    """The largest size, a multiple of 16, at which none of the pictures is enlarged; 16 where all are smaller."""
    return max(STEP, min(min(image.width, image.height) for image in images) // STEP * STEP)


def _proposed(images: Sequence[RawImage], settings: PictureSettings) -> str:
    size = min(proposed_size(images), settings.size)
    if (size, 0) == (settings.size, settings.margin):
        return ""
    return f"; `prepare: {{size: {size}, margin: 0}}` in params.yaml cuts the least off and enlarges none"
