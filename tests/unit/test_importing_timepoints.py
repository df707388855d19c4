"""4-D volumes some timepoints at a time give what all at once give, however they lie in memory."""

import numpy as np
import pytest

from vaeforge.data import large_arrays
from vaeforge.importing import timepoints
from vaeforge.importing.odd_values import standing_for_missing
from vaeforge.importing.series_axes import neighbour_correlation
from vaeforge.importing.timepoints import matrix_of, varying_voxels

RNG = np.random.default_rng(0)
SHAPE = (4, 3, 5, 11)


@pytest.mark.parametrize("kind", [np.int16, np.float32])
@pytest.mark.parametrize("layout", ["time last in the file", "time first in the file", "turned", "mirrored"])
def test_a_volume_is_read_the_same_in_parts(kind: type, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = RNG.integers(0, 9, SHAPE).astype(kind)
    values[1, 1, :, :] = 3  # constant
    if kind is np.float32:
        values[2, 2, :2, :] = np.nan
        values[3, 1, 1, 4:] = np.nan
    whole = {
        "time last in the file": np.asfortranarray(values),
        "time first in the file": np.ascontiguousarray(values),
        "turned": np.moveaxis(np.ascontiguousarray(np.moveaxis(values, 1, 0)), 0, 1),
        "mirrored": np.asfortranarray(values[::-1])[::-1],
    }[layout]
    monkeypatch.setattr(timepoints, "AT_ONCE", 3 * values[..., 0].nbytes)
    varying = varying_voxels(whole)
    np.testing.assert_array_equal(varying, np.fmax.reduce(values, axis=-1) > np.fmin.reduce(values, axis=-1))
    matrix = matrix_of(whole, varying)
    assert matrix.dtype == kind and matrix.flags.c_contiguous
    np.testing.assert_array_equal(matrix, values[varying].T)


def test_columns_of_a_mapped_array_are_those_of_one_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_arrays, "AT_ONCE", 100)
    values, chosen = RNG.normal(size=(37, 9)).astype(np.float32), np.array([8, 0, 3])
    mapped = large_arrays.room(values.shape, values.dtype, large=1)
    mapped[...] = values
    np.testing.assert_array_equal(large_arrays.chosen_columns(mapped, chosen), values[:, chosen])
    for axis in (0, 1):
        assert neighbour_correlation(mapped, axis) == pytest.approx(neighbour_correlation(values.copy(), axis))


@pytest.mark.parametrize(
    ("put", "found"), [([-999] * 3, -999.0), ([-999] * 2, None), ([99] * 5, None), ([-999] * 3 + [9999] * 4, 9999.0)]
)
def test_a_number_that_stands_for_missing_values_is_found_in_parts(
    put: list[float], found: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """99 is not far from numbers about 90; of two, the lowest has the other one among its others."""
    values = RNG.normal(80, 5, (50, 8)).astype(np.float32)
    values[np.arange(len(put)) * 3, 2] = put
    values[4, 4] = np.nan
    monkeypatch.setattr(large_arrays, "AT_ONCE", 64)
    assert standing_for_missing(values) == found
    assert standing_for_missing(values.reshape(-1)) == found
