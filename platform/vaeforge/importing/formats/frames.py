"""Grey pictures in one folder, for the layout `frames`."""

import re
from pathlib import Path

from vaeforge.data.repeated_names import CHANNEL, differing
from vaeforge.data.source_files import listed
from vaeforge.errors import ConfigError
from vaeforge.importing.image_layouts import composed, picture_files, require_folder
from vaeforge.importing.images import read_images
from vaeforge.importing.import_format import ImportFormat
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.measured_images import FoundPictures, PictureFile
from vaeforge.importing.parsed_source import ImportLog, ParsedSource, shown
from vaeforge.importing.walk_source import walk

CALIBRATION = re.compile(
    r"(^|[ _.-])(dark|flat|flat[ _-]?field|background|bg|blank|bias)(?=[ _.-]|\d|$)", re.IGNORECASE
)


def read_frames(source: Path, options: ImportOptions, log: ImportLog) -> ParsedSource:
    """Grey pictures in one folder.

    Raises:
        ConfigError: if groups or parts are asked for, which strips of one field do not have.
        DataError: as `read_images`.
    """
    if options.groups or options.group_column or options.split:
        raise ConfigError(
            "--groups, --group-column, --split: given for frames, which are divided by strips of the field that they "
            "show; leave them away"
        )
    files, _ = walk(require_folder(source), log)
    candidates = []
    for path in picture_files(files, source, log):
        if path.parent == source:
            candidates.append(PictureFile(path, shown(path, source), "", Path(composed(path.name)), grey=True))
        else:
            log.quarantine(shown(path, source), "lies in a folder of its own; frames lie in one folder")
    _ask_about_kinds(source, [candidate.shown for candidate in candidates], log)
    return read_images(source, FoundPictures(candidates, divided=False), options, 2, log)


def _ask_about_kinds(source: Path, names: list[str], log: ImportLog) -> None:
    """Ask about files that are channels of one frame each, and about pictures of no object, by their names."""
    channels = [" = ".join(members) for members in differing(names, CHANNEL).values() if len(members) > 1]
    if channels:
        log.ask(
            f"{source}: {len(channels)} group(s) of names differ in {CHANNEL.what} only: {listed(channels)}; are they "
            "channels of one frame each? Import the files of one channel alone if so",
            "each file is a frame",
        )
    others = [name for name in names if CALIBRATION.search(Path(name).stem)]
    if others:
        log.ask(
            f"{source}: {listed(others)} are called as pictures of no object are, which correct others (dark, flat "
            "field, background); take them out of the source if they are",
            "they are frames as the others",
        )


class FramesFormat(ImportFormat):
    """Grey pictures of one texture."""

    layout = "frames"

    def parse(self, source: Path, options: ImportOptions, log: ImportLog) -> ParsedSource:
        return read_frames(source, options, log)


FORMAT = FramesFormat()
