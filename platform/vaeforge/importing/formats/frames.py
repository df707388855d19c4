"""Grey pictures in one folder, for the layout `frames`."""

from pathlib import Path

from vaeforge.errors import ConfigError
from vaeforge.importing.image_layouts import composed, picture_files, require_folder
from vaeforge.importing.images import read_images
from vaeforge.importing.import_format import ImportFormat
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.measured_images import FoundPictures, PictureFile
from vaeforge.importing.parsed_source import ImportLog, ParsedSource, shown
from vaeforge.importing.walk_source import walk


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
    return read_images(source, FoundPictures(candidates), options, 2, log)


class FramesFormat(ImportFormat):
    """Grey pictures of one texture."""

    layout = "frames"

    def parse(self, source: Path, options: ImportOptions, log: ImportLog) -> ParsedSource:
        return read_frames(source, options, log)


FORMAT = FramesFormat()
