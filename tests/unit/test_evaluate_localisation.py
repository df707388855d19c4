"""Pixel AUROC and per-region overlap, compared with scikit-learn and with the definition written out slowly."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import label
from sklearn.metrics import roc_auc_score

from vaeforge.evaluation.localisation import localisation, per_region_overlap, pixel_auroc

RNG = np.random.default_rng(0)


def drawn(levels: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Six masks with rectangles, corners that touch and unknown pixels, and maps with `levels` values."""
    masks = np.zeros((6, 12, 14), dtype=np.uint8)
    for mask in masks[:5]:
        row, column = RNG.integers(0, 7, 2)
        mask[row : row + 4, column : column + 3] = 1
        mask[row + 4, column + 3] = 1  # touches by a corner
    masks[3, 0], masks[4] = 255, np.where(RNG.random((12, 14)) < 0.1, 255, masks[4])
    maps = RNG.integers(0, levels, masks.shape) + (masks > 0) * (levels // 3)
    return masks, maps.astype(np.float32)


def slow_pro(masks: NDArray[np.uint8], maps: NDArray[np.float32]) -> float:
    """Bergmann et al. 2021: for each threshold the mean share of each region, over the false-positive rate."""
    points = [(0.0, 0.0)]
    for threshold in sorted(set(maps.reshape(-1).tolist()), reverse=True):
        shares = []
        for mask, error in zip(masks, maps, strict=True):
            regions, count = label(mask == 1, structure=np.ones((3, 3)))
            shares += [float((error[regions == number] >= threshold).mean()) for number in range(1, count + 1)]
        rate = float((maps[masks == 0] >= threshold).mean())
        points.append((rate, float(np.mean(shares))))
    area = 0.0
    for (left, low), (right, high) in itertools.pairwise(points):
        if right <= 0.3:
            area += (right - left) * (low + high) / 2
        elif left < 0.3:
            middle = low + (high - low) * (0.3 - left) / (right - left)
            area += (0.3 - left) * (low + middle) / 2
    return area / 0.3


@pytest.mark.parametrize("levels", [3, 30, 3000])
def test_both_are_what_their_definitions_give(levels: int) -> None:
    masks, maps = drawn(levels)
    known = masks < 2
    assert pixel_auroc(masks, maps) == pytest.approx(roc_auc_score(masks[known], maps[known]), abs=1e-12)
    assert per_region_overlap(masks, maps) == pytest.approx(slow_pro(masks, maps), abs=1e-12)


def test_a_small_region_counts_as_a_large_one() -> None:
    """Of two regions, 1 and 15 pixels, the large one alone is found: PRO 1/2, pixel AUROC (15 + 1/2) / 16 by hand."""
    masks = np.zeros((1, 10, 10), dtype=np.uint8)
    masks[0, 0, 0], masks[0, 5:8, 2:7] = 1, 1
    maps = np.zeros((1, 10, 10), dtype=np.float32)
    maps[0, 5:8, 2:7] = 1
    assert pixel_auroc(masks, maps) == pytest.approx(15.5 / 16)
    # from a rate of 0 and an overlap of 1/2 straight to 1 and 1: at 0.3 it is 0.65
    assert per_region_overlap(masks, maps) == pytest.approx((0.5 + 0.65) / 2)


def test_perfect_maps_and_none_at_all() -> None:
    masks, _ = drawn(3)
    perfect = (masks == 1).astype(np.float32)
    assert localisation(masks, lambda: perfect) == {"test/pixel_auroc": 1.0, "test/pro": pytest.approx(1.0)}
    assert localisation(np.zeros_like(masks), lambda: perfect) == {}
