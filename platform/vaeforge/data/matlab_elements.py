"""The elements of a `.mat` file up to version 7: their tags, checked before a reader that trusts them gets the file.

scipy believes what a tag says, and a damaged one can end the process. Layout: MATLAB, "MAT-File Format" (R2024b),
chapter "Level 5 MAT-File Format".
"""

import io
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

HEADER, TAG = 128, 8  # bytes
ORDERS = {b"IM": "<", b"MI": ">"}
MATRIX, COMPRESSED = 14, 15
TYPES = frozenset({*range(1, 8), 9, *range(12, 19)})  # numbers, a matrix, compressed, texts
DEEPEST = 32  # matrices in cells and structs within each other
CHUNK = 2**20


class ElementError(ValueError):
    """A tag that no file of this format has."""


class _Inflated(io.RawIOBase):
    """The bytes of a compressed element, some at a time: what they take in memory does not depend on the file."""

    def __init__(self, packed: BinaryIO, size: int):
        self._packed, self._left, self._inflater = packed, size, zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = b""
        while not found and not self._inflater.eof:
            waiting = self._inflater.unconsumed_tail
            if not waiting:
                waiting = self._packed.read(min(CHUNK, self._left))
                self._left -= len(waiting)
            if not waiting:
                break
            found = self._inflater.decompress(waiting, len(buffer))
        buffer[: len(found)] = found
        return len(found)


def require_elements(path: Path) -> None:
    """Nothing, if each tag in the file names a type that there is and lies within what holds it.

    Raises:
        ElementError: otherwise.
        zlib.error: if a compressed element is damaged.
    """
    with path.open("rb") as file:
        head = file.read(HEADER)
        if 0 in head[:4]:  # of version 4, which has no elements
            return
        order = ORDERS.get(head[126:128])
        if order is None:
            raise ElementError("its header does not say in which order bytes are")
        place, end = HEADER, path.stat().st_size
        while end - place >= TAG:
            kind, size, _ = _tag(file, order)
            place += TAG
            if size > end - place:
                raise ElementError(f"an element of {size} bytes where {end - place} are left")
            if kind == COMPRESSED:
                inside = io.BufferedReader(_Inflated(file, size), CHUNK)
                own, left, _ = _tag(inside, order)
                _require_matrix(own)
                _walk(inside, order, left, 1)
            else:
                _require_matrix(kind)
                _walk(file, order, size, 1)
            place += size
            file.seek(place)


def _require_matrix(kind: int) -> None:
    if kind != MATRIX:
        raise ElementError(f"an element of type {kind} in place of a variable")


def _walk(source: BinaryIO, order: str, left: int, depth: int) -> None:
    """The elements within a matrix of `left` bytes."""
    if depth > DEEPEST:
        raise ElementError(f"matrices within each other, more than {DEEPEST} deep")
    while left >= TAG:
        kind, size, small = _tag(source, order)
        left -= TAG
        if small:
            continue
        if size > left:
            raise ElementError(f"an element of {size} bytes in a variable with {left} left")
        if kind == COMPRESSED:
            raise ElementError("a compressed element within a variable")
        if kind == MATRIX:
            _walk(source, order, size, depth + 1)
        else:
            size = min(left, size + -size % TAG)
            _skip(source, size)
        left -= size
    _skip(source, left)


def _skip(source: BinaryIO, count: int) -> None:
    if source.seekable():
        source.seek(count, io.SEEK_CUR)
        return
    while count and (passed := len(source.read(min(CHUNK, count)))):
        count -= passed


def _tag(source: BinaryIO, order: str) -> tuple[int, int, bool]:
    """Type, bytes, and whether the bytes are in the tag."""
    tag = source.read(TAG)
    if len(tag) < TAG:
        raise ElementError("ends in the middle of an element")
    first, size = struct.unpack(f"{order}II", tag)
    small = first >> 16 != 0
    kind, size = (first & 0xFFFF, first >> 16) if small else (first, size)
    if kind not in TYPES:
        raise ElementError(f"an element of type {kind}, which there is not")
    if small and size > TAG // 2:
        raise ElementError(f"{size} bytes in a tag, which holds {TAG // 2}")
    return kind, size, small
