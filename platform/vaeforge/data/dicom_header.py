"""Header of a DICOM file, as far as pixels need it: names, dates and numbers of people are never looked at.

Only the elements of `TAGS` are read, so that nothing that tells whose picture it is comes into memory, a message or
anything that is written.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.filereader import read_dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from vaeforge.data.announced_size import require_memory
from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.picture_file import require_size
from vaeforge.errors import DataError

PREFIX, START = b"DICM", 132
META, SYNTAX = 2, 0x00020010  # the group that says how the rest is written, and the element of it that does
NEEDED = ("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated")
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
LOOKUPS = [
    f"{colour}PaletteColorLookupTable{what}" for colour in ("Red", "Green", "Blue") for what in ("Descriptor", "Data")
] + [f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")]
TAGS: list[Any] = [
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "FrameIncrementPointer"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths", *LOOKUPS, *PIXELS),
]
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
HALVED = ("YBR_FULL_422",)  # two pixels share their colour
GREYS = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
EIGHT = 8
# markers of JPEG and JPEG-LS behind which a frame's sides stand; C4, C8 and CC are others
FRAME_MARKERS = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7)


def read_header(path: Path, file: BinaryIO) -> Any:
    """The elements of `TAGS`, pixels among them as they are packed, of a file whose sizes are found to be possible.

    Raises:
        DataError: if it holds no picture, one of a kind that is not read, or more than the limits allow.
        Exception: what pydicom raises on damaged files, see `picture_file.DAMAGE`.
    """
    _refuse_deflated(path, file)
    dataset = dcmread(file, specific_tags=TAGS)
    if not any(name in dataset for name in PIXELS):
        raise DamagedFileError(path, "is DICOM without pixels, or cut off before them; must be a picture")
    lacking = [name for name in NEEDED if name not in dataset]
    if lacking or "TransferSyntaxUID" not in dataset.file_meta:
        named = ", ".join(lacking) or "TransferSyntaxUID"
        raise DamagedFileError(path, f"is DICOM that lacks {named}, without which its pixels cannot be told")
    kind, rows, columns = str(dataset.PhotometricInterpretation), int(dataset.Rows), int(dataset.Columns)
    if kind not in (*GREYS, *COLOURS, PALETTE):
        allowed = ", ".join((*GREYS, *COLOURS, PALETTE))
        raise DamagedFileError(path, f"is DICOM of colours {kind[:20]!r}, must be one of {allowed}")
    frames, samples = frames_of(dataset), int(dataset.SamplesPerPixel)
    values = rows * columns * frames * samples
    if min(rows, columns, frames, samples) < 1 or samples != (3 if kind in COLOURS else 1):
        raise DamagedFileError(path, f"announces {frames} frame(s) of {rows} x {columns} x {samples}, which cannot be")
    require_size(path, columns, rows, values)
    _require_plain_bits(path, dataset)
    _require_whole(path, dataset, values)
    _require_frames(path, dataset, frames)
    require_memory(path, values * 2 * EIGHT)  # as they are stored, and as floats of 64 bits
    return dataset


def frames_of(dataset: Any) -> int:
    """How many pictures there are; a file that does not say has one."""
    return int(dataset.get("NumberOfFrames", 1) or 1)


def announced_pixels(path: Path, file: BinaryIO) -> int:
    """The pixels of all frames, by the header.

    Raises:
        DataError, Exception: as `read_header`.
    """
    _refuse_deflated(path, file)
    dataset = dcmread(file, specific_tags=["Rows", "Columns", "NumberOfFrames"], stop_before_pixels=True)
    return int(dataset.Rows) * int(dataset.Columns) * frames_of(dataset)


def _refuse_deflated(path: Path, file: BinaryIO) -> None:
    """Refuse files that are packed as a whole: pydicom would unpack all of it, whatever its size."""
    if file.read(START)[-len(PREFIX) :] != PREFIX:
        raise DamagedFileError(
            path, "does not begin as DICOM files do, with 128 bytes and DICM; write it anew (dcmconv +F)"
        )
    meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != META)
    syntax = meta[SYNTAX].value if SYNTAX in meta else ""
    if syntax == DeflatedExplicitVRLittleEndian:
        raise DataError(f"{path}: is DICOM that is deflated as a whole; write it without that (dcmconv +te)")
    file.seek(0)


def _require_plain_bits(path: Path, dataset: Any) -> None:
    if "PixelData" not in dataset:
        return
    if "BitsStored" not in dataset:
        raise DamagedFileError(path, "is DICOM that lacks BitsStored, without which its pixels cannot be told")
    stored = int(dataset.BitsStored)
    high = int(dataset.get("HighBit", stored - 1))
    if high != stored - 1 or stored not in (1, *range(EIGHT, 33)):
        raise DamagedFileError(
            path, f"stores {stored} bits up to bit {high}, must be 1 bit, or 8 to 32 that begin at bit 0"
        )


def _require_whole(path: Path, dataset: Any, values: int) -> None:
    """Refuse pixels that are not packed and fewer than announced."""
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    held = next(len(dataset[name].value or b"") for name in PIXELS if name in dataset)
    share = 2 if str(dataset.PhotometricInterpretation) in HALVED else 3  # of three colours
    needed = math.ceil(values * share / 3 * int(dataset.BitsAllocated) / EIGHT)
    if held < needed:
        raise DamagedFileError(path, f"announces {needed} bytes of pixels, holds {held}")


def _require_frames(path: Path, dataset: Any, frames: int) -> None:
    """Refuse packed frames that are not as many or not as large as announced, before one of them is unpacked."""
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    offsets = None
    if "ExtendedOffsetTable" in dataset:
        offsets = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
    sides, found = (int(dataset.Rows), int(dataset.Columns)), 0
    for packed in generate_frames(dataset.PixelData, number_of_frames=frames, extended_offsets=offsets):
        found += 1
        own = next(_sides(packed), sides)
        if own != sides:
            raise DamagedFileError(
                path, f"announces {sides[0]} x {sides[1]} pixels, frame {found} is {own[0]} x {own[1]}"
            )
    if found != frames:
        raise DamagedFileError(path, f"announces {frames} frame(s), holds {found}")


def _sides(packed: bytes) -> Iterator[tuple[int, int]]:
    """Rows and columns that a frame of JPEG, JPEG-LS or JPEG 2000 has; nothing where it is none of these."""
    if packed[:4] == b"\xff\x4f\xff\x51":  # JPEG 2000: where the picture ends, less where it begins
        across, up, left, top = (int.from_bytes(packed[place : place + 4], "big") for place in (8, 12, 16, 20))
        yield up - top, across - left
    place = 2 if packed[:2] == b"\xff\xd8" else len(packed)
    while place + 9 <= len(packed) and packed[place] == 0xFF:
        if packed[place + 1] in FRAME_MARKERS:
            rows, columns = packed[place + 5 : place + 7], packed[place + 7 : place + 9]
            yield int.from_bytes(rows, "big"), int.from_bytes(columns, "big")
            return
        place += 1 if packed[place + 1] == 0xFF else 2 + int.from_bytes(packed[place + 2 : place + 4], "big")
