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
from vaeforge.evaluation.intervals import GroupEstimate, jackknife
from vaeforge.evaluation.kid import grouped, kid_over_groups


def normal(count: int, width: int = 6, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, (count, width))


def named(values: np.ndarray, name: str = "network", weights: str = "abc") -> Features:
    return ungrouped(values, name, weights)


def grouped_in(values: np.ndarray, groups: np.ndarray) -> Features:
    return Features(values, groups, "network", "abc")


def apart(*sets: np.ndarray) -> list[Features]:
    """Sets of which each sample is a group of its own."""
    counts = np.cumsum([0, *(len(one) for one in sets)])
    return [grouped_in(one, start + np.arange(len(one))) for one, start in zip(sets, counts, strict=False)]


def estimate(x: Features, y: Features, more: Features | None = None) -> GroupEstimate:
    found = kid_over_groups(grouped(x), grouped(y), None if more is None else grouped(more))
    assert found is not None
    return found


def kid(x: np.ndarray, y: np.ndarray) -> float:
    return estimate(*apart(x, y)).value


def slow_kid(x: Features, y: Features) -> float:
    """A double loop over pairs of samples of different groups."""

    def mean(a: Features, b: Features, same: bool) -> float:
        pairs = [(i, j) for i in range(len(a.values)) for j in range(len(b.values))]
        pairs = [(i, j) for i, j in pairs if not (same and a.groups[i] == b.groups[j])]
        return sum((float(a.values[i] @ b.values[j]) / a.values.shape[1] + 1) ** 3 for i, j in pairs) / len(pairs)

    return mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)


def without(one: Features, group: int) -> Features:
    kept = one.groups != group
    return grouped_in(one.values[kept], one.groups[kept])


@pytest.mark.parametrize("counts", [(7, 7), (9, 5), (2, 3)])
def test_kid_is_that_of_a_double_loop(counts: tuple[int, int]) -> None:
    x, y = normal(counts[0], seed=0), normal(counts[1], seed=1, shift=0.5)
    assert kid(x, y) == pytest.approx(slow_kid(*apart(x, y)), rel=1e-11)


def test_kid_over_chunks_is_that_of_torchmetrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_kid, "CHUNK", 7)
    x, y = normal(40, seed=0), normal(40, seed=1, shift=0.5)
    assert kid(x, y) == pytest.approx(float(poly_mmd(torch.from_numpy(x), torch.from_numpy(y))), rel=1e-11)


def test_kid_of_one_distribution_is_zero_on_average() -> None:
    drawn = [kid(normal(30, seed=2 * i), normal(30, seed=2 * i + 1)) for i in range(200)]
    assert min(drawn) < 0 < max(drawn)
    assert abs(np.mean(drawn)) < 3 * np.std(drawn) / math.sqrt(200)


def clustered(groups: int, seed: int, first: int = 0, size: int = 4) -> Features:
    """Samples that share most of what they are with their group: intra-class correlation 0.8."""
    rng = np.random.default_rng(seed)
    values = math.sqrt(0.8) * np.repeat(rng.normal(size=(groups, 6)), size, axis=0)
    return grouped_in(
        values + math.sqrt(0.2) * rng.normal(size=values.shape), first + np.repeat(np.arange(groups), size)
    )


def test_pairs_within_a_group_do_not_push_the_distance_up() -> None:
    """Two sets of one distribution are 0 apart on average, also where samples of a group resemble each other."""
    drawn = [estimate(clustered(10, 2 * i), clustered(10, 2 * i + 1, 10)).value for i in range(200)]
    every = [kid(clustered(10, 2 * i).values, clustered(10, 2 * i + 1).values) for i in range(200)]
    assert abs(np.mean(drawn)) < 3 * np.std(drawn) / math.sqrt(200)
    assert np.mean(every) > 10 * np.std(every) / math.sqrt(200)  # as if samples were independent


def test_value_and_standard_error_are_those_of_double_loops_without_each_group() -> None:
    groups = np.repeat(np.arange(5), [3, 1, 2, 1, 2])
    x = grouped_in(normal(9, 4, 0), groups)
    y = grouped_in(normal(9, 4, 1, 0.5), 10 + groups[::-1])
    found = estimate(x, y)
    assert found.value == pytest.approx(slow_kid(x, y), rel=1e-10)
    parts = [
        4 * np.var([slow_kid(without(x, g), y) for g in range(5)]),
        4 * np.var([slow_kid(x, without(y, 10 + g)) for g in range(5)]),
    ]
    assert jackknifed(found) == pytest.approx(math.sqrt(sum(parts)), rel=1e-8)


def jackknifed(found: GroupEstimate) -> float:
    """The standard error before what pairs add together is taken off once (`test_pair_means.py`)."""
    return jackknife(found.value, *found.samples).se


def test_a_joined_reference_is_two_samples() -> None:
    first, more, y = apart(normal(6, 4, 0), normal(5, 4, 1), normal(7, 4, 2, 0.5))
    whole = grouped_in(np.concatenate([first.values, more.values]), np.concatenate([first.groups, more.groups]))
    found = estimate(first, y, more)
    assert found.value == pytest.approx(slow_kid(whole, y), rel=1e-10)
    shares = {
        6: (1 - 1 / 11) / (1 - 1 / 6),
        5: (1 - 1 / 11) / (1 - 1 / 5),
        7: 1.0,
    }  # left out of 11, weighs of its half
    variances = [
        (size - 1) * np.var([slow_kid(without(whole, g), without(y, g)) for g in one.groups]) * shares[size] ** 2
        for one, size in ((first, 6), (more, 5), (y, 7))
    ]
    assert jackknifed(found) == pytest.approx(math.sqrt(sum(variances)), rel=1e-8)


@pytest.mark.slow
def test_both_halves_of_a_reference_have_the_error_of_one_sample() -> None:
    """Of two halves of 40 groups, the jackknife's variance is that of 80 in one, but for each half's own mean."""
    first, more, y = apart(normal(40, 4, 0), normal(40, 4, 1), normal(2000, 4, 2, 2.0))
    whole = grouped_in(np.concatenate([first.values, more.values]), np.concatenate([first.groups, more.groups]))
    parts = [jackknife(0.0, *found.samples[:-1]).se for found in (estimate(first, y, more), estimate(whole, y))]
    assert parts[0] == pytest.approx(parts[1], rel=0.03)


@pytest.mark.long
def test_about_ninety_five_of_a_hundred_intervals_hold_the_true_kid() -> None:
    shift, width, covered = 0.7, 4, 0
    truth = kid(normal(6000, width, 91), normal(6000, width, 92, shift))
    for i in range(100):
        interval = estimate(*apart(normal(60, width, 2 * i), normal(60, width, 2 * i + 1, shift))).interval()
        assert interval is not None
        covered += interval.low <= truth <= interval.high
    assert 90 <= covered <= 99


def test_samples_that_repeat_each_other_promise_nothing_more() -> None:
    pair = apart(normal(40, seed=0), normal(40, seed=1, shift=0.5))
    fivefold = [grouped_in(np.repeat(one.values, 5, 0), np.repeat(one.groups, 5)) for one in pair]
    assert estimate(*fivefold).interval() == pytest.approx(estimate(*pair).interval(), rel=1e-9)


def test_a_set_of_one_group_has_no_kid_and_of_two_no_interval() -> None:
    y = grouped(apart(normal(9), normal(9))[1])
    assert kid_over_groups(grouped(grouped_in(normal(9), np.zeros(9, np.int64))), y) is None
    two = kid_over_groups(grouped(grouped_in(normal(9), np.arange(9) % 2)), y)
    assert two is not None and two.interval() is None


def test_the_table_cuts_all_rows_to_the_smallest_and_puts_real_first() -> None:
    sets = apart(normal(90, seed=0), normal(70, seed=1), normal(80, seed=2), normal(64, seed=3, shift=1.0))
    table = distribution_table(sets[0], sets[1], {"near": sets[2], "far": sets[3]}, 5)
    assert [row.name for row in table.rows] == [REAL, "near", "far"]
    assert (table.n, table.kid_n, table.headline, table.weights) == (64, 64, "KID (network)", "abc")
    real, close, away = table.rows
    assert away.kid_low is not None and away.kid_high is not None and real.kid_high is not None
    assert away.kid_low > max(real.kid_high, 0) and away.kid_low < (away.kid or 0) < away.kid_high
    # means 1 apart in 6 dimensions: 6, and the same upward bias as real against real
    assert away.frechet == pytest.approx(6 + real.frechet, abs=1.5)
    assert close.frechet < 2 * real.frechet


def test_the_table_depends_on_its_seed_and_no_row_on_another() -> None:
    a, b, row = apart(*(normal(count, seed=i) for i, count in enumerate((40, 40, 50))))
    once, again = (distribution_table(a, b, {"row": row}, seed=3) for _ in range(2))
    assert once == again != distribution_table(a, b, {"row": row}, seed=4)
    assert distribution_table(a, b, {"other": row, "row": row}, seed=3).rows[2] == once.rows[1]


def test_from_a_fixed_number_of_samples_on_the_headline_is_frechet(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tables.FRECHET_FROM == 2560
    monkeypatch.setattr(tables, "FRECHET_FROM", 40)
    a, b, row, short = apart(*(normal(count, 2, i) for i, count in enumerate((50, 51, 70, 39))))
    table = distribution_table(a, b, {"row": row}, 0)
    assert (table.n, table.kid_n, table.headline) == (50, 40, "Fréchet distance (network)")
    below = distribution_table(a, b, {"row": short}, 0)
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
        distribution_table(*apart(normal(9), normal(9)), {"row": row}, 0)


def test_a_row_may_not_pose_as_real() -> None:
    with pytest.raises(DataError, match="real against real"):
        distribution_table(named(normal(9)), named(normal(9)), {REAL: named(normal(9))}, 0)


def test_a_row_of_the_references_groups_is_refused() -> None:
    a, b, row = apart(normal(9), normal(9), normal(9))
    with pytest.raises(DataError, match="'row': shares 2 groups with the reference, must share none"):
        distribution_table(a, b, {"row": replace(row, groups=row.groups - 11)}, 0)


def test_sets_of_other_widths_are_refused() -> None:
    with pytest.raises(DataError, match="must be"):
        kid(normal(5, 3), normal(5, 4))


def test_a_difference_is_paired_in_the_reference() -> None:
    """Against double loops: a group of the reference, or of what two rows have in common, is left out of both."""
    real, other, near, far = apart(*(normal(8, 4, seed, shift) for seed, shift in enumerate((0.0, 0.0, 0.2, 1.0))))
    far = replace(far, groups=near.groups)  # made from the same latents
    table = distribution_table(real, other, {"near": near, "far": far}, 3)
    values = {row.name: row.kid for row in table.rows}
    found = table.kids["near"].minus(table.kids["far"])
    assert found.value == (values["near"] or 0) - (values["far"] or 0)

    def less(group: int) -> float:
        return slow_kid(without(real, group), without(near, group)) - slow_kid(
            without(real, group), without(far, group)
        )

    variance = 7 * (np.var([less(g) for g in real.groups]) + np.var([less(g) for g in near.groups]))
    assert jackknifed(found) == pytest.approx(math.sqrt(variance), rel=1e-8)


def test_a_difference_from_real_samples_is_paired_in_both_halves() -> None:
    first, second, made = apart(normal(8, 4, 0), normal(8, 4, 1), normal(8, 4, 2, 0.5))
    table = distribution_table(first, second, {"row": made}, 0, against_both=True)
    found = table.kids["row"].minus(table.kids[REAL])
    whole = grouped_in(np.concatenate([first.values, second.values]), np.concatenate([first.groups, second.groups]))

    def less(group: int, share: float) -> float:
        real = slow_kid(without(first, group), without(second, group))
        return share * slow_kid(without(whole, group), without(made, group)) - real

    shares = (1 - 1 / 16) / (1 - 1 / 8), (1 - 1 / 16) / (1 - 1 / 8), 1.0  # left out of 16, weighs of its 8
    sets = zip((first, second, made), shares, strict=True)
    variance = sum(7 * np.var([less(g, share) for g in one.groups]) for one, share in sets)
    assert jackknifed(found) == pytest.approx(math.sqrt(variance), rel=1e-8)
    interval = found.interval()
    assert interval is not None
    assert interval.high - found.value > 1.2 * (found.value - interval.low)  # as skewed as the distance itself


def test_a_difference_lies_inside_its_interval_whatever_the_groups() -> None:
    for seed in range(20):
        sets = [clustered(6, 10 * seed + place, 6 * place) for place in range(4)]
        table = distribution_table(sets[0], sets[1], {"a": sets[2], "b": sets[3]}, seed)
        for name in ("a", REAL):
            found = table.kids[name].minus(table.kids["b"])
            interval = found.interval()
            assert interval is not None and interval.low < found.value < interval.high


def test_the_interval_of_a_difference_covers_zero_for_equal_sources() -> None:
    covered = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        sets = apart(*(rng.normal(size=(30, 4)) + shift for shift in (0.0, 0.5, 0.5, 0.0)))
        table = distribution_table(sets[0], sets[3], {"a": sets[1], "b": sets[2]}, seed)
        interval = table.kids["a"].minus(table.kids["b"]).interval()
        assert interval is not None
        covered += interval.low <= 0 <= interval.high
    assert covered >= 34  # 38 expected; P(< 34) = 2 % at a true 95 %, and the draws are fixed


def test_against_both_halves_a_row_is_compared_with_all_real_samples() -> None:
    first, second, made = apart(normal(20, 4, 0), normal(20, 4, 1), normal(20, 4, 2, 0.5))
    one, both = (distribution_table(first, second, {"row": made}, 0, against_both=wide) for wide in (False, True))
    whole = np.concatenate([first.values, second.values])
    assert both.rows[1].kid == pytest.approx(kid(whole, made.values), rel=1e-10)
    assert one.rows[1].kid == pytest.approx(kid(first.values, made.values), rel=1e-10)
    assert both.rows[0] == one.rows[0] and both.rows[1].frechet == one.rows[1].frechet
