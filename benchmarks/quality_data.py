"""The data of the quality benchmark: where they lie, what they must be, and how they are divided.

MNIST-5k is a sample of this repository. Fashion-MNIST and the electroluminescence cells are read where a package put
them and never copied into the repository; where they are missing, the error names the commands that fetch them.

Shapes: images uint8 [N, H, W]; labels int64 [N].
"""

import gzip
import hashlib
import io
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vaeforge.errors import DataError

CACHE = Path.home() / ".cache" / "vaeforge-benchmarks"
FASHION = "usr/share/datasets/fashion-mnist"
FASHION_REMEDY = (
    f"install the Debian package dataset-fashion-mnist, or: mkdir -p {CACHE} && cd {CACHE} && "
    "apt-get download dataset-fashion-mnist && dpkg-deb -x dataset-fashion-mnist_*.deb ."
)
CELLS_WHEEL = "elpv_dataset-1.0.0.post1-py3-none-any.whl"
CELLS_SHA256 = "85e31c1126ee9b48e62d3a0232c58f58b2d189b0814a45c13642fa0415af4a4c"
CELLS_REMEDY = f"pip download --no-deps --dest {CACHE} elpv-dataset==1.0.0.post1"
CELLS_FOLDER = "elpv_dataset/data"
Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Labelled:
    """Images and their classes."""

    images: Images
    labels: Labels


@dataclass(frozen=True)
class Cells:
    """Electroluminescence images of monocrystalline cells and their probabilities of a defect, float64 [N]."""

    images: Images
    defect: NDArray[np.float64]


def mnist_5k(root: Path) -> Labelled:
    """The 5,000 digits of the repository's sample, 500 of each class.

    Raises:
        DataError: if they are not there.
    """
    path = root / "data" / "cilia" / "digits" / "images.npz"
    if not path.is_file():
        raise DataError(f"{path}: not found; run `dvc pull`")
    with np.load(path, allow_pickle=False) as archive:
        return Labelled(archive["images"], archive["labels"])


def fashion_mnist() -> tuple[Labelled, Labelled]:
    """The 60,000 training and the 10,000 test images.

    Raises:
        DataError: if they are not there.
    """
    folders = [Path("/") / FASHION, CACHE / FASHION]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        raise DataError(f"{folders[0]}: not found; {FASHION_REMEDY}")
    parts = [(read_idx(folder / f"{name}-images-idx3-ubyte.gz"), read_idx(folder / f"{name}-labels-idx1-ubyte.gz"))
             for name in ("train", "t10k")]  # fmt: skip
    train, test = (Labelled(images, labels.astype(np.int64)) for images, labels in parts)
    return train, test


def read_idx(path: Path) -> NDArray[np.uint8]:
    """An array of bytes in the IDX format (two zero bytes, type 8, rank, sizes, values), gzipped.

    Raises:
        DataError: if it is anything else.
    """
    content = gzip.decompress(path.read_bytes())
    if content[:3] != b"\x00\x00\x08":
        raise DataError(f"{path}: starts with {content[:3]!r}, must be an IDX file of unsigned bytes; fetch it again")
    rank = content[3]
    shape = struct.unpack(f">{rank}I", content[4 : 4 + 4 * rank])
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * rank).reshape(shape)


def mono_cells(side: int, wheel: Path = CACHE / CELLS_WHEEL) -> Cells:
    """The monocrystalline cells, resized with antialiasing to `side` x `side`.

    Raises:
        DataError: if the wheel is not there or not the pinned one.
    """
    if not wheel.is_file():
        raise DataError(f"{wheel}: not found; {CELLS_REMEDY}")
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != CELLS_SHA256:
        raise DataError(f"{wheel}: SHA-256 is {found}, must be {CELLS_SHA256}; {CELLS_REMEDY}")
    with zipfile.ZipFile(wheel) as archive:
        lines = archive.read(f"{CELLS_FOLDER}/labels.csv").decode().splitlines()
        rows = [row for row in map(str.split, lines) if row[2:] == ["mono"]]  # path, probability, kind
        images = [_resized(archive.read(f"{CELLS_FOLDER}/{row[0]}"), side) for row in rows]
    return Cells(np.stack(images), np.array([float(row[1]) for row in rows]))


def _resized(content: bytes, side: int) -> Images:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("L").resize((side, side), Image.Resampling.BOX))


def divided(labels: Labels, share: float, seed: int) -> tuple[Indices, Indices]:
    """Indices of two disjoint parts that hold everything; the second has `share` of each class, rounded."""
    generator = np.random.default_rng(seed)
    first, second = [], []
    for label in np.unique(labels):
        mine = generator.permutation(np.flatnonzero(labels == label))
        count = round(share * len(mine))
        second.append(mine[:count])
        first.append(mine[count:])
    return np.sort(np.concatenate(first)), np.sort(np.concatenate(second))


def one_normal(train: Labelled, test: Labelled, label: int) -> tuple[Images, Images, NDArray[np.bool_]]:
    """One class is normal: its training images, all test images, and which of those are anomalous."""
    return train.images[train.labels == label], test.images, test.labels != label


def one_left_out(train: Labelled, test: Labelled, label: int) -> tuple[Images, Images, NDArray[np.bool_]]:
    """One class is anomalous: the other classes' training images, all test images, and which are anomalous."""
    return train.images[train.labels != label], test.images, test.labels == label


def digit_as_anomaly(data: Labelled, digit: int, share: float, seed: int) -> tuple[Images, Images, NDArray[np.bool_]]:
    """The other digits less a `share`, then that share of them with all images of `digit`, and which are anomalous."""
    others = np.flatnonzero(data.labels != digit)
    kept, held = divided(data.labels[others], share, seed)
    strange = np.flatnonzero(data.labels == digit)
    test = np.concatenate([others[held], strange])
    return data.images[others[kept]], data.images[test], data.labels[test] == digit
