"""Inputs of a packaged model out of what users have: images as prepare makes them, arrays and conditions checked.

Shapes: N samples; x float32 [N, *event] in raw units (0 to 255 for pictures, see `samples.raw_units`); condition
float32 [N, C]; pictures RGB [H, W, 3]. Nothing here imports torch.
"""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.config.layouts import layout_named
from vaeforge.data.images import COLOURS, open_pictures
from vaeforge.data.picture_reading import PictureReading
from vaeforge.data.pixels import Pixels, grey_of
from vaeforge.errors import DataError, nearest
from vaeforge.package.contract import Contract
from vaeforge.samples import raw_units

Values = NDArray[np.float32]
AXES = 3  # of a sample that is an image


def picture_to_event(picture: Pixels, contract: Contract, prepared: bool = False) -> NDArray[Any]:
    """One RGB picture as the sample [C, S, S] that `vaeforge prepare` would have made of it, in raw units.

    pictures: the centre square, resized to `size` + `margin`, and the middle `size` pixels of that, as validation and
    test pictures of class folders are; where samples are cut from larger pictures, already one of them. classes: grey,
    squared by `fit`. frames: grey, and already a patch of `size`, since one large image is many patches.

    Args:
        picture: from `open_inputs`.
        contract: of the model.
        prepared: the picture is a sample already, say a patch that was cut out; nothing but its size is checked.

    Raises:
        DataError: if the model takes no pictures, or one that must have the sample's size has not.
    """
    layout = layout_named(contract.data)
    if not layout.picture_modes:
        shape = list(contract.event_shape)
        raise DataError(
            f"picture: the model takes {contract.data} of shape {shape}, no pictures; send numbers, or score a table"
        )
    if prepared or not made_of_whole(contract):
        return _patch(picture, contract)
    return raw_units(layout.sample_of(picture, contract.event_shape[-1], contract.prepare))


def channels_first(picture: Pixels, channels: int) -> NDArray[Any]:
    """An RGB picture of any size as [C, H, W] in raw units: as it is for 3 channels, grey for 1."""
    pixels = picture if channels == COLOURS else grey_of(picture)[..., None]
    return raw_units(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def made_of_whole(contract: Contract) -> bool:
    """Whether a sample is made of a whole picture, whatever its size; else it is one already, or cut out."""
    return not contract.cut and "whole" in layout_named(contract.data).picture_modes


def reading_for(
    contract: Contract,
    white: float | None = None,
    black: float = 0.0,
    pages: str = "",
    channels: tuple[str, ...] = (),
) -> PictureReading:
    """How the model's pictures are read: as its training pictures were, but for what is stated.

    Args:
        contract: of the model.
        white: value that is white; none: of the training pictures.
        black: value that is black, with `white`.
        pages: what the pages of a file are; empty: as of the training pictures.
        channels: that are taken; empty: as of the training pictures.

    Raises:
        ConfigError: if these cannot be meant so.
    """
    known = contract.pictures
    own = PictureReading()
    if known is not None:
        own = PictureReading(known.black, known.white, known.pages, known.channels, known.depth, known.clip)
    if white is not None or black:
        own = replace(own, black=black, white=white)
    return replace(own, pages=pages or own.pages, channels=channels or own.channels)


def open_inputs(path: Path, contract: Contract, reading: PictureReading, content: bytes | None = None) -> list[Pixels]:
    """The pictures in a file or in `content`, as prepare reads them: formats, limits, white, pages, channels, bits.

    Raises:
        DataError: as `open_pictures` does, with `path` for the file's name.
    """
    shape = contract.event_shape
    most = COLOURS if len(shape) != AXES else shape[0]
    return open_pictures(path, None if content is None else io.BytesIO(content), reading, most)


def samples_of(x: Any, contract: Contract, where: str = "x") -> Values:
    """`x` as float32 [N, *event], a single sample as [1, *event].

    NaN, or null in JSON, is a missing value to a model that takes such.

    Raises:
        DataError: if it holds no numbers, has another shape, holds NaN or infinities (after rounding to float32) that
            the model does not take, or a sample of missing values alone.
    """
    array = _numbers(x, where)
    event = contract.event_shape
    if array.shape == event:
        array = array[None]
    if array.shape[1:] != event or array.ndim != len(event) + 1 or not len(array):
        wanted = ", ".join(["N", *map(str, event)])
        raise DataError(f"{where}: got shape {list(array.shape)}, must be [{wanted}] with N at least 1")
    return _observed(array, where) if contract.missing else _finite(array, where)


def condition_of(given: Any, contract: Contract, count: int, where: str = "condition") -> Values | None:
    """`given` as float32 [count, C]; none for models without a condition.

    Args:
        given: for classes a name or one for each sample; for all models numbers [C], or [count, C].
        contract: of the model.
        count: how many samples there are; a single condition holds for all of them.
        where: what messages call it.

    Raises:
        DataError: if it is missing, superfluous, of another shape, not finite, or an unknown class.
    """
    names = contract.condition
    if not names:
        if given is not None:
            raise DataError(f"{where}: got one, but this model has no condition; leave it out")
        return None
    if given is None:
        raise DataError(f"{where}: is missing, must be {_allowed(contract)}, for all samples or for each")
    rows = [given] if isinstance(given, str) else given
    if isinstance(rows, Sequence) and rows and all(isinstance(row, str) for row in rows):
        rows = np.stack([one_hot(row, contract, where) for row in rows])
    array = _finite(_numbers(rows, where), where)
    if array.shape in ((len(names),), (1, len(names))):
        array = np.tile(array.reshape(1, len(names)), (count, 1))
    if array.shape != (count, len(names)):
        raise DataError(
            f"{where}: got shape {list(array.shape)}, must be [{count}, {len(names)}]: {_allowed(contract)}"
        )
    return array


def one_hot(label: str, contract: Contract, where: str = "condition") -> Values:
    """The class called `label` as float32 [C].

    Raises:
        DataError: if the model's condition is no class, or it knows no such class.
    """
    names = contract.condition
    is_class = layout_named(contract.data).condition_is_class
    if not is_class or label not in names:
        close = nearest(label, names) if is_class else ""
        raise DataError(f"{where}: got {label!r}, must be {_allowed(contract)}{close}")
    row = np.zeros(len(names), dtype=np.float32)
    row[names.index(label)] = 1
    return row


def _allowed(contract: Contract) -> str:
    names = ", ".join(contract.condition)
    return f"one of the classes {names}" if layout_named(contract.data).condition_is_class else f"the numbers {names}"


def _patch(picture: Pixels, contract: Contract) -> NDArray[Any]:
    channels, height, width = contract.event_shape
    if picture.shape[:2] != (height, width):
        raise DataError(
            f"picture: got {picture.shape[1]} x {picture.shape[0]} pixels, must be {width} x {height}, a single "
            "sample; cut it into patches of that size"
        )
    return channels_first(picture, channels)


def _numbers(values: Any, where: str) -> NDArray[Any]:
    """`values` as an array of numbers; lists as float64, since letting NumPy choose would let one long text choose."""
    try:
        array = values if isinstance(values, np.ndarray) else np.asarray(values, dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(
            f"{where}: is no array of numbers ({error}), must be one, all rows of the same length"
        ) from None
    if array.dtype.kind not in "iuf":
        raise DataError(f"{where}: got values of type {array.dtype}, must be numbers")
    return array


def _observed(array: NDArray[Any], where: str) -> Values:
    """`array` [N, ...] as float32, NaN where a value is missing."""
    values = _finite(np.where(np.isnan(array), 0, array), where)
    missing = np.isnan(array)
    empty = np.flatnonzero(missing.reshape(len(array), -1).all(axis=1)).tolist()
    if empty:
        raise DataError(f"{where}: sample {empty[0]} has no value, must have one at least")
    return np.where(missing, np.float32(np.nan), values)


def _finite(array: NDArray[Any], where: str) -> Values:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is found here
        values = np.ascontiguousarray(array, dtype=np.float32)
    wrong = int(values.size - np.isfinite(values).sum())
    if wrong:
        raise DataError(f"{where}: {wrong} of {values.size} values are NaN or infinite, must be finite numbers")
    return values
