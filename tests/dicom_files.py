"""DICOM written byte by byte (PS3.5 and PS3.10, explicit VR, little endian), whose it is among the elements."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PATIENT = ("Muster^Erika", "PID-770031", "19610203", "Kantonsspital Musterstadt")
EXPLICIT = "1.2.840.10008.1.2.1"
LONG = ("OB", "OW", "SQ", "UN")
NUMBERS = {"US": "<H", "SS": "<h", "UL": "<I"}
UNTIL_END = 0xFFFFFFFF


def element(tag: int, kind: str, value: Any) -> bytes:
    """One element; a sequence takes a list of items, each by its tags."""
    if kind == "SQ":
        value = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(one)) + one for one in map(elements, value))
    elif kind in NUMBERS:
        value = b"".join(struct.pack(NUMBERS[kind], one) for one in np.atleast_1d(value))
    elif isinstance(value, str):
        value = value.encode()
    value += (b"\0" if kind in ("UI", "OB", "OW") else b" ") * (len(value) % 2)
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, kind.encode())
    return head + (struct.pack("<HI", 0, len(value)) if kind in LONG else struct.pack("<H", len(value))) + value


def elements(given: Mapping[int, tuple[str, Any]]) -> bytes:
    return b"".join(element(tag, *given[tag]) for tag in sorted(given))


def whole_file(given: Mapping[int, tuple[str, Any]], syntax: str = EXPLICIT, after: bytes = b"") -> bytes:
    """A file of elements, and of what stands behind them as it is."""
    meta = {0x00020010: ("UI", syntax), 0x00020002: ("UI", "1.2.840.10008.5.1.4.1.1.2"), 0x00020003: ("UI", "1.2.3.4")}
    about = elements(meta)
    return bytes(128) + b"DICM" + element(0x00020000, "UL", len(about)) + about + elements(given) + after


def described(pixels: NDArray[Any], kind: str = "MONOCHROME2") -> dict[int, tuple[str, Any]]:
    """The elements of pixels [F, H, W] or, in colours, [F, H, W, 3], and of a person."""
    name, number, date, place = PATIENT
    bits = pixels.dtype.itemsize * 8
    return {
        0x00080020: ("DA", date),
        0x00080080: ("LO", place),
        0x00100010: ("PN", name),
        0x00100020: ("LO", number),
        0x00280002: ("US", pixels.shape[3] if pixels.ndim > 3 else 1),
        0x00280004: ("CS", kind),
        0x00280006: ("US", 0),
        0x00280008: ("IS", str(len(pixels))),
        0x00280010: ("US", pixels.shape[1]),
        0x00280011: ("US", pixels.shape[2]),
        0x00280100: ("US", bits),
        0x00280101: ("US", bits),
        0x00280102: ("US", bits - 1),
        0x00280103: ("US", int(pixels.dtype.kind == "i")),
        0x7FE00010: ("OW" if bits > 8 else "OB", pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()),
    }


def scaling(slope: str, intercept: str) -> dict[int, tuple[str, Any]]:
    return {0x00281052: ("DS", intercept), 0x00281053: ("DS", slope)}


def write_dicom(path: Path, pixels: NDArray[Any], kind: str = "MONOCHROME2", **more: Any) -> Path:
    """A file of pixels; `more` are elements by their tags, `x00281052=("DS", "-1024")`, none to leave one out."""
    given = described(pixels, kind) | {int(tag[1:], 16): value for tag, value in more.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(whole_file({tag: value for tag, value in given.items() if value is not None}))
    return path


def write_packed(path: Path, pixels: NDArray[Any], frames: list[bytes], syntax: str) -> Path:
    """The same with frames that are packed, each an item, without a table of their places."""
    given = described(pixels)
    del given[0x7FE00010]
    items = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(one)) + one for one in (b"", *frames))
    data = struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, UNTIL_END) + items + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    path.write_bytes(whole_file(given, syntax, data))
    return path
