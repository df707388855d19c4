"""Files of electron microscopes written byte by byte: MRC 2014, and DM3 and DM4 with the tags that real ones have."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MODES = {"i1": 0, "i2": 1, "f4": 2, "u2": 6, "f2": 12, "u1": 0, "c8": 4}
ORDERS = {"<": b"\x44\x44\0\0", ">": b"\x11\x11\0\0"}
IMOD = 1146047817
DATA_TYPES = {"i2": 1, "f4": 2, "c8": 3, "u1": 6, "i4": 7, "i1": 9, "u2": 10, "u4": 11, "f8": 12}
ELEMENTS = {"i2": 2, "i4": 3, "u2": 4, "u4": 5, "f4": 6, "f8": 7, "u1": 10, "i1": 9, "c8": 7}
OPERATOR = "Erika Muster"


def write_mrc(path: Path, pixels: NDArray[Any], order: str = "<", extended: int = 0, volume: bool = False) -> Path:
    """Planes [P, H, W]; unsigned bytes with the stamp of IMOD that says so."""
    kind = pixels.dtype.str[1:]
    words = np.zeros(256, order + "i4")
    words[:4] = (*pixels.shape[::-1], MODES[kind])
    words[22], words[23] = int(volume), extended
    words[38] = IMOD if kind == "u1" else 0
    head = bytearray(words.tobytes())
    head[208:216] = b"MAP " + ORDERS[order]
    path.write_bytes(bytes(head) + bytes(extended) + pixels.astype(order + kind).tobytes())
    return path


class DMWriter:
    """Tags of one version; numbers of them are 4 bytes in DM3 and 8 in DM4."""

    def __init__(self, version: int):
        self.version, self.number = version, {3: "I", 4: "Q"}[version]

    def group(self, tags: list[tuple[str, bytes, bool]]) -> bytes:
        """A group of tags, each a label, its content, and whether that is a group."""
        made = struct.pack(f">BB{self.number}", 1, 0, len(tags))
        for label, content, is_group in tags:
            made += struct.pack(">BH", 20 if is_group else 21, len(label)) + label.encode("latin-1")
            made += (struct.pack(">Q", len(content)) if self.version == 4 else b"") + content
        return made

    def value(self, told: list[int], content: bytes) -> bytes:
        return b"%%%%" + struct.pack(f">{1 + len(told)}{self.number}", len(told), *told) + content

    def whole_number(self, value: int) -> bytes:
        return self.value([5], struct.pack("<I", value))

    def text(self, text: str) -> bytes:
        return self.value([20, 4, len(text)], text.encode("utf-16-le"))

    def calibrations(self, sides: int) -> bytes:
        """Of each side: origin, scale and unit."""
        tags = [("Origin", self.value([6], bytes(4)), False), ("Scale", self.value([6], struct.pack("<f", 0.5)), False)]
        each = self.group([*tags, ("Units", self.text("nm"), False)])
        return self.group([("Dimension", self.group([("", each, True)] * sides), True)])

    def image(self, pixels: NDArray[Any], kind: int, sides: tuple[int, ...]) -> bytes:
        name = pixels.dtype.str[1:]
        data = self.value([20, ELEMENTS[name], pixels.size], pixels.tobytes())
        dimensions = self.group([("", self.whole_number(side), False) for side in sides])
        tags = [
            ("Calibrations", self.calibrations(len(sides)), True),
            ("Data", data, False),
            ("DataType", self.whole_number(kind), False),
            ("Dimensions", dimensions, True),
            ("PixelDepth", self.whole_number(pixels.dtype.itemsize), False),
        ]
        bounds = self.value([15, 0, 2, 0, 5, 0, 5], bytes(8))
        names = self.group([("Operator", self.text(OPERATOR), False), ("Bounds", bounds, False)])
        return self.group([("ImageData", self.group(tags), True), ("ImageTags", names, True)])

    def file(self, images: list[bytes], thumbnail: int | None = 0) -> bytes:
        entry = self.group([("ImageIndex", self.whole_number(thumbnail or 0), False)])
        clut = self.value([20, 15, 0, 3, 0, 2, 0, 2, 0, 2, 4], bytes(24))
        tags = [
            ("CLUT", clut, False),
            ("ImageList", self.group([("", image, True) for image in images]), True),
            *([] if thumbnail is None else [("Thumbnails", self.group([("", entry, True)]), True)]),
        ]
        whole = self.group(tags) + bytes(8)
        head = (self.version, len(whole), 1)
        return struct.pack(">IQI" if self.version == 4 else ">III", *head) + whole


def write_dm(path: Path, pixels: NDArray[Any], thumbnail: int | None = 0) -> Path:
    """Planes [P, H, W], behind a thumbnail in colour, which `thumbnail` says is one; version by the suffix."""
    writer = DMWriter(int(path.suffix[-1]))
    sides = pixels.shape[::-1] if len(pixels) > 1 else pixels.shape[:0:-1]
    small = writer.image(np.zeros((16, 16), "<u4"), 23, (16, 16))
    own = writer.image(pixels, DATA_TYPES[pixels.dtype.str[1:]], sides)
    path.write_bytes(writer.file([small, own], thumbnail))
    return path
