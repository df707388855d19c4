"""Statistics of the images as they came: a CSV with a line an image, one with a line a class.

They are noted while images are read, before anything is cropped, padded or resized, of all that can be read, whichever
part they go to. Widths and heights in pixels; the aspect ratio is width / height.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from vaeforge.csv_cells import csv_text
from vaeforge.paths import write_bytes
from vaeforge.samples import RawImage

IMAGES, CLASSES = "image_statistics.csv", "class_statistics.csv"
MEASURES = ("width", "height", "aspect_ratio")
ALL = "all"  # the line of all classes together
Cell = str | int | float


def write_statistics(folder: Path, images: Sequence[RawImage]) -> list[Path]:
    """Write both files into `folder`, or remove those of earlier data where there are no images; their paths."""
    paths = [folder / IMAGES, folder / CLASSES]
    if not images:
        for path in paths:
            path.unlink(missing_ok=True)
        return []
    write_bytes(paths[0], csv_text(["image", "class", *MEASURES], map(_image_row, images)).encode())
    write_bytes(paths[1], csv_text(_class_head(), _class_rows(images)).encode())
    return paths


def statistics_summary(folder: Path) -> str | None:
    """Where the statistics lie, for people; none where data are no images."""
    names = [name for name in (IMAGES, CLASSES) if (folder / name).is_file()]
    return f"Sizes and aspect ratios of the images as they came: {folder}/{{{','.join(names)}}}" if names else None


def _image_row(image: RawImage) -> list[Cell]:
    return [image.name, image.label, image.width, image.height, _rounded(image.aspect_ratio)]


def _class_head() -> list[str]:
    return ["class", "images", *(f"{name}_{kind}" for name in MEASURES for kind in ("mean", "sd", "min", "max"))]


def _class_rows(images: Sequence[RawImage]) -> list[list[Cell]]:
    """Mean, sample standard deviation (empty for one image) and range of each class, and of all."""
    labels = sorted({image.label for image in images})
    members = {label: [image for image in images if image.label == label] for label in labels}
    return [_class_row(label, some) for label, some in (*members.items(), (ALL, images))]


def _class_row(label: str, images: Sequence[RawImage]) -> list[Cell]:
    row: list[Cell] = [label, len(images)]
    for name in MEASURES:
        values: list[float] = [getattr(image, name) for image in images]
        row += [_rounded(fmean(values)), _rounded(stdev(values)) if len(values) > 1 else ""]
        row += [_rounded(min(values)), _rounded(max(values))]
    return row


def _rounded(value: float) -> str:
    """Six digits."""
    return f"{value:.6g}"
