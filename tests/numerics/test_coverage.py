"""Intervals hold the true value as often as they say, also of few groups whose samples resemble each other.

A small part of `benchmarks/coverage.py` under fixed seeds; the percentile bootstrap of the same test sets does not.
"""

import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TRIALS = 250
CASES = ["mean", "mean, skewed", "AUROC 0.80", "Pearson of maps", "relative error", "R2", "difference of means"]
SHARES = ["AUROC 0.80"]  # have no interval of fewer than five groups
LEAST = 0.95 - 3 * math.sqrt(0.95 * 0.05 / TRIALS)  # three standard errors below what is promised: 0.909
CLAIMED = 0.025 + 3 * math.sqrt(0.025 * 0.975 / TRIALS)


@pytest.fixture
def coverage(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import coverage_intervals

    return coverage_intervals


@pytest.mark.parametrize("name", CASES)
def test_intervals_of_few_groups_hold_the_truth(name: str, coverage: ModuleType) -> None:
    from coverage_data import Layout, cases

    (case,) = (one for one in cases() if one.name == name)
    fewest = 5 if case.name in SHARES else 3
    for groups in (fewest, 8):
        found = coverage.simulate(case, Layout(groups, 0.5, True), TRIALS, draws=100)
        assert found["ours"]["printed"] == 1
        assert found["ours"]["coverage"] > LEAST
        if groups == fewest and "bootstrap" in found:
            assert found["bootstrap"]["coverage"] < LEAST  # the reason why these are no bootstrap's
        if case.difference:
            assert found["ours"]["one_sided"] < CLAIMED


def test_two_groups_carry_no_interval(coverage: ModuleType) -> None:
    from coverage_data import Layout, cases

    for case in cases():
        found = case.simulate(np.random.default_rng(0), Layout(2, 0.5, True))
        assert found.estimate.interval() is None, case.name


def test_cells_are_judged_by_the_rule_and_not_by_what_they_show(coverage: ModuleType) -> None:
    """0.93 to 0.97; 0.93 and more where the library says so, of shares and of few groups of different sizes."""
    from coverage_data import Layout, cases

    places = {
        (value, few): coverage.place({"ours": {"coverage": value}, "conservative": few})
        for value in (None, 0.92, 0.95, 0.98)
        for few in (False, True)
    }
    assert [places[value, False] for value in (None, 0.92, 0.95, 0.98)] == ["none", "below", "within", "above"]
    assert [places[value, True] for value in (None, 0.92, 0.95, 0.98)] == ["none", "below", "within", "more"]
    known = {case.name: case for case in cases()}
    for name, layout, few in (
        ("share 0.80", Layout(20, 0.0, False), True),
        ("share 0.80", Layout(50, 0.5, True), False),
        ("difference of AUROCs", Layout(20, 0.5, True), True),
        ("mean", Layout(5, 0.0, False), False),
        ("mean", Layout(10, 0.5, True), True),
        ("KID, real against real", Layout(10, 0.0, False), False),
        ("KID, real against real", Layout(20, 0.5, True), False),
    ):
        assert coverage.conservative(known[name], layout) == few, (name, layout)
