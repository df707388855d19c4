"""White level of pictures: which value is white, and what their values are as levels of 8 or 16 bits.

Pictures of 8 bits are white at 255. Deeper ones say it in their header (10, 12 or 14 bits), or it is the smallest of
8, 10, 12, 14 and 16 bits that holds the largest value of the whole data set: a camera of 12 bits writes values up to
4,095 into 16 bits. What is signed below 0 or floating point has no white that could be found: it is stated.

Shapes: pixels [...], of any integer or floating-point type; levels uint8 or uint16 [...].
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from vaeforge.data.pixels import Pixels
from vaeforge.errors import DataError, QuestionError

WHITE = 255.0  # of 8-bit pixels
SAMPLE_DEPTHS = (8, 16)
DEPTHS = (8, 10, 12, 14, 16)
BEYOND = 0.01  # the share of a picture's values that may lie outside of black and white: saturated or hot pixels
ASK = (
    "say what is black and white, for example --black 0 --white 1 (in a query black=0&white=1), or convert it to 8 or "
    "16 bits"
)

FEW_LEVELS = 128  # grey levels of 256: a set that uses fewer is told so


@dataclass(frozen=True)
class Extent:
    """The smallest and largest value of a picture, and its type; `bits` are those that its header claims."""

    low: float
    high: float
    dtype: str
    bits: int | None = None

    @property
    def deep(self) -> bool:
        """Whether its white level is a question: all but unsigned 8 bits."""
        return is_deep(self.dtype)

    @property
    def unknown(self) -> bool:
        """Whether nothing in the picture can say what its black and white are."""
        return self.deep and (np.dtype(self.dtype).kind == "f" or self.low < 0)

    def joined(self, other: "Extent") -> "Extent":
        """The extent of both; header bits only where they agree."""
        bits = self.bits if self.bits == other.bits else None
        kind = str(np.result_type(self.dtype, other.dtype))
        return Extent(min(self.low, other.low), max(self.high, other.high), kind, bits)


def is_deep(dtype: DTypeLike) -> bool:
    """Whether the white level of values of this type is a question: all but unsigned 8 bits."""
    return np.dtype(dtype) not in (np.uint8, np.bool_)


def extent_of(pixels: NDArray[Any], bits: int | None = None) -> Extent:
    """The extent of `pixels`.

    Raises:
        DataError: if a value is NaN or infinite.
    """
    low, high = float(pixels.min()), float(pixels.max())
    if not np.isfinite([low, high]).all():
        raise DataError("holds NaN or infinite values; replace them")
    return Extent(low, high, str(pixels.dtype), bits)


def white_of(extents: Iterable[Extent]) -> float | None:
    """The white level of a data set, from its deep pictures' extents; none where none has more than 8 bits.

    Raises:
        QuestionError: if it cannot be found, since values are negative or floating point.
    """
    joined: Extent | None = None
    for extent in extents:
        if extent.deep:
            joined = extent if joined is None else joined.joined(extent)
    if joined is None:
        return None
    if joined.unknown:
        raise QuestionError(
            f"{joined.dtype} values from {joined.low:g} to {joined.high:g}; {ASK}", black=joined.low, white=joined.high
        )
    depths = [bits for bits in DEPTHS if 2**bits > joined.high and bits >= (joined.bits or 0)]
    if not depths:
        raise QuestionError(
            f"{joined.dtype} values up to {joined.high:g}, more than 16 bits hold; {ASK}", white=joined.high
        )
    return float(2 ** depths[0] - 1)


def depth_of(extents: Iterable[Extent], black: float, white: float | None) -> int:
    """The bits that keep what these pictures hold: 16 where white lies more than 255 above black, or values are floats.

    Pictures of 8 bits alone need no more.
    """
    deep = [extent for extent in extents if extent.deep]
    fine = any(np.dtype(extent.dtype).kind == "f" for extent in deep)
    return 16 if deep and white is not None and (fine or white - black > WHITE) else 8


def to_levels(
    pixels: NDArray[Any], black: float, white: float, inverted: bool = False, depth: int = 8, clip: bool = False
) -> Pixels:
    """`pixels` as levels, `black` as 0 and `white` as 255, or 65,535 in a `depth` of 16 bits.

    Args:
        pixels: values of any type.
        black: the value that becomes 0.
        white: the value that becomes the largest level.
        inverted: as TIFF's WhiteIsZero has it: 0 is white.
        depth: 8 for uint8, 16 for uint16.
        clip: whether values outside of the range are meant to become its ends.

    Raises:
        DataError: if more than 1 % of the values lie outside of the range, which is then not theirs, unless they are
            clipped.
    """
    kind: np.dtype[np.unsignedinteger[Any]] = np.dtype(f"uint{depth}")
    top = 2**depth - 1
    levels: Pixels
    if pixels.dtype == np.bool_:
        levels = np.where(pixels, top, 0).astype(kind)
    elif pixels.dtype == np.uint8 and (black, white) == (0, WHITE):
        levels = pixels if depth == 8 else np.multiply(pixels, top // 255, dtype=kind)
    else:
        if not clip and (outside := float(np.mean((pixels < black) | (pixels > white)))) > BEYOND:
            raise DataError(
                f"{outside:.0%} of the values, {float(pixels.min()):g} to {float(pixels.max()):g}, lie outside of "
                f"{black:g} (black) to {white:g} (white): its white level is another one; {ASK}"
            )
        scaled = (pixels.astype(np.float64) - black) * (top / (white - black))
        levels = np.clip(np.round(scaled), 0, top).astype(kind)
    return np.subtract(top, levels, dtype=kind) if inverted else levels


def white_note(white: float, extent: Extent, count: int, stated: bool, depth: int = 8) -> str:
    """What is said of the white level of `count` pictures, and of the bits that are kept of them."""
    note = f"{count} picture(s) of more than 8 bits, values {extent.low:g} to {extent.high:g}: white is {white:g}, "
    kept = f"; samples keep {depth} bits (--depth {24 - depth}: {24 - depth})"
    if stated:
        return note + "as stated" + kept
    note += "by their headers" if extent.bits else "the bits that hold their range"
    used = round(256 * (extent.high + 1) / (white + 1))
    few = f"; they use {used} of 256 grey levels" if used < FEW_LEVELS and depth == 8 else ""
    return note + few + " (--white says another)" + kept
