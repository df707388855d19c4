"""Tags of Gatan's DM3 and DM4, walked without reading the values of large ones; only those of pictures are kept.

Group after group, each tag by its label, or by its number where it has none. Names of people, specimens and
microscopes are passed over. By descriptions of G. Jefferis and C. Hebert et al.; numbers of the tags are big-endian,
values of them as the file says.
"""

import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vaeforge.data.damaged_file import DamagedFileError

VERSIONS = {3: ("I", 12), 4: ("Q", 16)}  # the type of its numbers, and the bytes before the first group
GROUP, VALUE = 20, 21
MARK = b"%%%%"
STRUCT, TEXT, ARRAY = 15, 18, 20
SIMPLE = {2: "h", 3: "i", 4: "H", 5: "I", 6: "f", 7: "d", 8: "B", 9: "b", 10: "B", 11: "q", 12: "Q"}
DEPTH, MOST = 32, 500_000  # groups in groups, and tags, beyond which no real file goes
INFORMATION = 1_000  # numbers that describe a value
KEPT = re.compile(r"ImageList/\d+/ImageData/(Data|DataType|PixelDepth|Dimensions/\d+)|Thumbnails/\d+/ImageIndex")
Found = dict[str, "float | Values"]


@dataclass(frozen=True)
class Values:
    """Where an array lies: its first byte, how many values of how many bytes."""

    offset: int
    count: int
    itemsize: int


class TagReader:
    """One walk through a file."""

    def __init__(self, path: Path, file: BinaryIO):
        self.path, self.file = path, file
        self.size = file.seek(0, os.SEEK_END)
        self.found: Found = {}
        self.tags = 0
        file.seek(0)
        (self.version,) = self._unpack(">I")
        if self.version not in VERSIONS:
            raise DamagedFileError(path, f"is of version {self.version} of DM, must be 3 or 4")
        self.number, first = VERSIONS[self.version]
        file.seek(first - 4)
        (little,) = self._unpack(">I")
        self.order = "<" if little else ">"

    def read(self) -> Found:
        """The numbers and arrays that are kept, by their paths.

        Raises:
            DamagedFileError: if tags are not as described, or more than any file has.
            struct.error: if the file ends.
        """
        self._group("", 0)
        return self.found

    def _unpack(self, kind: str) -> tuple[int, ...]:
        return struct.unpack(kind, self.file.read(struct.calcsize(kind)))

    def _group(self, path: str, depth: int) -> None:
        _, _, count = self._unpack(f">BB{self.number}")
        for place in range(count):
            self.tags += 1
            if depth > DEPTH or self.tags > MOST:
                raise DamagedFileError(self.path, f"has more than {MOST} tags, or more than {DEPTH} groups in groups")
            kind, length = self._unpack(">BH")
            label = self.file.read(length).decode("latin-1") or str(place)
            own = f"{path}/{label}" if path else label
            if self.number == "Q":  # the length of the tag, which other readers pass over, too
                self._unpack(">Q")
            if kind == GROUP:
                self._group(own, depth + 1)
            elif kind == VALUE:
                self._value(own)
            else:
                raise DamagedFileError(self.path, f"has a tag of kind {kind}, must be {GROUP} or {VALUE}")

    def _value(self, path: str) -> None:
        if self.file.read(len(MARK)) != MARK:
            raise DamagedFileError(self.path, "has a tag without a value")
        (length,) = self._unpack(f">{self.number}")
        if not 1 <= length <= INFORMATION:
            raise DamagedFileError(self.path, f"describes a value by {length} numbers, must be 1 to {INFORMATION}")
        told = self._unpack(f">{length}{self.number}")
        if told[0] in SIMPLE:
            (number,) = self._unpack(self.order + SIMPLE[told[0]])
            if KEPT.fullmatch(path):
                self.found[path] = number
            return
        itemsize, count = self._sized(told)
        offset = self.file.tell()
        if offset + itemsize * count > self.size:
            raise DamagedFileError(self.path, f"ends before {count} values of {itemsize} bytes that it announces")
        if KEPT.fullmatch(path):
            self.found[path] = Values(offset, count, itemsize)
        self.file.seek(offset + itemsize * count)

    def _sized(self, told: tuple[int, ...]) -> tuple[int, int]:
        """Bytes of a value and how many there are, of a text, a structure or an array of these or of numbers."""
        try:
            if told[0] == TEXT:
                return 1, told[1]
            if told[0] == STRUCT:
                return _bytes_of(told[4::2]), 1
            if told[0] == ARRAY and told[1] == STRUCT:
                return _bytes_of(told[5:-1:2]), told[-1]
            if told[0] == ARRAY:
                return struct.calcsize("<" + SIMPLE[told[1]]), told[2]
        except (IndexError, KeyError):
            pass
        raise DamagedFileError(self.path, f"has a value of an unknown kind ({told[0]})")


def _bytes_of(kinds: tuple[int, ...]) -> int:
    """Of the fields of a structure."""
    return sum(struct.calcsize("<" + SIMPLE[kind]) for kind in kinds)
