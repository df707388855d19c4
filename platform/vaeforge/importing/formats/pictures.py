"""Colour pictures in classes, for the layout `pictures`."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from vaeforge.data.layouts.pictures.class_folders import is_normal
from vaeforge.errors import DataError
from vaeforge.importing.image_layouts import by_class
from vaeforge.importing.images import read_images
from vaeforge.importing.import_format import ImportFormat
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.measured_images import PictureFile
from vaeforge.importing.normal_classes import ask_about_normal, tell_normal
from vaeforge.importing.parsed_source import ImportLog, ParsedSource


def read_pictures(source: Path, options: ImportOptions, log: ImportLog) -> ParsedSource:
    """Colour pictures in classes, one or more of them `normal` or `normal-…`.

    Raises:
        DataError: as `read_images`; or if there is no normal or no anomalous class.
    """
    found = by_class(source, options, log, grey=False)
    renamed = [_renamed(candidate, options.normal) for candidate in found.files]
    names = {candidate.label for candidate in found.files} | set(found.empty)
    unknown = sorted(set(options.normal) - names)
    if unknown:
        raise DataError(f"--normal: got {', '.join(unknown)}, must be among the classes {', '.join(sorted(names))}")
    ask_about_normal(source, (candidate.label for candidate in found.files), options.normal)
    content = read_images(source, replace(found, files=renamed), options, 2, log)
    normal = {is_normal(row["class"]) for row in content.items}
    if normal != {True, False}:
        missing = "normal" if normal == {False} else "anomalous"
        raise DataError(
            f"{source}: no class is {missing} (classes {', '.join(sorted({row['class'] for row in content.items}))}); "
            "`normal` and `normal-…` are normal, all others anomalous: rename folders, or give --normal CLASS"
        )
    tell_normal((row["class"] for row in content.items), log)
    return content


def _renamed(candidate: PictureFile, normal: Collection[str]) -> PictureFile:
    """The candidate under `normal-<class>` if its class is called normal by the user."""
    if candidate.label not in normal or is_normal(candidate.label):
        return candidate
    label = f"normal-{candidate.label}"
    return replace(candidate, label=label, target=Path(label) / candidate.target.name)


class PicturesFormat(ImportFormat):
    """Colour pictures of normal and anomalous things."""

    layout = "pictures"

    def parse(self, source: Path, options: ImportOptions, log: ImportLog) -> ParsedSource:
        return read_pictures(source, options, log)


FORMAT = PicturesFormat()
