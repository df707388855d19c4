"""Patches of annotated images: never a pixel in two splits, labels as stated, a balanced test."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vaeforge.data.layouts.pictures.annotated_images import MOSTLY, PURE, read_annotated
from vaeforge.data.layouts.pictures.settings import PictureSettings
from vaeforge.errors import DataError

SETTINGS = PictureSettings(size=16, margin=8, stride=8, validation=0.25, test=0.4)
SAMPLE = Path(__file__).parents[2] / "data/endoscopy/skin"
HEIGHT, WIDTH = 96, 200


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An image whose pixels say where they are: red the row, green the column; the upper third is anomalous."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    image = np.stack([rows, columns, np.zeros_like(rows)], axis=2).astype(np.uint8)
    labels = np.where(rows < 8, 0, np.where(rows < 40, 2, 1)).astype(np.uint8)
    return write(tmp_path / "tissue", image, labels)


def write(folder: Path, image: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Path:
    folder.mkdir()
    Image.fromarray(image).save(folder / "image.png")
    Image.fromarray(labels).save(folder / "labels.png")
    return folder


def pixels_of(patches: list[Any]) -> set[tuple[int, int]]:
    """The (row, column) of every pixel in the patches."""
    return {tuple(place) for patch in patches for place in patch[:2].reshape(2, -1).T.tolist()}


def test_no_pixel_is_in_two_splits(folder: Path) -> None:
    split = read_annotated(folder, SETTINGS)
    train, validation, test = map(pixels_of, (split.train, split.validation, split.test))
    assert train and validation and test
    assert not (train & validation or train & test or validation & test)


def test_each_split_lies_in_its_share_of_the_columns(folder: Path) -> None:
    split = read_annotated(folder, SETTINGS)
    columns = [{column for _, column in pixels_of(items)} for items in (split.train, split.validation, split.test)]
    # 200 columns: train [0, 70), validation [70, 120), test [120, 200)
    assert [(min(c), max(c) < end) for c, end in zip(columns, (70, 120, 200), strict=True)] == [
        (0, True),
        (70, True),
        (120, True),
    ]


def test_sizes_of_patches(folder: Path) -> None:
    split = read_annotated(folder, SETTINGS)
    assert {patch.shape for patch in split.train} == {(3, 24, 24)}
    assert {patch.shape for patch in [*split.validation, *split.test]} == {(3, 16, 16)}


def test_normal_patches_are_pure_and_anomalous_ones_mostly_anomalous(folder: Path) -> None:
    split = read_annotated(folder, SETTINGS)
    normal = [*split.train, *split.validation, *(p for p, k in zip(split.test, split.labels, strict=True) if k == 0)]
    anomalous = [p for p, k in zip(split.test, split.labels, strict=True) if k == 1]
    assert min((patch[0] >= 40).mean() for patch in normal) >= PURE
    assert min(((patch[0] >= 8) & (patch[0] < 40)).mean() for patch in anomalous) >= MOSTLY


def test_the_test_is_balanced_and_spread_over_its_strip(folder: Path) -> None:
    split = read_annotated(folder, SETTINGS)
    counts = split.counts()
    assert counts["test_normal"] == counts["test_anomalous"] > 0
    normal = pixels_of([p for p, k in zip(split.test, split.labels, strict=True) if k == 0])
    assert min(row for row, _ in normal) == 40
    assert max(row for row, _ in normal) == HEIGHT - 1


def test_a_group_is_one_block_of_one_label(folder: Path) -> None:
    split = read_annotated(folder, SETTINGS)
    blocks: dict[str, set[tuple[int, int, int]]] = {}
    for patch, label, group in zip(split.test, split.labels, split.groups, strict=True):
        row, column = int(patch[0, 0, 0]), int(patch[1, 0, 0])
        blocks.setdefault(group, set()).add((label, (row + 8) // 16, (column + 8) // 16))
    assert all(len(places) == 1 for places in blocks.values())
    assert len(set.union(*blocks.values())) == len(blocks)


def test_the_same_files_give_the_same_patches(folder: Path) -> None:
    first, second = read_annotated(folder, SETTINGS), read_annotated(folder, SETTINGS)
    assert first.groups == second.groups
    np.testing.assert_array_equal(np.stack(first.test), np.stack(second.test))


def test_image_and_labels_of_different_sizes_are_refused(tmp_path: Path) -> None:
    image = np.zeros((20, 30, 3), dtype=np.uint8)
    folder = write(tmp_path / "tissue", image, np.zeros((20, 29), dtype=np.uint8))
    with pytest.raises(DataError, match=r"tissue: image.png is \(20, 30\) pixels, labels.png \(20, 29\)"):
        read_annotated(folder, PictureSettings())


def test_the_sample_serves_every_split() -> None:
    counts = read_annotated(SAMPLE, PictureSettings()).counts()
    assert counts == {
        "train": 207,
        "validation": 92,
        "test_normal": 38,
        "test_anomalous": 38,
        "test_normal_groups": 22,
        "test_anomalous_groups": 9,
        "test_masks": 38,
    }


def test_labels_of_test_patches_are_their_masks(folder: Path) -> None:
    split = read_annotated(folder, SETTINGS)
    assert len(split.masks) == len(split.test) > 0
    for pixels, mask in zip(split.test, split.masks, strict=True):
        rows = pixels[0].astype(int)  # red says the row: the first 8 have no label, those before 40 are anomalous
        np.testing.assert_array_equal(mask, np.where(rows < 8, 255, np.where(rows < 40, 1, 0)))
    assert {int(value) for mask in split.masks for value in np.unique(mask)} >= {0, 1}


def test_the_sample_has_masks_of_its_labels() -> None:
    settings = PictureSettings()
    split = read_annotated(SAMPLE, settings)
    with Image.open(SAMPLE / "labels.png") as opened:
        labels = np.asarray(opened)
    with Image.open(SAMPLE / "image.png") as opened:
        image = np.asarray(opened.convert("RGB"))
    side, shown = settings.size, [patch.transpose(1, 2, 0).tobytes() for patch in split.test]
    found = 0
    for row in range(0, image.shape[0] - side + 1, settings.stride):
        for column in range(round(image.shape[1] * (1 - settings.test)), image.shape[1] - side + 1, settings.stride):
            window = np.ascontiguousarray(image[row : row + side, column : column + side]).tobytes()
            if window in shown:
                known = labels[row : row + side, column : column + side]
                expected = np.choose(known, [255, 0, 1])
                np.testing.assert_array_equal(split.masks[shown.index(window)], expected)
                found += 1
    assert found == len(split.test)
