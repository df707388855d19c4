"""Masses of spectra that are channels: a list of m/z with names, how far a peak may lie from one, and normalisation.

Words are kept as they are written, so that what reads later files alike can be seen: `760.585`, `PC 34:1=760.585`, or
`all` where all spectra have the same m/z.
"""

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from vaeforge.errors import ConfigError, DataError

ALL = "all"
NONE, TIC = "none", "tic"
NORMALISATIONS = (NONE, TIC)
PPM, DALTON = "ppm", "da"
TOLERANCE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(ppm|da)", re.IGNORECASE)
LISTS = (".csv", ".tsv", ".txt")
MASS_COLUMNS = ("mz", "m/z", "mass", "m_z")
NAME_COLUMNS = ("name", "channel", "label", "molecule", "lipid")
MOST = 20_000  # channels
SIZE = 2**22  # bytes of a list


@dataclass(frozen=True)
class Window:
    """A channel: the values of peaks from `low` to `high` are added."""

    name: str
    mass: float
    low: float
    high: float


def mass_words(words: Sequence[str]) -> tuple[str, ...]:
    """The words of `--masses`, those of a file where one is given: a column mz and perhaps name, or a mass a line.

    Raises:
        ConfigError: if one is no mass.
        DataError: if the file cannot be read, or says no masses.
    """
    if len(words) == 1 and words[0].lower().endswith(LISTS):
        words = _listed(Path(words[0]))
    _masses(words)
    return tuple(words)


def _listed(path: Path) -> list[str]:
    try:
        if path.stat().st_size > SIZE:
            raise DataError(f"--masses: {path} is larger than {SIZE} bytes, must be a list of masses")
        text = path.read_text(encoding="utf-8-sig")
        rows = [row for row in csv.reader(text.splitlines(), delimiter=_delimiter(text)) if any(map(str.strip, row))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"--masses: {path}: cannot be read as a list of masses ({error})") from None
    if not rows:
        raise DataError(f"--masses: {path}: holds no masses")
    header = [cell.strip().lower() for cell in rows[0]]
    mass = next((header.index(name) for name in MASS_COLUMNS if name in header), None)
    name = next((header.index(name) for name in NAME_COLUMNS if name in header), None)
    if mass is None and not any(_is_number(cell) for cell in header):
        raise DataError(f"--masses: {path}: has the columns {', '.join(header)}, must have mz, and may have name")
    named = (0 if mass is None else mass), name
    body = rows if mass is None else rows[1:]
    short = next((number for number, row in enumerate(body) if len(row) <= max(named[0], named[1] or 0)), None)
    if short is not None:
        raise DataError(f"--masses: {path}: row {short} (from 0) has {len(body[short])} cells, must have {len(header)}")
    cells = [(row[named[0]].strip(), row[name].strip() if name is not None else "") for row in body]
    return [f"{called}={number}" if called else number for number, called in cells]


def _delimiter(text: str) -> str:
    first = text.lstrip().partition("\n")[0]
    return next((one for one in ("\t", ";", ",") if one in first), ",")


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _masses(words: Sequence[str]) -> dict[str, float]:
    """Mass by name, in order; a mass without a name is called as it is written. Empty for `all`."""
    if list(words) == [ALL]:
        return {}
    found: dict[str, float] = {}
    for word in words:
        name, _, number = word.rpartition("=")
        name, number = (name or number).strip(), number.strip()
        if not _is_number(number) or float(number) <= 0:
            raise ConfigError(
                f"--masses: got {word!r}, must be an m/z above 0, or NAME=m/z; or a file (.csv, .tsv, .txt) of a "
                f"column mz and perhaps name; or {ALL}"
            )
        if name in found:
            raise ConfigError(f"--masses: {name!r} occurs twice, must be there once")
        found[name] = float(number)
    if len(found) > MOST:
        raise ConfigError(f"--masses: got {len(found)}, must be at most {MOST}")
    return found


def is_all(words: Sequence[str]) -> bool:
    """Whether every m/z is a channel."""
    return list(words) == [ALL]


def windows(words: Sequence[str], tolerance: str) -> list[Window]:
    """The channels that the words name.

    Raises:
        ConfigError: if a word is no mass, or the tolerance none.
    """
    matched = TOLERANCE.fullmatch(tolerance.strip())
    if matched is None or not float(matched[1]) > 0:
        raise ConfigError(f"--tolerance: got {tolerance!r}, must be a number above 0 with its unit, say 5ppm or 0.01Da")
    number, relative = float(matched[1]), matched[2].lower() == PPM
    found = []
    for name, mass in _masses(words).items():
        width = mass * number * 1e-6 if relative else number
        found.append(Window(name, mass, mass - width, mass + width))
    return found


def overlapping(channels: Sequence[Window]) -> list[tuple[Window, Window]]:
    """Neighbours that both take a peak which lies between them."""
    ordered = sorted(channels, key=lambda one: one.mass)
    return [(one, other) for one, other in pairwise(ordered) if one.high >= other.low]


def require_normalisation(given: str) -> str:
    """What `--normalise` says, `none` where it is empty.

    Raises:
        ConfigError: if it is none of those that there are.
    """
    if given and given not in NORMALISATIONS:
        raise ConfigError(f"--normalise: got {given!r}, must be one of {', '.join(NORMALISATIONS)}")
    return given or NONE
