"""Pictures of an import: each one decoded, measured and compared with the others.

They are read by the code that prepare, score and serve use (`vaeforge.data.images`); see `measured_images`.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.grey_levels import Extent, extent_of, is_deep
from vaeforge.data.group_rules import Grouping, write_grouping
from vaeforge.data.near_copies import near_copies
from vaeforge.data.picture_reading import PictureReading, write_reading
from vaeforge.data.side_by_side import in_order, or_error
from vaeforge.data.source_files import LEAK, reject_duplicates
from vaeforge.errors import ConfigError, DataError, QuestionError
from vaeforge.importing.figures import Bars, Chart, Dots, Histogram, histogram, sheet
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.item_groups import grouped, grouped_by_file
from vaeforge.importing.kept_masks import kept_masks
from vaeforge.importing.measured_images import (
    FoundPictures,
    MeasuredImage,
    PictureFile,
    content_of,
    decode_selected,
    measure,
    pixels_of,
    write_picture,
)
from vaeforge.importing.parsed_source import READ, WRITTEN, ImportLog, ParsedSource, Row, summarise
from vaeforge.importing.rims import check_rims
from vaeforge.importing.white_level import depth_asked, stated_range, with_white
from vaeforge.progress import through

LEAST_OF_CLASS = 3  # pictures: one to train, one to validate and one to test
MEASURES = ("width", "height", "aspect_ratio", "mean")
DUPLICATES = ("refuse", "drop")


def read_images(
    source: Path,
    found: FoundPictures,
    options: ImportOptions,
    least: int,
    log: ImportLog,
) -> ParsedSource:
    """The usable ones of the pictures that were found; the others go into the quarantine.

    Args:
        source: what is being read.
        found: its picture files and tables.
        options: what the user said of white, pages, channels, copies and groups.
        least: pictures that a class needs, so that each part of the data gets one.
        log: takes what is noticed.

    Raises:
        DataError: if none can be used, a class has too few, or two would get the same name or are the same picture.
        QuestionError: if white, pages or channels of some cannot be known.
    """
    if options.duplicates not in DUPLICATES:
        raise ConfigError(f"--duplicates: got {options.duplicates!r}, must be one of {', '.join(DUPLICATES)}")
    depth = depth_asked(options)
    stated = replace(stated_range(options), pages=options.pages, channels=options.channels)
    measured, reading = _measured(source, found.files, stated, depth, log)
    if options.duplicates == "drop":
        measured = _without_copies(measured, log)
    rows = [item.row for item in measured]
    refuse_unusable(source, rows, [file.label for file in found.files], found.empty, least, log)
    reject_duplicates(
        source,
        "items would get the name of another",
        ((item.target.as_posix().casefold(), item.shown) for item in measured),
        "rename one of each"
        + (f", or say {found.told_apart}, which names them by folders" if found.told_apart else ""),
    )
    reject_duplicates(
        source,
        f"pictures {LEAK}",
        ((item.pixels_sha256, item.shown) for item in measured),
        "remove one of each, or give --duplicates drop",
    )
    _note(rows, log)
    _ask_about_single_colours(measured, log)
    check_rims(
        [row["class"] for row in rows],
        [item.shown for item in measured],
        [item.rim for item in measured],
        options,
        log,
    )
    named = [(item.target.as_posix(), item.candidate.shown) for item in measured]
    grouping = grouped(named, found.tables, options, log) if found.divided else grouped_by_file(named, log)
    _note_near_copies(measured, grouping, log)
    masks = kept_masks(source, found.masks, measured, log)
    # every pixel of colour pictures counts in each channel
    values = np.sum([item.histogram for item in measured], axis=0)

    def write(folder: Path) -> None:
        for parent in {(folder / item.target).parent for item in measured}:
            parent.mkdir(parents=True, exist_ok=True)

        def put(item: MeasuredImage) -> None:
            write_picture(item, folder / item.target, reading)

        written = in_order(put, measured, lambda item: item.candidate.path)
        for _ in zip(through(measured, "writing pictures", WRITTEN), written, strict=True):
            pass
        for mask in masks:
            mask.write(folder)
        write_reading(folder, reading)
        if grouping.told:
            write_grouping(folder, grouping)

    def bring(number: int) -> NDArray[np.uint8]:
        return pixels_of(measured[number], reading)

    drawn = [sheet([row["class"] for row in rows], bring), *charts(rows, values)]
    return ParsedSource(rows, summarise(rows, "class", MEASURES), _counts(rows, grouping), drawn, write)


def _measured(
    source: Path, candidates: list[PictureFile], stated: PictureReading, depth: int | None, log: ImportLog
) -> tuple[list[MeasuredImage], PictureReading]:
    """All usable pictures in order; those of more than 8 bits are read again when the white level of all is found.

    Where 16 bits are kept, all are.
    """
    found: dict[int, list[MeasuredImage]] = {}
    deep: dict[int, Extent] = {}
    questions: list[tuple[str, QuestionError]] = []
    outcomes = in_order(or_error(partial(_first_look, stated=stated)), candidates, lambda one: one.path)
    looked = zip(through(candidates, "reading pictures", READ), outcomes, strict=True)
    for number, (candidate, outcome) in enumerate(looked):
        if isinstance(outcome, Extent):
            deep[number] = outcome
        elif isinstance(outcome, QuestionError):
            questions.append((candidate.shown, outcome))
        elif isinstance(outcome, DataError):
            log.quarantine(candidate.shown, str(outcome).replace(str(candidate.path), candidate.shown))
        else:
            found[number] = outcome
    _ask(source, questions)
    where = f"{source}: {len(deep)} picture(s) hold"
    reading = with_white(where, stated, list(deep.values()), len(deep), depth, log)
    again = sorted({*deep, *(found if reading.depth != stated.depth else ())})
    some = [candidates[number] for number in again]
    looks = in_order(or_error(partial(_look, reading=reading)), some, lambda one: one.path)
    for number, look in zip(through(again, "reading pictures of more than 8 bits"), looks, strict=True):
        candidate = candidates[number]
        if isinstance(look, DataError):
            log.quarantine(candidate.shown, str(look).replace(str(candidate.path), candidate.shown))
        else:
            found[number] = look
    return [item for number in sorted(found) for item in found[number]], reading


def _first_look(candidate: PictureFile, stated: PictureReading) -> list[MeasuredImage] | Extent:
    """The pictures in a file of 8 bits, the extent of a deeper one."""
    content = content_of(candidate)
    raw = decode_selected(candidate, stated, content)
    if is_deep(raw.pixels.dtype):
        return extent_of(raw.pixels, raw.bits)
    return measure(candidate, raw, stated, content)


def _look(candidate: PictureFile, reading: PictureReading) -> list[MeasuredImage]:
    """The pictures in a file, by a reading whose white level is known."""
    content = content_of(candidate)
    return measure(candidate, decode_selected(candidate, reading, content), reading, content)


def _ask(source: Path, questions: list[tuple[str, QuestionError]]) -> None:
    if questions:
        more = f" (and {len(questions) - 1} more pictures)" if len(questions) > 1 else ""
        name, first = questions[0]
        raise QuestionError(f"{source}: {name}: {first}{more}", **first.likely)


def _without_copies(measured: list[MeasuredImage], log: ImportLog) -> list[MeasuredImage]:
    """The first of each picture; the others are listed in the quarantine."""
    first: dict[str, str] = {}
    kept = []
    for item in measured:
        if item.pixels_sha256 in first:
            log.quarantine(item.shown, f"the same picture as {first[item.pixels_sha256]}; dropped, as was asked")
        else:
            first[item.pixels_sha256] = item.shown
            kept.append(item)
    return kept


def _ask_about_single_colours(measured: list[MeasuredImage], log: ImportLog) -> None:
    """Ask of pictures that become grey and have values in red, green or blue alone: luma would dim each differently."""
    for channel, (name, luma) in enumerate((("red", "30 %"), ("green", "59 %"), ("blue", "11 %"))):
        found = [item for item in measured if item.only == channel]
        if found:
            log.ask(
                f"{len(found)} of {len(measured)} picture(s), the first {found[0].shown}, have values in {name} alone: "
                f"as grey they would keep {luma} of their level; give --channels {channel} to take that channel",
                "grey by luma",
            )


def _note_near_copies(measured: list[MeasuredImage], grouping: Grouping, log: ImportLog) -> None:
    """List near copies in the rows of statistics.csv, and say what becomes of them."""
    first = near_copies([item.small for item in measured])
    copies = [number for number, other in enumerate(first) if number != other]
    for number in copies:
        measured[number].row["near_copy_of"] = measured[first[number]].shown
    if copies:
        one, other = measured[copies[0]].shown, measured[first[copies[0]]].shown
        what = "each is kept in one part with its original"
        if grouping.parts:
            part = {number: grouping.parts[item.target.as_posix()] for number, item in enumerate(measured)}
            apart = sum(part[number] != part[first[number]] for number in copies)
            what = f"{apart} of them lie in another part than their original, since the source's parts are kept"
        log.notes.append(
            f"{len(copies)} near copies of other pictures ({one} of {other}; column near_copy_of of statistics.csv); "
            + what
        )


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


def _counts(rows: list[Row], grouping: Grouping) -> dict[str, int]:
    classes = len({row["class"] for row in rows if row["class"]})
    groups = {"groups": grouping.count} if grouping.told else {}
    return {"images": len(rows), **({"classes": classes} if classes else {}), **groups}


def _note(rows: list[Row], log: ImportLog) -> None:
    sizes, modes = Counter((row["width"], row["height"]) for row in rows), Counter(row["mode"] for row in rows)
    if len(sizes) > 1:
        common = ", ".join(f"{width} x {height} ({count})" for (width, height), count in sizes.most_common(3))
        log.notes.append(f"{len(sizes)} sizes, the most frequent ones {common}")
    if len(modes) > 1:
        log.notes.append("modes " + ", ".join(f"{mode} ({count})" for mode, count in sorted(modes.items())))
    stacks = len({row["file"] for row in rows if row["frames"] > 1})
    if stacks:
        log.notes.append(f"{stacks} file(s) hold several frames: each became a picture of its own")


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
