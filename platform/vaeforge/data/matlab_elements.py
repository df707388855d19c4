"""The elements of a `.mat` file up to version 7: their tags, checked before a reader that trusts them gets the file.

scipy believes what a tag says, and a damaged one can end the process. Layout: MATLAB, "MAT-File Format" (R2024b),
chapter "Level 5 MAT-File Format".
"""

import struct
import zlib
from pathlib import Path
from typing import BinaryIO, Protocol

HEADER, TAG = 128, 8  # bytes
ORDERS = {b"IM": "<", b"MI": ">"}
MATRIX, COMPRESSED = 14, 15
TYPES = frozenset({*range(1, 8), 9, *range(12, 19)})  # numbers, a matrix, compressed, texts
DEEPEST = 32  # matrices in cells and structs within each other
CHUNK = 2**20


class ElementError(ValueError):
    """A tag that no file of this format has."""


class Bytes(Protocol):
    """What elements are read from, from front to back."""

    def take(self, count: int) -> bytes:
        """So many bytes, fewer at the end."""
        ...

    def skip(self, count: int) -> None:
        """Pass over so many bytes, or what is left."""
        ...


class PlainBytes:
    """Those of a file."""

    def __init__(self, file: BinaryIO):
        self._file = file

    def take(self, count: int) -> bytes:
        return self._file.read(count)

    def skip(self, count: int) -> None:
        self._file.seek(count, 1)


class InflatedBytes:
    """Those of a compressed element, some at a time: what they take in memory does not depend on the file."""

    def __init__(self, packed: "Bytes", size: int):
        self._packed, self._left, self._inflater, self._ready = packed, size, zlib.decompressobj(), b""

    def take(self, count: int) -> bytes:
        while len(self._ready) < count:
            if not self._more():
                break
        taken, self._ready = self._ready[:count], self._ready[count:]
        return taken

    def skip(self, count: int) -> None:
        while count > 0:
            if not self._ready and not self._more():
                return
            passed = min(count, len(self._ready))
            self._ready, count = self._ready[passed:], count - passed

    def drain(self) -> None:
        """Pass over what is left of the element in its file."""
        self._packed.skip(self._left)
        self._left = 0

    def _more(self) -> bool:
        waiting = self._inflater.unconsumed_tail
        if not waiting:
            waiting = self._packed.take(min(CHUNK, self._left))
            self._left -= len(waiting)
        if not waiting or self._inflater.eof:
            return False
        self._ready += self._inflater.decompress(waiting, CHUNK)
        return True


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
        source, left = PlainBytes(file), path.stat().st_size - HEADER
        while left >= TAG:
            kind, size, _ = _tag(source, order)
            left -= TAG
            if size > left:
                raise ElementError(f"an element of {size} bytes where {left} are left")
            if kind == COMPRESSED:
                inside = InflatedBytes(source, size)
                _walk_one(inside, order)
                inside.drain()
            elif kind == MATRIX:
                _walk(source, order, size, 1)
            else:
                raise ElementError(f"an element of type {kind} in place of a variable")
            left -= size


def _walk_one(source: InflatedBytes, order: str) -> None:
    kind, size, _ = _tag(source, order)
    if kind != MATRIX:
        raise ElementError(f"an element of type {kind} in place of a variable")
    _walk(source, order, size, 1)


def _walk(source: Bytes, order: str, left: int, depth: int) -> None:
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
            padded = size
        else:
            padded = min(left, size + -size % TAG)
            source.skip(padded)
        left -= padded
    source.skip(left)


def _tag(source: Bytes, order: str) -> tuple[int, int, bool]:
    """Type, bytes, and whether the bytes are in the tag."""
    tag = source.take(TAG)
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
