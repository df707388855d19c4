"""Gates: verdicts follow differences between versions, not what likelihoods or groups are called or counted in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawn import FACTORS, SEEDS, SHIFTS, Scored, renamed, scored, shuffled
from vaeforge.evaluation.rates import grouped_rate
from vaeforge.registry.comparison_gate import LikelihoodGain, likelihood_gain
from vaeforge.registry.error_rates import ALPHA, alpha_of

SHARES = st.sampled_from([0.0, 0.05, 0.5])


def numbers(gain: LikelihoodGain) -> list[float]:
    return [gain.best, gain.lost, gain.margin, gain.within.value, gain.within.se]


def versions(data: Scored, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nats of each sample by the version, by the best one and by the training mean, which is worse than both."""
    rng = np.random.default_rng(seed)
    best = data.scores + rng.normal(size=len(data.scores))
    return best + rng.normal(size=len(best)), best, best + 5 + rng.normal(size=len(best))


@given(scored(), SEEDS, SHARES, FACTORS, SHIFTS)
def test_what_is_left_of_the_margin_has_units_and_no_origin(
    data: Scored, seed: int, share: float, factor: float, shift: float
) -> None:
    mine, best, mean = versions(data, seed)
    own = numbers(likelihood_gain(mine, best, mean, data.groups, share))
    moved = [factor * one + shift for one in (mine, best, mean)]
    found = numbers(likelihood_gain(*moved, data.groups, share))
    assert found == pytest.approx([factor * one for one in own], abs=1e-9)


@given(scored(), SEEDS, SHARES)
def test_the_order_of_samples_and_the_names_of_groups_decide_nothing(data: Scored, seed: int, share: float) -> None:
    order, found = shuffled(seed, len(data.scores)), versions(data, seed)
    own = numbers(likelihood_gain(*found, data.groups, share))
    other = likelihood_gain(*(one[order] for one in found), renamed(seed, data.groups)[order], share)
    assert numbers(other) == pytest.approx(own)
    events = data.scores > 0
    rates = (
        grouped_rate(events, data.groups, ALPHA),
        grouped_rate(events[order], renamed(seed, data.groups)[order], ALPHA),
    )
    assert rates[1].upper == pytest.approx(rates[0].upper)


@given(scored(), SEEDS, SHARES)
def test_the_same_version_loses_nothing_and_keeps_the_margin(data: Scored, seed: int, share: float) -> None:
    _, best, mean = versions(data, seed)
    found = likelihood_gain(best, best, mean, data.groups, share)
    assert found.lost == 0 and found.margin == pytest.approx(share * (mean - best).mean())
    assert found.within.value == pytest.approx(found.margin)


@given(scored(), st.sampled_from([0.2, 0.1, 0.025]))
def test_a_limit_is_above_its_rate_and_rises_with_the_certainty_asked(data: Scored, alpha: float) -> None:
    events = data.scores > 0
    loose, strict = grouped_rate(events, data.groups, alpha), grouped_rate(events, data.groups, alpha / 5)
    assert loose.value <= loose.upper <= strict.upper + 1e-9 <= 1 + 2e-9


@given(st.integers(1, 500))
def test_all_comparisons_together_spend_no_more_than_there_is(count: int) -> None:
    assert sum(alpha_of(k) for k in range(1, count + 1)) == pytest.approx(ALPHA * count / (count + 1))
