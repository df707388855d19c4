"""A file format: what files of it are called, how they begin, and what can be read out of one.

A format is a module of `vaeforge.data.formats` with a `FORMAT`, or an entry point of the group
`vaeforge.file_formats` in any other package. Import, inspect, prepare, score and serve ask here which files there are
and who reads them, so that what one of them takes the others take, too. Libraries are imported by the functions that
read, so that whoever asks for suffixes loads none.

Shapes: T timepoints, V voxels, N points.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Literal

from numpy.typing import NDArray

from vaeforge.data.foreign_formats import advice
from vaeforge.data.picture_file import RawPicture
from vaeforge.data.table import Table
from vaeforge.errors import DataError
from vaeforge.plugins import Group, Plugins, PluginSource

Content = Literal["picture", "series", "volume", "table"]
Kind = Literal["pictures", "volumes", "arrays", "tables"]
START = 1024  # bytes of a file that tell its format
Load = Callable[[], NDArray[Any]]


def unnamed() -> tuple[str, ...]:
    """No names."""
    return ()


@dataclass(frozen=True)
class Matrix:
    """A series in a file.

    Attributes:
        load: brings its values [T, V].
        voxels: brings the names of its voxels [V]; empty where they have none.
        oriented: whether the format says which axis is time.
    """

    load: Load
    voxels: Callable[[], tuple[str, ...]] = unnamed
    oriented: bool = False


@dataclass(frozen=True)
class TableRequest:
    """What of a table is asked for.

    Attributes:
        labels: columns that are labels, whose cells are names even where they look like numbers.
        layer: of a format that holds several tables of the same points; empty: its main one.
        masses: of spectra: those that are channels, see `mass_list`.
        tolerance: of spectra: how far a peak may lie from its mass.
        normalise: of spectra: `tic`, or as they are.
    """

    labels: frozenset[str] = frozenset()
    layer: str = ""
    masses: tuple[str, ...] = ()
    tolerance: str = ""
    normalise: str = ""


@dataclass(frozen=True, kw_only=True)
class FileFormat:
    """A format of files. What cannot be read out of one has no reader.

    All readers raise a DataError, or what decoders raise on damaged pictures (`picture_file.DAMAGE`).

    Attributes:
        name: as its community calls it.
        suffixes: of its files, in lower case, with the dot.
        kind: what a folder of them holds, in the words of `vaeforge score`.
        begins: what the first bytes of a file match; none where nothing tells.
        text: whether it is text with rows of cells.
        note: whether such files are notes where others lie beside them.
        picture: brings what a file, opened to be read, shows.
        pixels: counts those of all planes of such a picture, by its header; none where Pillow does.
        eight_bits: whether a picture's values surely have at most 8 bits, by its first bytes; none where nothing tells.
        copied: whether a data set may hold copies of pictures' files; else it holds what they show alone.
        instead: what to do where a file of it should be something that cannot be read out of it.
        series: brings the series in a file by their keys; one that has none has the key "".
        volume: brings an image of nibabel's with 4 dimensions, or a mask with 3, its header checked.
        table: brings the columns of a table of points.
        spectra: whether the channels of such a table are masses that are asked for.
        beside: suffixes of files that belong to one of it, beside it.
    """

    name: str
    suffixes: tuple[str, ...]
    kind: Kind
    begins: re.Pattern[bytes] | None = None
    text: bool = False
    note: bool = False
    picture: Callable[[Path, BinaryIO], RawPicture] | None = None
    pixels: Callable[[Path, BinaryIO], int] | None = None
    eight_bits: Callable[[bytes], bool] | None = None
    copied: bool = True
    instead: Mapping[str, str] = field(default_factory=dict, hash=False)
    series: Callable[[Path], Mapping[str, Matrix]] | None = None
    volume: Callable[[Path], Any] | None = None
    table: Callable[[Path, TableRequest], Table] | None = None
    spectra: bool = False
    beside: tuple[str, ...] = ()

    def reads(self, content: Content) -> bool:
        """Whether files of it can be read as that."""
        return getattr(self, content) is not None

    def begins_so(self, start: bytes) -> bool:
        """Whether a file that begins with these bytes is of it."""
        return self.begins is not None and self.begins.match(start) is not None


FORMATS: Plugins[FileFormat] = Plugins(
    PluginSource("vaeforge.data.formats", "FORMAT", Group.FILE_FORMATS), FileFormat, "file format"
)


@cache
def file_formats() -> tuple[FileFormat, ...]:
    """All formats, by their names."""
    return tuple(FORMATS.named(name) for name in FORMATS.names())


@cache
def suffixes_of(content: Content) -> tuple[str, ...]:
    """The suffixes of files that can be read as that."""
    found = [suffix for one in file_formats() if one.reads(content) for suffix in one.suffixes]
    return tuple(dict.fromkeys(found))


def named_suffixes(content: Content) -> str:
    """The same, for messages."""
    return ", ".join(suffixes_of(content))


def unread(path: Path, *contents: Content) -> str:
    """Why the file at `path` is not read as any of these, and what to do; for messages that name the file."""
    reason = f"its suffix is none of {', '.join(map(named_suffixes, contents))}"
    found = format_of(path)
    if found is not None:
        told = next((found.instead[content] for content in contents if content in found.instead), "")
        return f"{reason}; it is {found.name}: {told}" if told else reason
    if told := advice(path):
        return f"{reason}; {told}"
    start = b"" if path.suffix else start_of(path)
    begun = (one for one in file_formats() if any(map(one.reads, contents)) and one.begins_so(start))
    named = next((f"; it begins as {one.name} does: give it the suffix {one.suffixes[0]}" for one in begun), "")
    return reason + named


def format_of(path: Path) -> FileFormat | None:
    """The format of the file at `path`, by its longest known suffix; where formats share one, by how it begins."""
    name = path.name.lower()
    fitting = [(suffix, one) for one in file_formats() for suffix in one.suffixes if name.endswith(suffix)]
    if not fitting:
        return None
    longest = max(len(suffix) for suffix, _ in fitting)
    found = [one for suffix, one in fitting if len(suffix) == longest]
    if len(found) == 1:
        return found[0]
    start = start_of(path)
    return next((one for one in found if one.begins_so(start)), found[0])


def belonging(paths: Sequence[Path]) -> set[Path]:
    """Which of these files belong to another one of them: `.ibd` to imzML, `.BRIK` to AFNI's header."""
    owned = {
        (path.parent, path.with_suffix("").name.lower() + suffix)
        for path in paths
        if (found := format_of(path)) is not None
        for suffix in found.beside
    }
    return {path for path in paths if (path.parent, path.name.lower()) in owned}


def start_of(path: Path) -> bytes:
    """The first bytes of a file; nothing where it cannot be read, which whoever reads it then says."""
    try:
        with path.open("rb") as file:
            return file.read(START)
    except OSError:
        return b""


def is_surely_of_8_bits(path: Path) -> bool:
    """Whether the picture at `path` has no values of more than 8 bits, as its first bytes say; nothing is decoded."""
    start = start_of(path)
    found = next((one for one in file_formats() if one.picture is not None and one.begins_so(start)), None)
    return found is not None and found.eight_bits is not None and found.eight_bits(start)


def series_in(path: Path) -> Mapping[str, Matrix]:
    """The series in the file at `path`, by their keys.

    Raises:
        DataError: if it cannot be read, or no series can be read out of files of its suffix.
    """
    found = format_of(path)
    if found is None or found.series is None:
        raise DataError(f"{path}: its suffix is none of {named_suffixes('series')}")
    return found.series(path)


def is_text(path: Path) -> bool:
    """Whether a file is, by its name, a text with rows of cells, which may be about other files."""
    found = format_of(path)
    return found is not None and found.text


def holds_scans(path: Path) -> bool:
    """Whether a file is, by its name, of volumes or surfaces, beside which texts are about them."""
    found = format_of(path)
    return found is not None and found.kind == "volumes"


def is_readable(path: Path, content: Content) -> bool:
    """Whether the file at `path` is, by its name, of a format that can be read as that."""
    found = format_of(path)
    return found is not None and found.reads(content)
