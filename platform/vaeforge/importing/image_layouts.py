"""Classes of picture files: the name of its folder or, where all lie in one folder, `[Class]_[Number]`."""

import re
import unicodedata
from pathlib import Path

from vaeforge.data.images import SUFFIXES
from vaeforge.data.source_files import listed
from vaeforge.errors import DataError
from vaeforge.importing.images import PictureFile
from vaeforge.importing.import_options import usable_name
from vaeforge.importing.parsed_source import ImportLog, shown
from vaeforge.importing.walk_source import walk

NUMBERED = re.compile(r"(?P<label>.+)_\d+")


NAMELESS = "has no name of the form [Class]_[Number], and lies in no class folder"


def by_class(source: Path, log: ImportLog, suffix: str) -> tuple[list[PictureFile], list[str]]:
    """The picture files with their classes, and the classes without any; `suffix` is the new one, empty: as it is."""
    files, folders = walk(require_folder(source), log)
    pictures = picture_files(files, source, log)
    flat = [path for path in pictures if path.parent == source]
    if flat and len(flat) < len(pictures):
        raise DataError(
            f"{source}: {len(flat)} picture(s) lie beside class folders, must be in one of them; "
            f"move them: {listed([shown(path, source) for path in flat])}"
        )
    candidates = []
    for path in pictures:
        label = composed(_from_name(path) if flat else path.parent.name)
        problem = usable_name(label) if label else NAMELESS
        if problem:
            log.quarantine(shown(path, source), f"class {label!r} {problem}" if label else problem)
        else:
            target = Path(label) / (composed(path.stem) + (suffix or path.suffix))
            candidates.append(PictureFile(path, shown(path, source), label, target))
    # a folder is an empty class if nothing is below it, or only files that are no pictures
    known = {path.parent for path in pictures}
    barren = {*folders, *(path.parent for path in files)} - known - {source}
    leaves = [path for path in sorted(barren) if not any(other.is_relative_to(path) for other in known)]
    return candidates, [shown(path, source) for path in leaves]


def require_folder(source: Path) -> Path:
    """`source`, if it is a folder.

    Raises:
        DataError: if it is a file.
    """
    if not source.is_dir():
        raise DataError(f"{source}: is a file, must be a folder (or an archive) of pictures ({', '.join(SUFFIXES)})")
    return source


def picture_files(files: list[Path], source: Path, log: ImportLog) -> list[Path]:
    """Files with a picture's suffix; the others go into the quarantine."""
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES]
    for path in sorted(set(files) - set(pictures)):
        log.quarantine(shown(path, source), f"its suffix is none of {', '.join(SUFFIXES)}")
    return pictures


def _from_name(path: Path) -> str:
    match = NUMBERED.fullmatch(path.stem)
    return match["label"] if match else ""


def composed(name: str) -> str:
    """Unicode's composed form, in which names that look alike are alike."""
    return unicodedata.normalize("NFC", name)
