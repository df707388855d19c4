"""Annotated images of an import: folders with image.png and labels.png, which says of each pixel what it shows.

Labels are 0 unlabelled, 1 normal and 2 anomalous. Where nothing is 2, a lab may have meant 1 for anomalous, or have
images of normal things alone: which is asked.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vaeforge.data.file_format import suffixes_of
from vaeforge.data.images import read_labels
from vaeforge.data.label_values import ANOMALOUS, NORMAL, ONLY_NORMAL
from vaeforge.data.layouts.pictures.annotated_images import ANNOTATED, annotated_folders
from vaeforge.data.source_files import listed
from vaeforge.errors import DataError
from vaeforge.importing.image_layouts import ALL, composed
from vaeforge.importing.images import read_images
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.measured_images import FoundPictures, PictureFile
from vaeforge.importing.parsed_source import ImportLog, ParsedSource, shown
from vaeforge.importing.walk_source import walk

IMAGE, LABELS = "image.png", "labels.png"


def holds_annotated(source: Path) -> bool:
    """Whether there is an annotated image in the folder `source`."""
    found = annotated_folders(source) if source.is_dir() else []
    return any(not any(part.startswith(".") for part in folder.relative_to(source).parts) for folder in found)


def read_annotated_source(source: Path, options: ImportOptions, log: ImportLog) -> ParsedSource:
    """The annotated images in `source`, which are copied as they are.

    Raises:
        DataError: if there are other pictures beside them, an image and its labels differ in size, labels have a value
            that means nothing, or as `read_images`.
    """
    files = walk(source, log)[0]
    folders = sorted(
        {path.parent for path in files if path.name == LABELS} & {path.parent for path in files if path.name == IMAGE}
    )
    own = {folder / name for folder in folders for name in (IMAGE, LABELS)}
    others = [
        shown(path, source) for path in files if path not in own and path.suffix.lower() in suffixes_of("picture")
    ]
    if others:
        raise DataError(
            f"{source}: holds {len(folders)} annotated image(s) ({IMAGE} with {LABELS}) beside {len(others)} other "
            f"picture(s); import one of these alone: {listed(others)}"
        )
    for path in sorted(set(files) - own):
        log.quarantine(shown(path, source), f"is neither {IMAGE} nor {LABELS}")
    targets = {folder: _target(folder, source) for folder in folders}
    pictures = [
        PictureFile(folder / IMAGE, shown(folder / IMAGE, source), ANNOTATED, targets[folder] / IMAGE, False)
        for folder in folders
    ]
    content = read_images(source, FoundPictures(pictures), options, 1, log)
    usable = [folder for folder in folders if shown(folder / IMAGE, source) in {row["file"] for row in content.items}]
    _check_labels(source, usable, {row["file"]: (row["height"], row["width"]) for row in content.items}, options, log)

    def write(folder: Path) -> None:
        content.write(folder)
        for one in usable:
            (folder / targets[one] / LABELS).write_bytes((one / LABELS).read_bytes())

    return replace(content, write=write, cut=True)


def _target(folder: Path, source: Path) -> Path:
    """Where an annotated image lies in the data set: in one folder for each."""
    return Path("_".join(map(composed, folder.relative_to(source).parts)) or ANNOTATED)


def _check_labels(
    source: Path, folders: Sequence[Path], sizes: dict[str, tuple[int, int]], options: ImportOptions, log: ImportLog
) -> None:
    """Refuse labels of another size than their image, and say what they mark; ask where they mark no anomaly."""
    counts = np.zeros(3, dtype=np.int64)
    for folder in folders:
        labels, size = read_labels(folder / LABELS), sizes[shown(folder / IMAGE, source)]
        if labels.shape != size:
            raise DataError(
                f"{source}: {shown(folder / LABELS, source)} is {labels.shape[1]} x {labels.shape[0]} pixels, must be "
                f"{size[1]} x {size[0]}, as its image"
            )
        counts += np.bincount(labels.reshape(-1), minlength=3)
    unlabelled, normal, anomalous = (f"{share:.1%}" for share in counts / counts.sum())
    if counts[ANOMALOUS]:
        log.notes.append(f"labels: {normal} of the pixels normal, {anomalous} anomalous, {unlabelled} without a label")
        return
    if ALL not in options.normal:
        log.ask(
            f"{source}: {LABELS} marks no pixel as anomalous ({ANOMALOUS}); {normal} are {NORMAL}, which is normal, "
            f"and {unlabelled} are 0, which is without a label: give `--normal {ALL}` if nothing is anomalous, else "
            f"write {NORMAL} for normal and {ANOMALOUS} for anomalous pixels",
            "all pixels with a label are normal",
        )
    log.notes.append(f"labels: {normal} of the pixels normal, none anomalous; {ONLY_NORMAL}")
