"""Colour pictures in classes, for the layout `pictures`."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from vaeforge.data.layouts.pictures.class_folders import is_normal
from vaeforge.importing.annotated_images import holds_annotated, read_annotated_source
from vaeforge.importing.image_layouts import by_class
from vaeforge.importing.images import read_images
from vaeforge.importing.import_format import ImportFormat
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.measured_images import FoundPictures, PictureFile
from vaeforge.importing.normal_classes import (
    ask_about_normal,
    called_normal,
    confirm_only_normal,
    outer_folder,
    tell_normal,
)
from vaeforge.importing.parsed_source import ImportLog, ParsedSource, shown


def read_pictures(source: Path, options: ImportOptions, log: ImportLog) -> ParsedSource:
    """Colour pictures in classes, one or more of them `normal` or `normal-…`; others need not be there.

    Where there are annotated images, these alone.

    Raises:
        DataError: as `read_images`.
        QuestionError: if nothing says which classes are normal.
    """
    if holds_annotated(source):
        return read_annotated_source(source, options, log)
    found = by_class(source, options, log, grey=False)
    labels = [candidate.label for candidate in found.files]
    outer = [folder for candidate in found.files if (folder := outer_folder(candidate.shown))]
    chosen = called_normal({*labels, *found.empty}, options.normal, outer)
    ask_about_normal(source, labels, found.nameless, chosen)
    renamed = replace(found, files=[_renamed(candidate, chosen) for candidate in found.files])
    if labels and all(is_normal(candidate.label) for candidate in renamed.files):
        confirm_only_normal(source, labels, outer, options, log)
        renamed = _without_masks(source, renamed, log)
    content = read_images(source, renamed, options, 2, log)
    tell_normal((row["class"] for row in content.items), log)
    return content


def _without_masks(source: Path, found: FoundPictures, log: ImportLog) -> FoundPictures:
    """The pictures alone: what a mask marks is anomalous, and no picture is."""
    for mask, picture in found.masks.items():
        log.quarantine(shown(mask, source), f"a mask of {shown(picture, source)}: marks anomalies, and it is normal")
    return replace(found, masks={})


def _renamed(candidate: PictureFile, normal: Collection[str]) -> PictureFile:
    """The candidate under `normal-<class>` if its class is called normal by the user."""
    if candidate.label not in normal or is_normal(candidate.label):
        return candidate
    label = f"normal-{candidate.label}"
    return replace(candidate, label=label, target=Path(label) / candidate.target.name)


class PicturesFormat(ImportFormat):
    """Colour pictures of normal and anomalous things, or of normal ones alone."""

    layout = "pictures"

    def parse(self, source: Path, options: ImportOptions, log: ImportLog) -> ParsedSource:
        return read_pictures(source, options, log)


FORMAT = PicturesFormat()
