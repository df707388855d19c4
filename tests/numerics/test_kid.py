"""KID and its intervals against double loops, torchmetrics and known distributions, and the table that holds it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torchmetrics.image.kid import poly_mmd

from vaeforge.errors import DataError
from vaeforge.evaluation import distribution_table as tables
from vaeforge.evaluation import kid as evaluate_kid
from vaeforge.evaluation.comparison import REAL
from vaeforge.evaluation.distribution_table import distribution_table
from vaeforge.evaluation.extractor import Features, ungrouped
from vaeforge.evaluation.kid import KidEstimate, kid, kid_draws, kid_estimate, resampled


def normal(count: int, width: int = 6, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, (count, width))


def named(values: np.ndarray, name: str = "network", weights: str = "abc") -> Features:
    return ungrouped(values, name, weights)


def bootstrap_kid(real: Features, row: Features, real_seed: int, row_seed: int, draws: int = 500) -> KidEstimate:
    pair = resampled(real, real_seed, draws), resampled(row, row_seed, draws)
    return kid_estimate(kid_draws(*pair), *pair)


def slow_kid(x: np.ndarray, y: np.ndarray) -> float:
    def mean(a: np.ndarray, b: np.ndarray, same: bool) -> float:
        pairs = [(i, j) for i in range(len(a)) for j in range(len(b)) if not (same and i == j)]
        return sum((float(a[i] @ b[j]) / a.shape[1] + 1) ** 3 for i, j in pairs) / len(pairs)

    return mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)


@pytest.mark.parametrize("counts", [(7, 7), (9, 5), (2, 3)])
def test_kid_is_that_of_a_double_loop(counts: tuple[int, int]) -> None:
    x, y = normal(counts[0], seed=0), normal(counts[1], seed=1, shift=0.5)
    assert kid(x, y) == pytest.approx(slow_kid(x, y), rel=1e-11)


def test_kid_over_chunks_is_that_of_torchmetrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_kid, "CHUNK", 7)
    x, y = normal(40, seed=0), normal(40, seed=1, shift=0.5)
    assert kid(x, y) == pytest.approx(float(poly_mmd(torch.from_numpy(x), torch.from_numpy(y))), rel=1e-11)


def test_kid_of_one_distribution_is_zero_on_average() -> None:
    drawn = [kid(normal(30, seed=2 * i), normal(30, seed=2 * i + 1)) for i in range(200)]
    assert min(drawn) < 0 < max(drawn)
    assert abs(np.mean(drawn)) < 3 * np.std(drawn) / math.sqrt(200)


def test_the_bootstrap_starts_from_kid_itself_however_samples_are_grouped() -> None:
    x, y = normal(24, seed=0), normal(24, seed=1, shift=0.4)
    for size in (1, 2, 3):
        groups = np.random.default_rng(size).permutation(np.arange(24) // size)
        pair = [replace(named(values), groups=groups) for values in (x, y)]
        assert bootstrap_kid(*pair, 0, 1).value == pytest.approx(kid(x, y), rel=1e-10)


def slow_grouped_kid(x: Features, y: Features, drawn: list[list[int]]) -> float:
    """KID of the samples of drawn groups, each draw a group of its own, copies of a group never paired."""

    def gather(one: Features, groups: list[int]) -> list[tuple[int, int, np.ndarray]]:
        return [(k, g, v) for k, g in enumerate(groups) for v in one.values[one.groups == g]]

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return (float(a @ b) / len(a) + 1) ** 3

    def within(items: list[tuple[int, int, np.ndarray]]) -> float:
        chosen = [
            kernel(items[i][2], items[j][2])
            for i in range(len(items))
            for j in range(len(items))
            if i != j and (items[i][0] == items[j][0] or items[i][1] != items[j][1])
        ]
        return float(np.mean(chosen))

    first, second = gather(x, drawn[0]), gather(y, drawn[1])
    cross = float(np.mean([kernel(a[2], b[2]) for a in first for b in second]))
    return within(first) + within(second) - 2 * cross


def test_a_draw_of_groups_is_that_of_a_double_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = np.repeat(np.arange(8), [3, 1, 2, 1, 2, 1, 1, 2])
    x = Features(normal(13, 4, 0), groups, "network", "abc")
    y = Features(normal(13, 4, 1, 0.5), groups[::-1].copy(), "network", "abc")
    drawn = [[0, 0, 0, 2, 3, 3, 6, 7], [1, 1, 2, 4, 4, 5, 0, 7]]
    counts = [np.bincount(one, minlength=8).astype(float)[None] for one in drawn]
    iterator = iter(counts)
    monkeypatch.setattr(evaluate_kid, "_draw", lambda *_: next(iterator))
    interval = bootstrap_kid(x, y, 0, 1, draws=1).interval
    assert interval is not None
    assert interval.low == interval.high == pytest.approx(slow_grouped_kid(x, y, drawn), rel=1e-10)


def test_about_ninety_five_of_a_hundred_intervals_hold_the_true_kid() -> None:
    shift, width, covered = 0.7, 4, 0
    big_x, big_y = normal(6000, width, 91), normal(6000, width, 92, shift)
    truth = kid(big_x, big_y)
    for i in range(100):
        pair = named(normal(60, width, 2 * i)), named(normal(60, width, 2 * i + 1, shift))
        interval = bootstrap_kid(*pair, 0, 1, draws=200).interval
        assert interval is not None
        covered += interval.low <= truth <= interval.high
    assert 88 <= covered <= 100


def test_samples_that_repeat_each_other_widen_the_interval() -> None:
    x, y = normal(40, seed=0), normal(40, seed=1, shift=0.5)
    widths = []
    for copies in (1, 5):
        groups = np.repeat(np.arange(40), copies)
        pair = [Features(np.repeat(one, copies, 0), groups, "network", "abc") for one in (x, y)]
        interval = bootstrap_kid(*pair, 0, 1).interval
        naive = bootstrap_kid(*(replace(one, groups=np.arange(len(groups))) for one in pair), 0, 1).interval
        assert interval is not None and naive is not None
        widths.append((interval.high - interval.low, naive.high - naive.low))
    assert widths[1][0] > 1.5 * widths[1][1]  # sqrt(5) for independent copies, less what they share
    assert widths[1][0] == pytest.approx(widths[0][0], rel=0.35)


def test_seven_groups_give_no_interval() -> None:
    pair = [Features(normal(21, seed=i), np.arange(21) // 3, "network", "abc") for i in (0, 1)]
    assert bootstrap_kid(*pair, 0, 1).interval is None


def test_the_table_cuts_all_rows_to_the_smallest_and_puts_real_first() -> None:
    near, far = named(normal(80, seed=2)), named(normal(64, seed=3, shift=1.0))
    table = distribution_table(named(normal(90, seed=0)), named(normal(70, seed=1)), {"near": near, "far": far}, 5)
    assert [row.name for row in table.rows] == [REAL, "near", "far"]
    assert (table.n, table.kid_n, table.headline, table.weights) == (64, 64, "KID (network)", "abc")
    real, close, apart = table.rows
    assert apart.kid_low is not None and apart.kid_high is not None and real.kid_high is not None
    assert apart.kid_low > max(real.kid_high, 0) and apart.kid_low < apart.kid < apart.kid_high
    # means 1 apart in 6 dimensions: 6, and the same upward bias as real against real
    assert apart.frechet == pytest.approx(6 + real.frechet, abs=1.5)
    assert close.frechet < 2 * real.frechet


def test_the_table_depends_on_its_seed_and_no_row_on_another() -> None:
    a, b, row = (named(normal(count, seed=i)) for i, count in enumerate((40, 40, 50)))
    once, again = (distribution_table(a, b, {"row": row}, seed=3) for _ in range(2))
    assert once == again != distribution_table(a, b, {"row": row}, seed=4)
    assert distribution_table(a, b, {"other": row, "row": row}, seed=3).rows[2] == once.rows[1]


def test_from_a_fixed_number_of_samples_on_the_headline_is_frechet(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tables.FRECHET_FROM == 2560
    monkeypatch.setattr(tables, "FRECHET_FROM", 40)
    a, b, row = (named(normal(count, 2, i)) for i, count in enumerate((50, 51, 70)))
    table = distribution_table(a, b, {"row": row}, 0)
    assert (table.n, table.kid_n, table.headline) == (50, 40, "Fréchet distance (network)")
    below = distribution_table(a, b, {"row": named(normal(39, 2, 3))}, 0)
    assert (below.n, below.kid_n, below.headline) == (39, 39, "KID (network)")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (named(normal(9), name="other"), "extractor: got other, must be network"),
        (named(normal(9), weights="def"), "weights: got def, must be abc"),
        (named(normal(9, 5)), "features: got 5, must be 6"),
    ],
)
def test_rows_of_another_extractor_are_refused(row: Features, said: str) -> None:
    with pytest.raises(DataError, match=said):
        distribution_table(named(normal(9)), named(normal(9)), {"row": row}, 0)


def test_a_row_may_not_pose_as_real() -> None:
    with pytest.raises(DataError, match="real against real"):
        distribution_table(named(normal(9)), named(normal(9)), {REAL: named(normal(9))}, 0)


def test_sets_of_other_widths_or_of_one_sample_are_refused() -> None:
    for pair in ((normal(5, 3), normal(5, 4)), (normal(1), normal(5))):
        with pytest.raises(DataError, match="must be"):
            kid(*pair)


def test_a_difference_is_that_of_two_kids_over_the_same_draws() -> None:
    """Against a slow twin: each draw's samples gathered, and a double loop over them."""
    real, other, near, far = (named(normal(12, 4, seed, shift)) for seed, shift in enumerate((0.0, 0.0, 0.2, 1.0)))
    table = distribution_table(real, other, {"near": near, "far": far}, 3)
    values = {row.name: row.kid for row in table.rows}
    value, interval = table.kid_difference("near", "far")
    assert value == values["near"] - values["far"] and interval is not None and interval.high < 0
    x, (first, second) = table.sets["near"][0], (table.sets[name][1] for name in ("near", "far"))
    for draw in (1, 2, 77):
        pair = []
        for y in (first, second):
            picked = [[g for g, times in enumerate(one.times[draw]) for _ in range(int(times))] for one in (x, y)]
            pair.append(slow_grouped_kid(as_features(x.values), as_features(y.values), picked))
        drawn = table.kid_draws["near"] - table.kid_draws["far"]
        assert drawn[draw] == pytest.approx(pair[0] - pair[1], rel=1e-9)


def as_features(values: np.ndarray) -> Features:
    return named(values)


def test_the_interval_of_a_difference_covers_zero_for_equal_sources() -> None:
    covered = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        real, first, second = (named(rng.normal(size=(30, 4)) + shift) for shift in (0.0, 0.5, 0.5))
        table = distribution_table(real, named(rng.normal(size=(30, 4))), {"a": first, "b": second}, seed)
        interval = table.kid_difference("a", "b").interval
        assert interval is not None
        covered += interval.low <= 0 <= interval.high
    assert covered >= 34  # 38 expected; P(< 34) = 2 % at a true 95 %, and the draws are fixed


def test_too_few_groups_give_no_interval_of_a_difference() -> None:
    few = Features(normal(30, 4), np.arange(30) % 7, "network", "abc")
    rest = [named(normal(30, 4, seed)) for seed in (1, 2, 3)]
    assert distribution_table(rest[0], rest[1], {"a": few, "b": rest[2]}, 0).kid_difference("a", "b").interval is None


def test_against_both_halves_a_row_is_compared_with_all_real_samples() -> None:
    halves, row = [named(normal(20, 4, seed)) for seed in (0, 1)], named(normal(20, 4, 2, 0.5))
    one, both = (distribution_table(*halves, {"row": row}, 0, against_both=wide) for wide in (False, True))
    whole = np.concatenate([half.values for half in halves])
    assert both.rows[1].kid == pytest.approx(kid(whole, row.values), rel=1e-10)
    assert one.rows[1].kid == pytest.approx(kid(halves[0].values, row.values), rel=1e-10)
    assert both.rows[0] == one.rows[0] and both.rows[1].frechet == one.rows[1].frechet
