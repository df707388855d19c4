"""DICOM as pictures: frames with the values that they stand for, in the unit of the modality (Hounsfield, counts).

Rescaling is by slope and intercept, or by a table, of the file or, in enhanced files, of each frame; windows, masks,
overlays and presentation states are not applied. pydicom reads; it does not rescale enhanced files, which is made here.

Shapes: F frames; pixels [F, H, W, C].
"""

import math
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.picture_file import DAMAGE, RawPicture, mode_of

TIMES = (0x00181063, 0x00181065)  # Frame Time, Frame Time Vector
Scale = tuple[float, float]  # slope, intercept
UNSCALED = (1.0, 0.0)
EIGHT, SIXTEEN, MOST = 8, 16, 255


def decode_dicom(path: Path, file: BinaryIO) -> RawPicture:
    """The DICOM in `file`.

    Raises:
        DataError: if it is damaged, holds no picture or more than the limits allow.
    """
    try:
        from vaeforge.data.dicom_header import read_header

        return _picture(path, read_header(path, file))
    except _damage() as error:
        raise DamagedFileError(path, f"cannot be read as DICOM ({_kind(error)})") from None


def count_pixels(path: Path, file: BinaryIO) -> int:
    """The pixels of all frames of the DICOM in `file`, by its header.

    Raises:
        DataError: as `decode_dicom`.
    """
    try:
        from vaeforge.data.dicom_header import announced_pixels

        return announced_pixels(path, file)
    except _damage() as error:
        raise DamagedFileError(path, f"cannot be read as DICOM ({_kind(error)})") from None


def _damage() -> tuple[type[Exception], ...]:
    """What pydicom raises on damaged files, found by overwriting bytes of them at random."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    return (*DAMAGE, BytesLengthException, InvalidDicomError)


def _kind(error: BaseException) -> str:
    """What went wrong, without pydicom's words: these may quote an element."""
    return "not packed in a way that is read" if isinstance(error, NotImplementedError) else type(error).__name__


def _picture(path: Path, dataset: Any) -> RawPicture:
    from pydicom.pixels import apply_color_lut

    from vaeforge.data.dicom_header import GREYS, PALETTE

    frames, kind, axis = _frames(dataset), str(dataset.PhotometricInterpretation), _axis(dataset)
    if kind in GREYS:
        pixels = _values(path, dataset, frames)
        mode, bits = mode_of(pixels, False), _bits(path, dataset, pixels)
        return RawPicture(pixels, mode, axis=axis, inverted=kind == GREYS[0], bits=bits)
    if kind == PALETTE:
        colours = np.stack([apply_color_lut(frame, dataset)[..., :3] for frame in frames])
        if colours.max() > MOST:  # of 16 bits, as TIFF's are
            colours = colours >> EIGHT
        return RawPicture(colours.astype(np.uint8), "P", colour=True, axis=axis)
    return RawPicture(frames, mode_of(frames, True), colour=True, axis=axis, bits=_bits(path, dataset, frames))


def _frames(dataset: Any) -> NDArray[Any]:
    """Values as they are stored [F, H, W] or, in colours, red, green and blue [F, H, W, 3].

    All at once: frame by frame, pydicom fails where JPEG 2000 is signed and the header says otherwise.
    """
    from vaeforge.data.dicom_codecs import decoder_of
    from vaeforge.data.dicom_header import frames_of

    decoder = decoder_of(dataset.file_meta.TransferSyntaxUID, int(dataset.get("BitsStored", 0)))
    found, _ = decoder.as_array(dataset)
    found = found.astype(found.dtype.newbyteorder("="), copy=False)
    sides = (frames_of(dataset), int(dataset.Rows), int(dataset.Columns))
    return np.asarray(found.reshape(*sides, 3) if int(dataset.SamplesPerPixel) == 3 else found.reshape(sides))


def _axis(dataset: Any) -> str:
    """What the frames are: points in time, slices, or unknown."""
    if dataset.get("FrameIncrementPointer") in TIMES:
        return "T"
    places = [group.get("PlanePositionSequence") for group in dataset.get("PerFrameFunctionalGroupsSequence", [])]
    known = {tuple(place[0].ImagePositionPatient) for place in places if place}
    return "Z" if len(known) > 1 else "I"


def _values(path: Path, dataset: Any, frames: NDArray[Any]) -> NDArray[Any]:
    """Greys [F, H, W, 1], rescaled; padding has the darkest value of all others."""
    if int(dataset.get("BitsStored", 0)) == 1:
        return frames.astype(bool)[..., None]
    scaled = _by_table(dataset, frames) if "ModalityLUTSequence" in dataset else _scaled(path, dataset, frames)
    padding = _padding(dataset, frames)
    if padding is not None and padding.any() and not padding.all():
        dark = np.max if str(dataset.PhotometricInterpretation) == "MONOCHROME1" else np.min
        scaled[padding] = dark(scaled[~padding])
    return scaled[..., None]


def _by_table(dataset: Any, frames: NDArray[Any]) -> NDArray[Any]:
    from pydicom.pixels import apply_modality_lut

    return _narrow(np.stack([apply_modality_lut(frame, dataset) for frame in frames]))


def _scaled(path: Path, dataset: Any, frames: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers where they were and slopes and intercepts are, else float32."""
    scales = _scales(path, dataset, len(frames))
    if not all(math.isfinite(slope) and math.isfinite(intercept) and slope for slope, intercept in scales):
        raise DamagedFileError(path, "has a rescale slope of 0, or one or an intercept that is no number")
    if all(scale == UNSCALED for scale in scales):
        few = frames.dtype.kind == "u" and int(dataset.get("BitsStored", SIXTEEN)) <= EIGHT
        return frames.astype(np.uint8) if few else frames
    whole = frames.dtype.kind in "iu" and all(float(number).is_integer() for scale in scales for number in scale)
    slopes, intercepts = np.array(scales).T[:, :, None, None]
    made = frames * slopes + intercepts
    return _narrow(made) if whole else made.astype(np.float32)


def _scales(path: Path, dataset: Any, frames: int) -> list[Scale]:
    """Slope and intercept of each frame: of its own group, else of the shared one, else of the file."""
    common = _scale_in(dataset) or UNSCALED
    for group in dataset.get("SharedFunctionalGroupsSequence", []):
        common = _scale_of_group(group) or common
    groups = list(dataset.get("PerFrameFunctionalGroupsSequence", []))
    if groups and len(groups) != frames:
        raise DamagedFileError(path, f"tells of {len(groups)} frames one by one, holds {frames}")
    return [_scale_of_group(group) or common for group in groups] or [common] * frames


def _scale_of_group(group: Any) -> Scale | None:
    told = group.get("PixelValueTransformationSequence")
    return _scale_in(told[0]) if told else None


def _scale_in(item: Any) -> Scale | None:
    slope, intercept = item.get("RescaleSlope"), item.get("RescaleIntercept")
    if slope is None and intercept is None:
        return None
    return float(1 if slope is None else slope), float(intercept or 0)


def _narrow(values: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers in the smallest type that has more than 8 bits: those of 8 bits have a white of their own."""
    low, high = values.min(), values.max()
    for kind in (np.uint16, np.int16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return values.astype(kind)
    return values.astype(np.float64)


def _padding(dataset: Any, frames: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Where there is no picture [F, H, W], by the value that stands there."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return None
    ends = sorted((int(value), int(dataset.get("PixelPaddingRangeLimit", value))))
    return (frames >= ends[0]) & (frames <= ends[1])


def _bits(path: Path, dataset: Any, pixels: NDArray[Any]) -> int | None:
    """Bits of a value that the header claims, of values that are as they are stored."""
    stored, kept = int(dataset.get("BitsStored", 0)), pixels.dtype.itemsize * EIGHT
    scaled = "ModalityLUTSequence" in dataset or {*_scales(path, dataset, len(pixels))} != {UNSCALED}
    return stored if EIGHT < stored < kept and pixels.dtype.kind == "u" and not scaled else None
