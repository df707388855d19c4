"""Prepared data: arrays on disk, and the manifest that says what they are.

Shapes: N samples; x [N, *event], uint8 or uint16 for images, else float32; conditions float32 [N, C]. A training image
may have room for random crops around the event shape.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vaeforge.data.data_sets import DataSetName
from vaeforge.errors import DataError
from vaeforge.paths import sha256_of, write_json
from vaeforge.provenance import GitState
from vaeforge.records import OPTIONAL, read_record, to_json
from vaeforge.samples import Samples
from vaeforge_models.vae import DataSpec

PARTS = ("train", "validation", "test")
CONSTANTS = "constants.npz"
MASKS = "test_masks"
MANIFEST = "manifest.json"
# what models are trained on, the manifest last
TRAINING_FILES = (*(f"{part}{kind}.npy" for part in PARTS[:2] for kind in ("", "_condition")), CONSTANTS, MANIFEST)
REMEDY = "run `vaeforge prepare` again"


@dataclass(frozen=True)
class PreparedArray:
    """A file of arrays: its SHA-256 and the shape of its array, or the shapes by name where it holds several."""

    sha256: str
    shape: tuple[int, ...] | Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class PcaSpectrum:
    """The largest eigenvalues of the training data's covariance, in model units.

    Attributes:
        dimensions: values of a sample, D.
        total: the sum of all eigenvalues.
        squared_error: eigenvalues of the values themselves, the largest first.
        bernoulli: of (x - p) / sqrt(p (1 - p)) with p the mean value; none where the data do not lie in [0, 1].
    """

    dimensions: int
    total: float
    squared_error: tuple[float, ...]
    bernoulli: tuple[float, ...] | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class PreparedManifest:
    """What `vaeforge prepare` says of its arrays; fields that were not recorded are none or empty.

    Attributes:
        data_identity: hash of the family's files and of the settings they were prepared with.
        data_hash: DVC's of the files; none where they are not what DVC tracks.
        data_source: their folder, relative to the project's root.
        git: the project's commit then.
        configuration: the settings, which depend on the layout of the data.
        configuration_hash: of these.
        event_shape: of one item.
        condition_dim: 0 for data without a condition.
        arrays: by file name.
        counts: how many there are of what, for people.
        info: what a layout's reader notes for evaluation and people: names of classes, channels, units, aspect ratios.
        quarantined: files or items that could not be used, with the reason.
        data_set: which one of the family these are; none for files without a name, and in older manifests.
        spectrum: of the training data.
        extra: keys that this version does not know.
    """

    step: str = "prepare"
    family: str
    data_identity: str
    data_hash: str | None = None
    data_source: str | None = None
    git: GitState | None = None
    configuration: Mapping[str, Any] = field(default_factory=dict)
    configuration_hash: str | None = None
    event_shape: tuple[int, ...] | None = None
    condition_dim: int | None = None
    arrays: Mapping[str, PreparedArray]
    counts: Mapping[str, int] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)
    quarantined: Mapping[str, str] = field(default_factory=dict)
    spectrum: PcaSpectrum | None = None
    data_set: DataSetName | None = field(default=None, metadata=OPTIONAL)
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """A family's prepared data.

    Attributes:
        folder: where the arrays lie.
        manifest: what `vaeforge prepare` wrote last.
        train: memory-mapped like the others.
        validation: of the same kind as `train`.
        test: what a finished model is measured on.
        test_labels: int64 [T], a class of each test sample; for anomalies 0 normal, 1 anomalous.
        test_groups: int64 [T], the independent block that a sample belongs to: what intervals are over.
        constants: float32 arrays fitted on the training samples.
        test_masks: uint8 [T, H, W], 0 normal, 1 anomalous, 255 unknown; none where the data have no masks.
    """

    folder: Path
    manifest: PreparedManifest
    train: Samples
    validation: Samples
    test: Samples
    test_labels: NDArray[np.int64]
    test_groups: NDArray[np.int64]
    constants: dict[str, NDArray[np.float32]]
    test_masks: NDArray[np.uint8] | None = None

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one item."""
        return tuple(int(size) for size in self.validation.stored.shape[1:])

    @property
    def spec(self) -> DataSpec:
        """What models are built from."""
        return spec_of(self.validation, self.constants)


def spec_of(validation: Samples, constants: dict[str, NDArray[np.float32]]) -> DataSpec:
    """The shape of validation samples, which have no room for crops, and the constants as tensors."""
    event = tuple(int(size) for size in validation.stored.shape[1:])
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in constants.items()}
    return DataSpec(event, validation.condition.shape[1], tensors)


def load_prepared(folder: Path) -> Prepared:
    """The prepared data in `folder`, each array compared with its SHA-256.

    Raises:
        DataError: if something is missing, altered, or not of the shape and type that it must have.
    """
    manifest = read_prepared_manifest(folder)
    parts = {
        part: Samples(_array(folder, part, manifest), _array(folder, f"{part}_condition", manifest)) for part in PARTS
    }
    labels, groups = (_array(folder, name, manifest) for name in ("test_labels", "test_groups"))
    prepared = Prepared(
        folder,
        manifest,
        **parts,
        test_labels=labels,
        test_groups=groups,
        constants=_constants(_verified(folder / CONSTANTS, manifest).parent),
        test_masks=_array(folder, MASKS, manifest) if f"{MASKS}.npy" in manifest.arrays else None,
    )
    _require_shapes(prepared)
    return prepared


def load_training(folder: Path) -> tuple[Samples, Samples, DataSpec]:
    """Training and validation samples and what models are built from, without comparing hashes again."""
    train, validation = (
        Samples(*(np.load(folder / f"{part}{kind}.npy", mmap_mode="r") for kind in ("", "_condition")))
        for part in ("train", "validation")
    )
    return train, validation, spec_of(validation, _constants(folder))


def read_prepared_manifest(folder: Path) -> PreparedManifest:
    """What `vaeforge prepare` wrote last into `folder`.

    Raises:
        DataError: if it is missing, not JSON, or lacks something.
    """
    return read_record(PreparedManifest, folder / MANIFEST, "manifest of prepared data", REMEDY)


def write_prepared_manifest(folder: Path, manifest: PreparedManifest) -> None:
    """Write `manifest` into `folder` atomically."""
    write_json(folder / MANIFEST, to_json(manifest))


def _array(folder: Path, name: str, manifest: PreparedManifest) -> NDArray[Any]:
    array: NDArray[Any] = np.load(_verified(folder / f"{name}.npy", manifest), mmap_mode="r", allow_pickle=False)
    return array


def _verified(path: Path, manifest: PreparedManifest) -> Path:
    expected = manifest.arrays.get(path.name)
    if expected is None or not path.is_file():
        raise DataError(f"{path}: not found, or not in {path.parent / MANIFEST}; {REMEDY}")
    found = sha256_of(path)
    if found != expected.sha256:
        raise DataError(f"{path}: SHA-256 is {found}, must be {expected.sha256}: the file was altered; {REMEDY}")
    return path


def _constants(folder: Path) -> dict[str, NDArray[np.float32]]:
    with np.load(folder / CONSTANTS, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _require_shapes(prepared: Prepared) -> None:
    for part in PARTS:
        samples: Samples = getattr(prepared, part)
        x, condition = samples.stored, samples.condition
        if x.dtype not in (np.uint8, np.uint16, np.float32) or x.ndim < 2 or not len(x):
            wanted = "uint8, uint16 or float32 [N, *event]"
            raise DataError(f"{prepared.folder / part}.npy: is {x.dtype} {x.shape}, must be {wanted}; {REMEDY}")
        if condition.dtype != np.float32 or condition.ndim != 2 or len(condition) != len(x):
            found, wanted = f"{condition.dtype} {condition.shape}", f"float32 [{len(x)}, C]"
            raise DataError(f"{prepared.folder / part}_condition.npy: is {found}, must be {wanted}; {REMEDY}")
    masks, images = prepared.test_masks, prepared.test.stored
    if masks is not None and (masks.dtype != np.uint8 or masks.shape != (len(images), *images.shape[2:])):
        wanted = f"uint8 {(len(images), *images.shape[2:])}"
        raise DataError(f"{prepared.folder / MASKS}.npy: is {masks.dtype} {masks.shape}, must be {wanted}; {REMEDY}")
    for name, labels in (("test_labels", prepared.test_labels), ("test_groups", prepared.test_groups)):
        if labels.dtype != np.int64 or labels.shape != (len(prepared.test),):
            wanted = f"int64 [{len(prepared.test)}]"
            raise DataError(
                f"{prepared.folder / name}.npy: is {labels.dtype} {labels.shape}, must be {wanted}; {REMEDY}"
            )
