"""Prepared data: arrays on disk, and the manifest that says what they are.

Shapes: C channels, H x W pixels; images are uint8 in 0..255. A training item has room for random crops around H x W.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.errors import DataError
from vaeforge.paths import read_json, sha256_of

ARRAYS = ("train", "validation", "test", "test_labels", "test_groups")
REMEDY = "run `vaeforge prepare` again"


@dataclass(frozen=True)
class Prepared:
    """A family's prepared data.

    Attributes:
        folder: where the arrays lie.
        manifest: what `vaeforge prepare` wrote last.
        train: uint8 [N, C, H + margin, W + margin], memory-mapped like the others.
        validation: uint8 [M, C, H, W], normal items only, like `train`.
        test: uint8 [T, C, H, W].
        test_labels: int64 [T], 0 normal, 1 anomalous.
        test_groups: int64 [T], the independent block that an item belongs to: what a bootstrap resamples.
    """

    folder: Path
    manifest: dict[str, Any]
    train: NDArray[np.uint8]
    validation: NDArray[np.uint8]
    test: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    test_groups: NDArray[np.int64]

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one item, [C, H, W]."""
        return tuple(int(size) for size in self.validation.shape[1:])


def load_prepared(folder: Path) -> Prepared:
    """The prepared data in `folder`, each array compared with its SHA-256.

    Raises:
        DataError: if something is missing, altered, or not of the shape and type that it must have.
    """
    manifest = read_manifest(folder)
    arrays = {name: _load(folder / f"{name}.npy", manifest) for name in ARRAYS}
    prepared = Prepared(folder, manifest, **arrays)
    _require_shapes(prepared)
    return prepared


def read_manifest(folder: Path) -> dict[str, Any]:
    """What `vaeforge prepare` wrote last into `folder`.

    Raises:
        DataError: if it is missing or not a JSON object.
    """
    path = folder / "manifest.json"
    manifest = read_json(path, "run `vaeforge prepare`")
    if not isinstance(manifest, dict) or not isinstance(manifest.get("arrays"), dict):
        raise DataError(f"{path}: is not a manifest of prepared data; {REMEDY}")
    return manifest


def _load(path: Path, manifest: dict[str, Any]) -> NDArray[Any]:
    expected = manifest["arrays"].get(path.name)
    if expected is None or not path.is_file():
        raise DataError(f"{path}: not found, or not in {path.parent / 'manifest.json'}; {REMEDY}")
    found = sha256_of(path)
    if found != expected["sha256"]:
        raise DataError(f"{path}: SHA-256 is {found}, must be {expected['sha256']}: the file was altered; {REMEDY}")
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _require_shapes(prepared: Prepared) -> None:
    images = {"train": prepared.train, "validation": prepared.validation, "test": prepared.test}
    for name, array in images.items():
        if array.dtype != np.uint8 or array.ndim != 4 or not len(array):
            raise DataError(
                f"{prepared.folder / name}.npy: is {array.dtype} {array.shape}, must be uint8 [N, C, H, W]; {REMEDY}"
            )
    for name, labels in (("test_labels", prepared.test_labels), ("test_groups", prepared.test_groups)):
        if labels.dtype != np.int64 or labels.shape != (len(prepared.test),):
            wanted = f"int64 [{len(prepared.test)}]"
            raise DataError(
                f"{prepared.folder / name}.npy: is {labels.dtype} {labels.shape}, must be {wanted}; {REMEDY}"
            )
