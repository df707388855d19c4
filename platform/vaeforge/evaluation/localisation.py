"""Localisation of anomalies: how well error maps tell marked pixels from others.

- pixel AUROC   P(map at an anomalous pixel > map at a normal one) + P(equal) / 2, over all pixels of all images
- PRO           per-region overlap (Bergmann et al. 2021, section 4.2): of each connected anomalous region the share of
                its pixels at or above a threshold, the mean over all regions, as a function of the share of normal
                pixels there (false-positive rate); the area under it up to a rate of 0.3, divided by 0.3

The first counts pixels, so that large regions decide; the second counts every region alike. Regions are connected by
edges or corners. Pixels that nobody marked (255) count in neither.

Shapes: T images; masks uint8 [T, H, W], 0 normal, 1 anomalous, 255 unknown; maps float32 [T, H, W].
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from vaeforge.data.picture_masks import ANOMALOUS, NORMAL
from vaeforge.evaluation.auroc import auroc

LIMIT = 0.3  # the largest false-positive rate
CORNERS = np.ones((3, 3), dtype=np.int64)
Masks = NDArray[np.uint8]
Maps = NDArray[np.float32]
Floats = NDArray[np.float64]


def localisation(masks: Masks, maps: Callable[[], Maps]) -> dict[str, float]:
    """`test/pixel_auroc` and `test/pro`; nothing where no pixel, or every known one, is anomalous."""
    if not (masks == ANOMALOUS).any() or not (masks == NORMAL).any():
        return {}
    found = maps()
    return {"test/pixel_auroc": pixel_auroc(masks, found), "test/pro": per_region_overlap(masks, found)}


def pixel_auroc(masks: Masks, maps: Maps) -> float:
    """The area under the ROC curve of all known pixels."""
    known = (masks == NORMAL) | (masks == ANOMALOUS)
    return auroc(masks[known].astype(np.int64), maps[known].astype(np.float64))


def per_region_overlap(masks: Masks, maps: Maps, limit: float = LIMIT) -> float:
    """The area under the mean overlap of regions up to a false-positive rate of `limit`, from 0 to 1."""
    normal = masks == NORMAL
    weights = _weights(masks)
    values = maps.reshape(-1).astype(np.float64)
    order = np.argsort(-values, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(values[order])), len(order) - 1)  # the last pixel of each threshold
    overlap = np.concatenate([[0.0], np.cumsum(weights.reshape(-1)[order])[ends]])
    rate = np.concatenate([[0.0], np.cumsum(normal.reshape(-1)[order])[ends] / normal.sum()])
    return _area(rate, overlap, limit) / limit


def _weights(masks: Masks) -> Floats:
    """What each pixel adds to the mean overlap: 1 / (pixels of its region, times regions); [T, H, W]."""
    weights = np.zeros(masks.shape)
    count = 0
    for mask, weight in zip(masks, weights, strict=True):
        regions, found = label(mask == ANOMALOUS, structure=CORNERS)
        sizes = np.bincount(regions.reshape(-1), minlength=found + 1).astype(np.float64)
        inside = regions > 0
        weight[inside] = 1 / sizes[regions[inside]]
        count += found
    return weights / count


def _area(x: Floats, y: Floats, limit: float) -> float:
    """Under straight lines from point to point, x rising from 0, up to x = `limit`."""
    inside = x < limit
    last = float(np.interp(limit, x, y))
    return float(np.trapezoid(np.append(y[inside], last), np.append(x[inside], limit)))
