"""Classes of picture files: the name of its folder or, where all lie in one folder, `[Class]_[Number]`."""

import re
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path

from vaeforge.data.file_format import named_suffixes, suffixes_of, unread
from vaeforge.data.group_rules import (
    FOLDERS,
    PART_NAMES,
    PARTICIPANTS,
    TABLES,
    folder_levels,
    without_part_folders,
)
from vaeforge.data.layouts.pictures.class_folders import is_normal
from vaeforge.data.picture_masks import find_masks
from vaeforge.data.source_files import listed
from vaeforge.errors import DataError
from vaeforge.importing.folder_levels import ask_about_levels
from vaeforge.importing.import_options import ImportOptions, usable_name
from vaeforge.importing.measured_images import FoundPictures, PictureFile
from vaeforge.importing.parsed_source import ImportLog, shown
from vaeforge.importing.walk_source import walk

NUMBERED = re.compile(r"(?P<label>.+)_\d+")
DATE = re.compile(r"[_\- ]?(?<!\d)((19|20)\d\d[-_.]?[01]\d[-_.]?[0-3]\d|[0-3]\d[-_.][01]\d[-_.](19|20)\d\d)(?!\d)")
NOTES = (*TABLES, ".json", ".xml", ".txt", ".md", ".yaml", ".yml", ".pdf", ".html")  # of a source, beside pictures
IMAGES = ("images", "image", "imgs", "img", "jpegimages")  # folders that say no more than that
NAMELESS = "has no name of the form [Class]_[Number], and lies in no class folder"
ALL = "all"  # `--normal all`: whatever folders and names say
NORMAL = "normal"


def by_class(source: Path, options: ImportOptions, log: ImportLog, grey: bool) -> FoundPictures:
    """The picture files with their classes; `grey`: what they become.

    Where all are said to be normal, they are of the class `normal`, whatever their names and folders are.
    """
    files, folders = walk(require_folder(source), log)
    tables = [path for path in files if path.suffix.lower() in TABLES]
    asked = bool(options.group_column or options.split)
    told = {path for path in tables if asked or path.name == PARTICIPANTS}
    pictures = picture_files([path for path in files if path not in told], source, log)
    known = {path.parent for path in pictures}
    masks = _found_masks(source, pictures, log)
    pictures = [path for path in pictures if path not in masks]
    flat = [path for path in pictures if path.parent == source]
    if flat and len(flat) < len(pictures):
        raise DataError(
            f"{source}: {len(flat)} picture(s) lie beside class folders, must be in one of them; "
            f"move them: {listed([shown(path, source) for path in flat])}"
        )
    has_parts = options.split == FOLDERS or _ask_about_parts(source, pictures, options, log)
    levels = folder_levels(options.groups)
    candidates, nameless = [], []
    telling = ""
    if not (options.groups or options.group_column or ALL in options.normal):
        above = [placed(path.relative_to(source).parts, [], has_parts).folders for path in pictures]
        telling = ask_about_levels(source, above, options.normal, log)
    all_normal = ALL in options.normal and not grey
    for path in pictures:
        place = placed(path.relative_to(source).parts, levels, has_parts)
        place = _of_normal(place) if all_normal else place
        name = shown(path, source)
        if levels and len(place.folders) + 1 != len(levels):
            log.quarantine(name, f"lies {len(place.folders)} folder(s) deep, --groups {options.groups} asks for others")
            continue
        label = composed(place.label) if all_normal or not flat else _from_name(path)
        problem = usable_name(label) if label else NAMELESS
        if problem:
            nameless += [] if label else [name]
            log.quarantine(name, f"class {label!r} {problem}" if label else problem)
        else:
            written = "_".join(map(composed, [*place.prefix, path.name]))
            candidates.append(PictureFile(path, name, label, Path(label) / written, grey))
    if flat:
        _ask_about_dates(source, {one.label for one in candidates}, log)
    # a folder is an empty class if nothing is below it, or only files that are neither pictures nor notes about them
    barren = {*folders, *(path.parent for path in files if path.suffix.lower() not in NOTES)} - known - {source}
    leaves = [path for path in sorted(barren) if not any(other.is_relative_to(path) for other in known)]
    found = FoundPictures(candidates, [shown(path, source) for path in leaves], tables, told_apart=telling)
    if grey:
        _leave_out(source, masks, log)
    return found if grey else replace(found, masks=masks, nameless=nameless)


def _ask_about_dates(source: Path, labels: set[str], log: ImportLog) -> None:
    """Ask where classes that names tell, `WT_2023-05-12_001.png`, differ by a date alone."""
    without: dict[str, list[str]] = {}
    for label in sorted(labels):
        without.setdefault(DATE.sub("", label), []).append(label)
    dated = [names for names in without.values() if len(names) > 1]
    if dated:
        log.ask(
            f"{source}: classes {listed([name for names in dated for name in names])} differ by a date only; if the "
            "dates are no classes, put the pictures into a folder per class, or take the dates out of their names",
            f"these are {len(labels)} classes",
        )


def _leave_out(source: Path, masks: dict[Path, Path], log: ImportLog) -> None:
    """List masks where nothing evaluates them."""
    for mask, picture in masks.items():
        log.quarantine(shown(mask, source), f"is a mask of {shown(picture, source)}, which classes have no use for")


def _found_masks(source: Path, pictures: list[Path], log: ImportLog) -> dict[Path, Path]:
    """The picture of each mask; what may be one is asked about."""
    masks = find_masks(pictures, source)
    if masks.doubtful:
        named = listed([shown(path, source) for path in masks.doubtful])
        log.ask(
            f"{source}: {len(masks.doubtful)} pictures are named like masks of others and have more than two levels: "
            f"{named}; take them out of the source if they are masks",
            "they are pictures of the classes that their folders name",
        )
    return masks.of


@dataclass(frozen=True)
class Place:
    """What the folders of a picture say: those that are no part's, its class, and what its name is told apart by.

    `parts` are folders of train, validation or test.
    """

    folders: tuple[str, ...]
    label: str
    prefix: tuple[str, ...]
    parts: tuple[str, ...] = ()


def placed(parts: tuple[str, ...], levels: list[str], has_parts: bool) -> Place:
    """The place of a picture whose path is `parts`, by the levels of folders; else its own folder is its class.

    A folder `images`, as it lies beside `masks`, is not its own.
    """
    folders = without_part_folders(parts[:-1]) if has_parts else parts[:-1]
    own = tuple(part for part in parts[:-1] if has_parts and part.lower() in PART_NAMES)
    if not levels:
        while folders and folders[-1].lower() in IMAGES:
            folders = folders[:-1]
        return Place(folders, folders[-1] if folders else "", own, own)
    known = dict(zip(levels, folders, strict=False))
    groups = [folder for level, folder in known.items() if level != "class"]
    return Place(folders, known.get("class", ""), (*own, *groups), own)


def _of_normal(place: Place) -> Place:
    """The place of a picture that is normal whatever it is called: its folders only tell its name apart."""
    if len(place.folders) == 1 and is_normal(place.label):
        return place
    return replace(place, label=NORMAL, prefix=(*place.parts, *place.folders))


def _ask_about_parts(source: Path, pictures: list[Path], options: ImportOptions, log: ImportLog) -> bool:
    """Whether there are folders of parts, train and test at least; what becomes of them is asked."""
    folders = {part.lower() for path in pictures for part in path.relative_to(source).parts[:-1]}
    if not {"train", "test"} <= {PART_NAMES.get(name) for name in folders}:
        return False
    named = ", ".join(sorted(folders & set(PART_NAMES)))
    if not options.split:
        log.ask(
            f"{source}: has folders {named}; are these the parts to train and to test with? Say --split folders if so",
            "all pictures are divided anew",
        )
    return True


def require_folder(source: Path) -> Path:
    """`source`, if it is a folder.

    Raises:
        DataError: if it is a file.
    """
    if not source.is_dir():
        raise DataError(
            f"{source}: is a file, must be a folder (or an archive) of pictures ({named_suffixes('picture')})"
        )
    return source


def picture_files(files: list[Path], source: Path, log: ImportLog) -> list[Path]:
    """Files with a picture's suffix; the others go into the quarantine."""
    pictures = [path for path in files if path.suffix.lower() in suffixes_of("picture")]
    for path in sorted(set(files) - set(pictures)):
        log.quarantine(shown(path, source), unread(path, "picture"))
    return pictures


def _from_name(path: Path) -> str:
    match = NUMBERED.fullmatch(path.stem)
    return match["label"] if match else ""


def composed(name: str) -> str:
    """Unicode's composed form, in which names that look alike are alike."""
    return unicodedata.normalize("NFC", name)
