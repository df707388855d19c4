"""Labelled pictures in one `.npz`: `images` [N, H, W], `labels` int [N], `classes` text [K].

They become the same folder per class as pictures in files do, `<class>/<index in the stack>.png`.
"""

import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.arrays import array_names, read_array, require, texts
from vaeforge.data.grey_levels import extent_of
from vaeforge.data.picture_reading import PictureReading, write_reading
from vaeforge.data.pixels import Pixels, in_8_bits
from vaeforge.data.source_files import LEAK, reject_duplicates
from vaeforge.errors import ConfigError, DataError
from vaeforge.importing.figures import sheet
from vaeforge.importing.images import LEAST_OF_CLASS, MEASURES, charts, refuse_unusable, require_classes
from vaeforge.importing.import_options import ImportOptions, usable_name
from vaeforge.importing.measured_images import histogram_of, pixels_sha256, shape_row, write_pixels
from vaeforge.importing.parsed_source import ImportLog, ParsedSource, Row, shown, summarise
from vaeforge.importing.walk_source import walk
from vaeforge.importing.white_level import depth_asked, stated_range, with_white

KEYS = ("images", "labels", "classes")


def find_stack(source: Path, log: ImportLog) -> Path | None:
    """The `.npz` file that `source` is, or the `images.npz` in it, if there is one; what lies beside it is left out."""
    if source.is_file() and source.suffix.lower() == ".npz":
        return source
    inside = source / "images.npz"
    if not inside.is_file():
        return None
    for path in walk(source, log)[0]:
        if path != inside:
            log.quarantine(shown(path, source), "lies beside images.npz, which is read alone")
    return inside


def read_stack(path: Path, options: ImportOptions, log: ImportLog) -> ParsedSource:
    """The labelled pictures in the file at `path`.

    Raises:
        ConfigError: if groups or parts are asked for, which pictures without names do not have.
        DataError: if an array is missing or of the wrong type or shape, a label has no class, a class has fewer than
            two pictures, or the same picture occurs twice.
    """
    if options.groups not in ("", "none") or options.group_column or options.split:
        raise ConfigError(
            f"--groups, --group-column, --split: given for {path}, whose pictures have no names that could tell groups "
            "or parts; leave them out, or give a folder with a file per picture"
        )
    require(path, array_names(path), KEYS)
    images, labels, classes = _check(path, *(read_array(path, key) for key in KEYS))
    reading = _reading(path, images, options, log)
    own, images = images, _levels(path, images, reading)
    digits = len(str(len(images) - 1))
    rows: list[Row] = []
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        told = shape_row(image, histogram_of(in_8_bits(image)))
        rows.append({"file": f"{index:0{digits}d}.png", "class": classes[label], **told})
    refuse_unusable(path, rows, [row["class"] for row in rows], classes, LEAST_OF_CLASS, log)
    require_classes(path, len(classes))
    reject_duplicates(
        path,
        f"pictures {LEAK}",
        ((pixels_sha256(image), f"images[{index}]") for index, image in enumerate(images)),
        "remove one of each",
    )

    def write(folder: Path) -> None:
        for name in classes:
            (folder / name).mkdir(parents=True)
        kept = reading.depth != 8
        for row, image in zip(rows, own if kept else images, strict=True):
            write_pixels(image, folder / row["class"] / row["file"])
        if kept:
            write_reading(folder, reading)

    def bring(number: int) -> NDArray[np.uint8]:
        return in_8_bits(images[number])

    counts = {"images": len(rows), "classes": len(classes)}
    drawn = [sheet([row["class"] for row in rows], bring), *charts(rows, _histogram(images))]
    return ParsedSource(rows, summarise(rows, "class", MEASURES), counts, drawn, write)


def _check(
    path: Path, images: NDArray[Any], labels: NDArray[Any], classes: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.int64], list[str]]:
    """The arrays in the types that are needed; the images as they are."""
    if images.dtype.name not in ("uint8", "uint16") or images.ndim != 3 or 0 in images.shape:
        raise DataError(f"{path}: images is {images.dtype} {images.shape}, must be uint8 or uint16 [N, H, W]")
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise DataError(f"{path}: labels is {labels.dtype} {labels.shape}, must be integers [{len(images)}]")
    names = texts(classes)
    if not names:
        raise DataError(f"{path}: classes is {classes.dtype} {classes.shape}, must be text [K] (not pickled objects)")
    wrong = np.flatnonzero((labels < 0) | (labels >= len(names)))
    if len(wrong):
        raise DataError(
            f"{path}: {len(wrong)} label(s) have no class, must be 0..{len(names) - 1}: "
            f"the first is labels[{wrong[0]}] = {labels[wrong[0]]}"
        )
    _check_names(path, names)
    composed = [unicodedata.normalize("NFC", name) for name in names]
    return images, labels.astype(np.int64), composed


def _reading(path: Path, images: NDArray[Any], options: ImportOptions, log: ImportLog) -> PictureReading:
    """How `images` [N, H, W] are read, by the white level of them all."""
    extent = extent_of(images)
    stated = stated_range(options) if extent.deep else PictureReading()
    extents = [extent] if extent.deep else []
    return with_white(f"{path}: images:", stated, extents, len(images), depth_asked(options), log)


def _levels(path: Path, images: NDArray[Any], reading: PictureReading) -> Pixels:
    try:
        return reading.levels_of_array(images)
    except DataError as error:
        raise DataError(f"{path}: images: {error}") from None


def _check_names(path: Path, names: list[str]) -> None:
    """The names become folders: none may lead elsewhere or occur twice."""
    bad = [f"{name[:120]!r} {problem}" for name in names if (problem := usable_name(name))]
    folded = Counter(unicodedata.normalize("NFC", name).casefold() for name in names)
    bad += [f"{name!r} is there {count} times" for name, count in folded.items() if count > 1]
    if bad:
        raise DataError(f"{path}: {len(bad)} class name(s) cannot name a folder: {'; '.join(bad[:10])}; rename them")


def _histogram(images: Pixels) -> NDArray[np.int64]:
    counts = np.zeros(256, dtype=np.int64)
    for image in images:
        counts += np.bincount(in_8_bits(image).reshape(-1), minlength=256)
    return counts
