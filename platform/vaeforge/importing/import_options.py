"""Options and result of an import."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vaeforge.errors import ConfigError

NAME_BYTES = 100
SUFFIX = re.compile(
    r"(?<=.)(\.(nii|tar))?"
    r"\.(zip|tar|tgz|tbz2|txz|gz|bz2|xz)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """How a source is read; each kind of data looks at its own options only.

    Attributes:
        name: of the data set; empty: the source's name without its suffix.
        replace: whether a data set of this name may be replaced.
        track: whether DVC is told of the new data.
        yes: whether what is assumed where a question is open may stand.
        normal: `pictures`: classes that hold normal items under another name; they become `normal-<class>`; `all`:
            every class, and pictures without one.
        groups: a regular expression that finds an item's group in its name; `none`: each is a group of its own; of
            pictures also a table, or what folders mean (`class/patient/image`).
        group_column: of a table of the source, that says whose item it is; groups never cross splits.
        split: parts that the source has and that are kept: `folders`, a file, or a column; empty: divided anew.
        transposed: `series`: whether arrays are [voxels, timepoints]; none: [timepoints, voxels], unless they look
            otherwise, which is asked about.
        time_axis: `series`: where 4-D NIfTI files have time, `first` or `last`; empty: last, unless they look
            otherwise, which is asked about.
        hemispheres: `series`: files whose names differ in the hemisphere only are `joined` to one series each, or stay
            `apart`; empty: apart, which is asked about.
        dummy_scans: `series`: how many timepoints at the beginning of each are left out; none: no one, but bright
            ones are asked about.
        mask: `series`: a 3-D NIfTI file, whose voxels above 0 are kept.
        columns: `points`: which column of the source is x, y, z and section, for example {"x": "xccf"}.
        channels: `points`: the columns that are channels, in order, by name or pattern (see `columns.matching`); empty:
            all of numbers that neither count, label nor describe. Pictures: the
            channels that are taken, by number from 0 or by name; empty: all.
        layer: `points`: of AnnData, the layer that is read; empty: `X`.
        masses: `points`: of spectra (imzML), the masses that are channels, as words, see `mass_list`.
        tolerance: `points`: of spectra, how far a peak may lie from its mass, `5ppm` or `0.01Da`.
        normalise: `points`: of spectra, `tic`, which gives millionths of a spectrum's total, or `none`; empty: none.
        white: pictures of more than 8 bits: the value that is white; none: found over all of them.
        black: pictures of more than 8 bits: the value that is black.
        window: pictures of more than 8 bits: `CENTRE,WIDTH` of the values that are told apart, in place of white and
            black; what lies outside becomes black or white; empty: none.
        depth: pictures: bits of a sample's value, `8`, `16`, or `auto`: 16 where they hold more than 8; empty: auto.
        size: pictures: of the samples that `prepare` makes of them, `auto` or a multiple of 16; empty: as in
            params.yaml.
        pages: pictures: what the pages of a file are, see `PictureReading`.
        duplicates: pictures: `refuse` exact copies, or `drop` all but the first.
        rims: pictures: `ask` about transparent parts that tell classes apart, or `keep` them.
    """

    name: str = ""
    replace: bool = False
    track: bool = True
    yes: bool = False
    normal: tuple[str, ...] = ()
    groups: str = ""
    group_column: str = ""
    split: str = ""
    transposed: bool | None = None
    time_axis: str = ""
    hemispheres: str = ""
    dummy_scans: int | None = None
    mask: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    layer: str = ""
    masses: tuple[str, ...] = ()
    tolerance: str = ""
    normalise: str = ""
    white: float | None = None
    black: float = 0.0
    window: str = ""
    depth: str = ""
    size: str = ""
    pages: str = ""
    duplicates: str = "refuse"
    rims: str = "ask"


@dataclass(frozen=True)
class ImportResult:
    """What came of an import.

    Attributes:
        folder: the data set, data/<family>/<name>.
        manifest: its import.json.
        counts: how many items of each sort were written.
        quarantined: how many items of the source could not be used; quarantine.csv says which and why.
        notes: what a person should know about these data.
        changes: what became of other data sets.
        tracked: whether DVC has them.
        tracking: what DVC did, or why it did nothing.
        report: a folder that a file manager shows, with the figures and tables of the import.
    """

    folder: Path
    manifest: Path
    counts: dict[str, int]
    quarantined: int
    notes: list[str]
    changes: list[str]
    tracked: bool
    tracking: str
    report: Path


def usable_name(name: str) -> str | None:
    """Why `name` cannot name a data set, class or subject (a folder or file is called so), or none if it can."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if not name.strip() or name != name.strip():
        return "is empty, or begins or ends with a space"
    if name.startswith("."):
        return "begins with a dot, which hides it"
    if any(character in "/\\" or unicodedata.category(character) == "Cc" for character in name):
        return "holds a slash, a backslash or a control character"
    return f"is {size} bytes long, at most {NAME_BYTES} are allowed" if size > NAME_BYTES else None


def data_set_name(source: Path, options: ImportOptions) -> str:
    """What the data set is called, in Unicode's composed form (NFC).

    Raises:
        ConfigError: if it cannot be called so.
    """
    name = unicodedata.normalize("NFC", options.name or stem(source.name))
    problem = usable_name(name)
    if problem:
        raise ConfigError(f"--name: got {name[:120]!r}, which {problem}; give another --name")
    return name


def stem(name: str) -> str:
    """A file's or folder's name without its suffix, `.nii.gz` and `.tar.gz` being one suffix."""
    from vaeforge.data.file_format import file_formats  # brings NumPy, which the help does without

    known = (suffix for one in file_formats() for suffix in one.suffixes if name.lower().endswith(suffix))
    cut = [name[: -len(suffix)] for suffix in known if len(suffix) < len(name)]
    return min([*cut, SUFFIX.sub("", name)], key=len)
