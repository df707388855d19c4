"""The check for memorised samples: copies are found, honest samples are not, distances are those of scipy."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from vaeforge.errors import DataError
from vaeforge.evaluation import memorization as module
from vaeforge.evaluation.memorization import Nearest, check_memorization, memorization, nearest


def normal(count: int, width: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (count, width))


@pytest.mark.parametrize("chunk_bytes", [1, 8 * 8 * 7, 2**25], ids=["one", "seven", "all"])
def test_nearest_is_that_of_scipy_in_any_chunks(monkeypatch: pytest.MonkeyPatch, chunk_bytes: int) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", chunk_bytes)
    samples, train = normal(23, seed=0) + 100, normal(31, seed=1) + 100
    all_distances = cdist(samples, train) / np.sqrt(8)
    found = nearest(samples, train)
    np.testing.assert_allclose(found.distance, all_distances.min(1), rtol=1e-10)
    np.testing.assert_array_equal(found.neighbour, all_distances.argmin(1))


def test_distances_are_root_mean_squares_in_the_datas_units(tmp_path: Path) -> None:
    train = np.zeros((2, 1, 4, 4), np.uint8)
    train[1] = 200
    np.save(tmp_path / "train.npy", train)
    sample = np.full((1, 1, 4, 4), 190, np.uint8)
    sample[0, 0, 0, 0] = 200  # 15 of 16 pixels are 10 off: sqrt(15 / 16) * 10
    found = nearest(sample, np.load(tmp_path / "train.npy", mmap_mode="r"))
    assert found.distance[0] == pytest.approx(10 * np.sqrt(15 / 16)) and found.neighbour[0] == 1


def test_copies_are_found_all_of_them() -> None:
    train = np.random.default_rng(0).integers(0, 256, (300, 3, 8, 8), dtype=np.uint8)
    held_out = np.random.default_rng(1).integers(0, 256, (200, 3, 8, 8), dtype=np.uint8)
    found = check_memorization(train[50:150], held_out, train)
    assert (found.share_closer, found.share_copies, found.ratio_of_medians) == (1, 1, 0)
    assert (found.generated, found.held_out, found.train, found.space) == (100, 200, 300, "pixels")


def test_near_copies_are_found_and_are_no_copies() -> None:
    train = normal(500)
    found = check_memorization(train[:200] + 0.01 * normal(200, seed=5), normal(500, seed=1), train, "a network")
    assert found.share_closer > 0.99 and found.share_copies == 0 and found.ratio_of_medians < 0.05


def test_fresh_samples_of_the_same_distribution_lie_closer_in_one_of_a_hundred() -> None:
    found = check_memorization(normal(4000, seed=2), normal(4000, seed=1), normal(1000))
    assert found.share_closer == pytest.approx(0.01, abs=0.007)  # three deviations of sqrt(2 * 0.01 / 4000)
    assert found.share_held_out == pytest.approx(0.01, abs=0.0005)
    assert found.ratio_of_medians == pytest.approx(1, abs=0.03)


def test_a_quarter_of_copies_is_a_quarter() -> None:
    train = normal(400)
    generated = np.concatenate([train[:100], normal(300, seed=2)])
    found = check_memorization(generated, normal(1000, seed=1), train)
    assert found.share_copies == 0.25 and found.share_closer == pytest.approx(0.26, abs=0.02)


def test_the_threshold_is_the_first_percentile_of_held_out_distances() -> None:
    held_out = Nearest(np.arange(1.0, 102.0), np.zeros(101, np.int64))  # its percentiles are 1, 2, 3 ... 101
    generated = Nearest(np.array([0.0, 2.0, 2.5, 102.0]), np.zeros(4, np.int64))
    found = memorization(generated, held_out, 10, "features")
    assert found.threshold == 2 and found.share_closer == 0.5 and found.share_copies == 0.25
    assert found.share_held_out == pytest.approx(2 / 101)
    assert found.ratio_of_medians == pytest.approx(2.25 / 51)
    assert found.metrics()["train"] == 10 and "space" not in found.metrics()


def test_held_out_samples_that_were_trained_on_are_refused() -> None:
    train = normal(50)
    with pytest.raises(DataError, match="split the data by group"):
        check_memorization(normal(20, seed=2), train[:20], train)


def test_shapes_that_differ_and_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(DataError, match=r"got \(5, 8\) against \(5, 7\)"):
        nearest(normal(5), normal(5, 7))
    with pytest.raises(DataError, match="N >= 1"):
        nearest(normal(0), normal(5))
    broken = normal(5)
    broken[3, 3] = np.nan
    for pair in ((broken, normal(5)), (normal(5), broken)):
        with pytest.raises(DataError, match=r"samples 0\.\.4 hold values that are not finite"):
            nearest(*pair)
    with pytest.raises(DataError, match="at least 1 of each"):
        memorization(Nearest(np.zeros(0), np.zeros(0, np.int64)), Nearest(np.ones(1), np.zeros(1, np.int64)), 5, "a")
