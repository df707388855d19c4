"""Grey pictures in one folder, for the layout `frames`."""

from pathlib import Path

from vaeforge.importing.image_layouts import composed, picture_files, require_folder
from vaeforge.importing.images import PictureFile, read_images
from vaeforge.importing.import_format import ImportFormat
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.parsed_source import ImportLog, ParsedSource, shown
from vaeforge.importing.walk_source import walk


def read_frames(source: Path, log: ImportLog) -> ParsedSource:
    """Grey pictures in one folder.

    Raises:
        DataError: as `read_images`.
    """
    files, _ = walk(require_folder(source), log)
    candidates = []
    for path in picture_files(files, source, log):
        if path.parent == source:
            candidates.append(PictureFile(path, shown(path, source), "", Path(composed(path.stem) + ".png")))
        else:
            log.quarantine(shown(path, source), "lies in a folder of its own; frames lie in one folder")
    return read_images(source, candidates, (), grey=True, least=2, log=log)


class FramesFormat(ImportFormat):
    """Grey pictures of one texture."""

    layout = "frames"

    def parse(self, source: Path, options: ImportOptions, log: ImportLog) -> ParsedSource:
        return read_frames(source, log)


FORMAT = FramesFormat()
