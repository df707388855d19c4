"""Pictures of an import: each one decoded, measured and compared with the others.

Modes follow `vaeforge.data.images`: 16-bit greys are divided by 257, palettes, CMYK and greys converted. Colour
pictures are copied byte by byte; greys (`classes`, `frames`) are written as 8-bit grey PNG.

Shapes: H x W pixels; colour [H, W, 3], grey [H, W], uint8.
"""

import hashlib
import shutil
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vaeforge.data.images import DAMAGE, FORMATS, open_picture
from vaeforge.data.source_files import LEAK, reject_duplicates
from vaeforge.errors import DataError
from vaeforge.importing.figures import Bars, Chart, Dots, Histogram, histogram
from vaeforge.importing.parsed_source import ImportLog, ParsedSource, Row, summarise

Pixels = NDArray[np.uint8]
LEAST_OF_CLASS = 3  # pictures: one to train, one to validate and one to test
MEASURES = ("width", "height", "aspect_ratio", "mean")


@dataclass(frozen=True)
class PictureFile:
    """A picture file of the source, its class (empty where there are none) and where it is to be written."""

    path: Path
    shown: str
    label: str
    target: Path


@dataclass(frozen=True)
class MeasuredImage:
    """A picture that can be used: its candidate, its row of statistics, and the SHA-256 of its pixels."""

    candidate: PictureFile
    row: Row
    pixels_sha256: str
    histogram: NDArray[np.int64]


def decode(path: Path, grey: bool) -> Pixels:
    """The pixels of the picture at `path`.

    Raises:
        DataError: see `vaeforge.data.images.open_picture`.
    """
    picture = open_picture(path)
    return np.asarray(picture.convert("L") if grey else picture)


def measure(candidate: PictureFile, grey: bool) -> MeasuredImage:
    """Decode a picture and measure it.

    Raises:
        DataError: if it cannot be used.
    """
    pixels = decode(candidate.path, grey)
    described = _described(candidate.path)
    counts = np.bincount(pixels.reshape(-1), minlength=256)
    row = {"file": candidate.shown, "class": candidate.label, **shape_row(pixels), **described}
    return MeasuredImage(candidate, row, pixels_sha256(pixels), counts)


def _described(path: Path) -> Row:
    """Mode and number of frames of a picture that has been decoded before."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata do no harm to the pixels
            with Image.open(path, formats=FORMATS) as header:
                return {"mode": header.mode, "frames": int(getattr(header, "n_frames", 1))}
    except DAMAGE as error:
        raise DataError(f"{path}: its further frames cannot be counted ({error})") from None


def shape_row(pixels: Pixels) -> Row:
    """Size in pixels, aspect ratio (width / height) and grey values (0..255) of one picture."""
    height, width = pixels.shape[:2]
    return {
        "width": width,
        "height": height,
        "aspect_ratio": width / height,
        "mean": float(pixels.mean()),
        "std": float(pixels.std()),
        "min": int(pixels.min()),
        "max": int(pixels.max()),
    }


def pixels_sha256(pixels: Pixels) -> str:
    """SHA-256 of a picture's pixels and shape: the same for the same picture in another file format."""
    return hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def read_images(
    source: Path, candidates: list[PictureFile], empty: Iterable[str], grey: bool, least: int, log: ImportLog
) -> ParsedSource:
    """The usable ones of `candidates`; the others go into the quarantine.

    Args:
        source: what is being read.
        candidates: the picture files.
        empty: classes that hold no picture at all.
        grey: whether pictures become 8-bit grey.
        least: pictures that a class needs, so that each part of the data gets one.
        log: takes what is noticed.

    Raises:
        DataError: if none can be used, a class has too few, or two would get the same name or are the same picture.
    """
    measured = []
    for candidate in candidates:
        try:
            measured.append(measure(candidate, grey))
        except DataError as error:
            log.quarantine(candidate.shown, str(error).replace(str(candidate.path), candidate.shown))
    refuse_unusable(source, [item.row for item in measured], [c.label for c in candidates], empty, least, log)
    reject_duplicates(
        source,
        "items would get the name of another",
        ((item.candidate.target.as_posix().casefold(), item.candidate.shown) for item in measured),
        "rename one of each",
    )
    reject_duplicates(
        source,
        f"pictures {LEAK}",
        ((item.pixels_sha256, item.candidate.shown) for item in measured),
        "remove one of each",
    )
    rows = [item.row for item in measured]
    _note(rows, log)
    # every pixel of colour pictures counts in each channel
    values = np.sum([item.histogram for item in measured], axis=0)

    def write(folder: Path) -> None:
        for item in measured:
            _write(item, folder / item.candidate.target, grey)

    return ParsedSource(rows, summarise(rows, "class", MEASURES), _counts(rows), charts(rows, values), write)


def refuse_unusable(
    source: Path, rows: list[Row], labels: Iterable[str], empty: Iterable[str], least: int, log: ImportLog
) -> None:
    """Refuse classes with fewer than `least` usable items, and a source without any.

    Args:
        source: what is being read.
        rows: of statistics, one a usable item.
        labels: the class of each item that was given.
        empty: classes without any item.
        least: items that a class needs.
        log: of what was left out, for the reasons.

    Raises:
        DataError: naming each class with what it has.
    """
    if not rows:
        raise DataError(
            f"{source}: nothing usable in it ({len(log.quarantined)} item(s) quarantined)"
            f"{log.first_reasons()}; see docs/import.md for what may be given"
        )
    found, given = Counter(row["class"] for row in rows), Counter(labels)
    few = [
        f"{name or 'the folder'} has {found[name]} usable of {given[name]}"
        for name in sorted({*given, *empty})
        if found[name] < least
    ]
    if few:
        raise DataError(
            f"{source}: {len(few)} class(es) with too few pictures, at least {least} each are needed: {'; '.join(few)}"
            f"{log.first_reasons()}; add pictures or remove the class"
        )


def require_classes(source: Path, count: int) -> None:
    """Refuse fewer than two classes.

    Raises:
        DataError: with what makes a class.
    """
    if count < 2:
        raise DataError(
            f"{source}: has {count} class, must have at least 2; give a folder for each, or call the files "
            "[Class]_[Number]"
        )


def _counts(rows: list[Row]) -> dict[str, int]:
    classes = len({row["class"] for row in rows if row["class"]})
    return {"images": len(rows), **({"classes": classes} if classes else {})}


def _note(rows: list[Row], log: ImportLog) -> None:
    sizes, modes = Counter((row["width"], row["height"]) for row in rows), Counter(row["mode"] for row in rows)
    if len(sizes) > 1:
        common = ", ".join(f"{width} x {height} ({count})" for (width, height), count in sizes.most_common(3))
        log.notes.append(f"{len(sizes)} sizes, the most frequent ones {common}")
    if len(modes) > 1:
        log.notes.append("modes " + ", ".join(f"{mode} ({count})" for mode, count in sorted(modes.items())))
    stacks = sum(row["frames"] > 1 for row in rows)
    if stacks:
        log.notes.append(f"{stacks} file(s) hold several frames, of which only the first is read")


def charts(rows: list[Row], values: NDArray[np.int64]) -> list[Chart]:
    """Sizes, aspect ratios, class counts and grey values [256] of all pictures."""
    classes = Counter(row["class"] or "all" for row in rows)
    across, up = ([float(row[name]) for row in rows] for name in ("width", "height"))
    return [
        Dots("sizes", across, up, "width, pixels", "height, pixels"),
        histogram("aspect_ratios", [row["aspect_ratio"] for row in rows], "width / height", "pictures"),
        Bars("class_counts", list(classes), list(map(float, classes.values())), "class", "pictures"),
        Histogram("intensities", np.linspace(-0.5, 255.5, 257), values, "value, 0..255", "pixels"),
    ]


def _write(item: MeasuredImage, path: Path, grey: bool) -> None:
    """Write one picture; its pixels are compared with those that were checked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not grey:
        shutil.copyfile(item.candidate.path, path)
    pixels = decode(item.candidate.path if grey else path, grey)
    if pixels_sha256(pixels) != item.pixels_sha256:
        raise DataError(f"{item.candidate.path}: changed while it was read; import it again")
    if grey:
        write_grey(pixels, path)


def write_grey(pixels: Pixels, path: Path) -> None:
    """Write grey pixels [H, W] as PNG."""
    Image.fromarray(pixels).save(path, format="PNG")
