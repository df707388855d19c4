"""Pictures of normal and anomalous things: annotated images cut into patches, or a folder per class."""

from pathlib import Path

from vaeforge.config.prepare import Pictures
from vaeforge.data.annotated_images import read_annotated
from vaeforge.data.class_folders import read_folders
from vaeforge.data.dataset import DataSet, Split
from vaeforge.errors import DataError


def read(folder: Path, settings: Pictures) -> DataSet:
    """All items below `folder`, from annotated images or from class folders.

    Raises:
        DataError: naming the part that is empty, or the pictures that are there twice.
    """
    split = read_split(folder, settings)
    return split.data_set()


def read_split(folder: Path, settings: Pictures) -> Split:
    """All items below `folder`, from annotated images and from class folders."""
    annotated = sorted(path.parent for path in folder.rglob("labels.png") if (path.parent / "image.png").is_file())
    split = Split()
    for image in annotated:
        split.extend(read_annotated(image, settings))
    pictures = read_folders(folder, settings, skip=set(annotated))
    if annotated and pictures.train:
        named = ", ".join(str(path.relative_to(folder)) for path in annotated)
        raise DataError(
            f"{folder}: holds annotated images ({named}) beside class folders; they would be mixed into one data set: "
            "remove the one that you do not mean (the sample is in `skin`)"
        )
    split.extend(pictures)
    _require_all(folder, split)
    return split


def _require_all(folder: Path, split: Split) -> None:
    counts = split.counts()
    empty = [name for name in ("train", "validation", "test_normal", "test_anomalous") if not counts[name]]
    if empty:
        listed = "; ".join(f"{name}: {reason}" for name, reason in list(split.quarantined.items())[:5])
        raise DataError(
            f"{folder}: nothing for {', '.join(empty)} (counts {counts}{'; left out: ' + listed if listed else ''}); "
            "add images, or change the shares and sizes of the section `prepare`"
        )
