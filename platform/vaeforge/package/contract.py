"""Contract of a packaged model: what its inputs and outputs mean, as contract.json holds it. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaeforge.data.source_reading import SourceReading
from vaeforge.data.voxels import SourceVoxels
from vaeforge.errors import RegistryError
from vaeforge.package.input_statistics import InputStatistics
from vaeforge.paths import write_json
from vaeforge.records import OPTIONAL, read_record, to_json

CONTRACT = "contract.json"
REMEDY = "export or download the model again"


@dataclass(frozen=True)
class GraphFile:
    """One graph of a bundle: its file, what goes in and comes out by name and shape (None: any size), its precision.

    `data` is the SHA-256 of the file with its weights, by name; none where they lie in the graph.
    """

    file: str
    inputs: Mapping[str, tuple[int | None, ...]]
    outputs: Mapping[str, tuple[int | None, ...]]
    precision: str
    sha256: str
    data: Mapping[str, str] | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True)
class PictureDifference:
    """How far the graph `picture` differs from the way of prepare, score and serve, on pictures of several sizes.

    `levels` is the largest difference of a sample's values, of 255; `share` that of values which differ at all.
    """

    levels: float
    share: float


@dataclass(frozen=True)
class PictureInput:
    """The way of a picture to the model, as prepare, score and serve take it.

    Attributes:
        orientation: what is done with the tag of that name (EXIF, TIFF).
        colour: `RGB`, or the formula of grey.
        black: the value that becomes 0 in pictures of more than 8 bits.
        white: the value that becomes the largest level in them; none: no training picture had more than 8 bits.
        pages: what the pages of a file are; empty: files have one.
        channels: those that are taken; empty: all.
        crop: what is kept of a picture before it is resized.
        resize: the filter, with its coefficient.
        resize_to: side of the resized square in pixels; none where pictures are not resized.
        centre: side of the middle square that is kept of that; none where nothing is cut off.
        steps: all of it in order, for people.
        graph: how exactly the graph `picture` does the same; none where there is no such graph.
        depth: bits of a level, 8 or 16; of 16, raw units are levels / 257.
        clip: whether values outside of black and white become these; else pictures with many such are refused.
    """

    orientation: str
    colour: str
    black: float
    white: float | None
    pages: str
    channels: tuple[str, ...]
    crop: str
    resize: str
    resize_to: int | None = None
    centre: int | None = None
    steps: tuple[str, ...] = ()
    graph: PictureDifference | None = field(default=None, metadata=OPTIONAL)
    depth: int = field(default=8, metadata=OPTIONAL)
    clip: bool = field(default=False, metadata=OPTIONAL)


@dataclass(frozen=True)
class Contract:
    """What a model's inputs and outputs mean.

    Attributes:
        family, task: the kind of model, and what it is evaluated by.
        data: the layout of files that it was trained on: pictures, classes, frames, series or points.
        prepare: the settings by which those files became arrays.
        cut: whether samples are patches of larger pictures.
        event_shape: of one sample, raw units.
        condition: what each value of a sample's condition means: class names, or coordinates; empty for none.
        channels: names of a sample's values, where they have names.
        latent_dim: of mu and logvar.
        threshold: score above which a sample counts as anomalous, chosen so that a share `quantile` of normal samples
            lies below it (`evaluation/threshold.py`).
        quantile: see `threshold`.
        graphs: by name; `model` (x to reconstruction, mu, logvar, score) is always among them.
        data_set: what the data are called that it learned from; none for files without a name, and in older contracts.
        missing: whether values of a sample may be missing (NaN), as in the training data: they are in neither encoding
            nor score; none for no, and in older contracts.
        plane: of `points`: whether all lie in the plane z = 0, so that tables need no z; none for no, and in older
            contracts.
        source_voxels: of `series`: which voxels of volumes, or columns of matrices, of the imported source are a
            sample's values; none where they are all columns of matrices, and in older contracts.
        source_reading: of points and series: how files are read that are like the imported source, where options said
            so; none where none did, and in older contracts.
        statistics: of the training samples, with which inputs are compared; none in older contracts, and where there
            are too few samples.
        threshold_rate: the largest expected share of normal samples above the threshold; none in older contracts.
        pictures: how pictures become samples; none for other data, and in older contracts.
    """

    family: str
    task: str
    data: str
    prepare: Mapping[str, Any]
    cut: bool
    event_shape: tuple[int, ...]
    condition: tuple[str, ...]
    channels: tuple[str, ...]
    latent_dim: int
    threshold: float
    quantile: float
    graphs: Mapping[str, GraphFile]
    threshold_rate: float | None = field(default=None, metadata=OPTIONAL)
    data_set: str | None = field(default=None, metadata=OPTIONAL)
    missing: bool | None = field(default=None, metadata=OPTIONAL)
    plane: bool | None = field(default=None, metadata=OPTIONAL)
    source_voxels: SourceVoxels | None = field(default=None, metadata=OPTIONAL)
    source_reading: SourceReading | None = field(default=None, metadata=OPTIONAL)
    pictures: PictureInput | None = field(default=None, metadata=OPTIONAL)
    statistics: InputStatistics | None = field(default=None, metadata=OPTIONAL)


def read_contract(path: Path) -> Contract:
    """The contract at `path`.

    Raises:
        DataError: if it is missing or not JSON.
        RegistryError: if it lacks something.
    """
    return read_record(Contract, path, "contract of a model", REMEDY, RegistryError)


def write_contract(path: Path, contract: Contract) -> None:
    """Write `contract` to `path` atomically."""
    write_json(path, to_json(contract))
