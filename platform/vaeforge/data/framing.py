"""Framing of pictures: what a crop and a resize cut off or enlarge, and the size that suits them.

A picture of w x h pixels whose centre square is taken becomes s = min(w, h) pixels resized to size + margin, of which
validation and test see the centre of `size`: the share (s size / (size + margin))² / (w h) of its area. One that is
padded to a square is seen whole, its longer side resized to `size`.
"""

from collections.abc import Sequence
from statistics import median

Size = tuple[int, int]  # width and height, pixels
STEP = 16  # sizes are multiples of it
MARGIN = 8  # a size's part that is room for random crops, where there is such room


def cropped_remark(sizes: Sequence[Size], size: int, margin: int, fitting: int) -> str:
    """What centre squares lose and how they are enlarged; empty where all is kept and none enlarged.

    Args:
        sizes: of the pictures.
        size, margin: settings of `prepare`.
        fitting: the size that suits the pictures.
    """
    side = size + margin
    shares = [kept_share(one, size, margin) for one in sizes]
    small = [min(one) for one in sizes if min(one) < side]
    if not sizes or (not small and min(shares) == 1):
        return ""
    told = [f"of a picture's area {100 * median(shares):.0f} % are seen (the median; least {100 * min(shares):.0f} %)"]
    told += _enlarged(small, len(sizes), side)
    other = margin_of(fitting)
    proposed = "" if (fitting, other) == (size, margin) else _proposed(f"size: {fitting}, margin: {other}")
    return f"at size {size} and margin {margin} {'; '.join(told)}{proposed}"


def padded_remark(sizes: Sequence[Size], size: int, fitting: int) -> str:
    """How pictures that are seen whole are enlarged; empty where none is."""
    small = [max(one) for one in sizes if max(one) < size]
    if not small:
        return ""
    proposed = "" if fitting == size else _proposed(f"size: {fitting}")
    return f"at size {size} {_enlarged(small, len(sizes), size)[0]}{proposed}"


def kept_share(picture: Size, size: int, margin: int) -> float:
    """The share of a picture's area that validation and test see, 0 to 1."""
    width, height = picture
    side = min(width, height) * size / (size + margin)
    return side**2 / (width * height)


def margin_of(size: int) -> int:
    """The margin that goes with a size: room for random crops that leaves 79 % of the square to be seen."""
    return size // MARGIN


def fitting_size(sides: Sequence[int], most: int) -> int:
    """The multiple of 16 nearest, as a ratio, to the median of `sides` in pixels; from 16 to `most`.

    Of two that are as near, the larger one: 28 pixels become 32, for 16 would lose more than 32 adds.
    """
    side = median(sides)
    below = max(STEP, int(side) // STEP * STEP)
    above = below + STEP
    nearest = above if side * side >= below * above else below
    return max(STEP, min(nearest, most))


def _enlarged(small: Sequence[int], count: int, side: int) -> list[str]:
    if not small:
        return []
    return [f"{len(small)} of {count} are enlarged, up to {side / min(small):.2g} times, to {side} pixels"]


def _proposed(settings: str) -> str:
    return f"; `prepare: {{{settings}}}` in params.yaml suits them better, or `--size auto` when they are imported"
