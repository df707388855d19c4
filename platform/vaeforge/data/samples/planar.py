"""The speckle sample: camera images of a speckled specimen under load.

    python -m vaeforge.data.samples.planar [--wheel PATH] [--output data/speckle]

Writes <output>/planar/img_0.png ... img_4.png, 8-bit grey, 582 rows x 1514 columns. All five show the same field of
view, so that images may not be told apart into training and test: split by column. The pixels are the same wherever
this runs; the PNG files' bytes depend on the version of the compressor.
"""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from vaeforge.data.samples.wheels import Wheel, member, opened, run, write_sample
from vaeforge.errors import DataError

WHEEL = Wheel(
    "sun-dic==0.0.35",
    "e960be812abf551086623df78bd6a25ab6bf56297006c90e91a8f2a8b17d95d0",
    "sun_dic-0.0.35.dist-info/licenses/LICENSE",
)
FRAMES = 5
ATTRIBUTION = f"""# Where these images come from

`img_0.png` ... `img_4.png` are `sundic/examples/planar_images/img_0.tif` ... `img_4.tif` of the Python package
SUN-DIC 0.0.35 (https://github.com/gventer/SUN-DIC, PyPI wheel with SHA-256
{WHEEL.sha256}),
copyright (c) 2024 Stellenbosch University, MIT: see LICENSE. They are an example of digital image correlation: a
specimen with a speckle pattern, photographed under load.

Changes: each TIFF was stored as an 8-bit grey PNG, pixel for pixel, by `python -m vaeforge.data.samples.planar`.
All five frames show the same field: training and test must be split by column, not by frame. The pattern is one on a
surface, seen in ordinary light, not laser speckle: the sample tests that the machinery runs on speckled texture.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the sample; returns the exit code."""
    return run("planar", WHEEL, Path("data/speckle"), make_sample, arguments)


def make_sample(wheel: Path | None, output: Path) -> Path:
    """Write the sample into `output`/planar from `wheel`, downloaded if none is given; returns that folder.

    Raises:
        DataError: if the wheel cannot be had, is not the pinned one or a frame is not 8-bit grey.
    """
    with opened(WHEEL, wheel) as archive:
        files = {f"img_{frame}.png": read_frame(archive, frame) for frame in range(FRAMES)}
        return write_sample(output / "planar", files, member(archive, WHEEL.license), ATTRIBUTION)


def read_frame(archive: zipfile.ZipFile, frame: int) -> bytes:
    """One frame as a PNG file."""
    name, buffer = f"sundic/examples/planar_images/img_{frame}.tif", io.BytesIO()
    with Image.open(io.BytesIO(member(archive, name)), formats=["TIFF"]) as image:
        if image.mode != "L":
            raise DataError(f"{name}: got mode {image.mode}, must be L (8-bit grey); give the pinned wheel")
        # without the source's resolution tag: 1 x 1 dpi is a placeholder, not a measurement
        Image.frombytes("L", image.size, image.tobytes()).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


if __name__ == "__main__":
    raise SystemExit(main())
