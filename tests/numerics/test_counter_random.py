"""Random numbers from counters: SplitMix64 by hand, the laws they follow, and that portions change nothing."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from vaeforge.seeds import key_of
from vaeforge_models.counter_random import chance, choices, derived, integers, normal, permutation, threshold, uniform

CPU = torch.device("cpu")
MASK = 2**64 - 1
ROWS, COLUMNS = torch.arange(4000), 25


def output(key: int, number: int) -> int:
    """Output `number`, from 1, of SplitMix64 in Python's integers."""
    z = (key + number * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_the_published_first_numbers() -> None:
    """Of seed 1234567, as reference implementations of SplitMix64 list them."""
    first = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert [int(one) & MASK for one in integers(1234567, torch.arange(5), 1)[:, 0]] == first


@pytest.mark.parametrize("key", [0, 1, -1, 2**63 - 1, key_of(3, "noise", 7)])
def test_every_number_by_hand(key: int) -> None:
    found = integers(key, torch.arange(5, 9), 3)
    expected = [[output(key, row * 3 + column + 1) for column in range(3)] for row in range(5, 9)]
    assert [[int(one) & MASK for one in row] for row in found] == expected
    assert int(derived(key, 41, CPU)) & MASK == output(key, 41)
    top = torch.tensor([[number >> 40 for number in row] for row in expected])
    assert torch.equal(uniform(key, torch.arange(5, 9), 3), top.float() / 2**24)
    assert torch.equal(chance(key, torch.arange(5, 9), 3, threshold(0.3)), uniform(key, torch.arange(5, 9), 3) < 0.3)


def test_keys_of_a_tensor_are_those_of_numbers() -> None:
    key = torch.tensor(key_of(1, "a"))
    assert torch.equal(normal(key, ROWS[:9], 2), normal(int(key), ROWS[:9], 2))
    assert torch.equal(
        derived(key, torch.tensor([3, 8]), CPU), torch.stack([derived(int(key), n, CPU) for n in (3, 8)])
    )


@pytest.mark.parametrize("draw", [uniform, normal])
def test_portions_and_order_change_nothing(draw: object) -> None:
    whole = draw(17, ROWS, COLUMNS)  # type: ignore[operator]
    assert torch.equal(torch.cat([draw(17, part, COLUMNS) for part in torch.split(ROWS, 333)]), whole)  # type: ignore[operator]
    assert torch.equal(draw(17, ROWS.flip(0), COLUMNS), whole.flip(0))  # type: ignore[operator]
    assert draw(17, ROWS[:0], COLUMNS).shape == (0, COLUMNS)  # type: ignore[operator]


def test_uniform_numbers_are_uniform() -> None:
    drawn = uniform(key_of(0, "uniform"), ROWS, COLUMNS).double()
    assert drawn.min() >= 0 and drawn.max() < 1
    assert stats.kstest(drawn.flatten().numpy(), "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(drawn.T.numpy())[np.triu_indices(COLUMNS, 1)]).max() < 5 / math.sqrt(len(ROWS))


def test_normal_numbers_are_normal() -> None:
    drawn = normal(key_of(0, "normal"), ROWS, COLUMNS).double()
    assert stats.kstest(drawn.flatten().numpy(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(drawn.T.numpy())[np.triu_indices(COLUMNS, 1)]).max() < 5 / math.sqrt(len(ROWS))
    assert bool(drawn.isfinite().all()) and drawn.abs().max() > 4


def test_keys_of_epochs_and_purposes_share_no_numbers() -> None:
    keys = [key_of(seed, purpose, epoch) for seed in (0, 1) for purpose in ("noise", "order") for epoch in (0, 1)]
    drawn = torch.cat([integers(key, ROWS[:500], 1) for key in keys])
    assert len(drawn.unique()) == len(drawn)


def test_permutations_hold_each_number_once_and_each_first_as_often() -> None:
    orders = torch.stack([permutation(key_of(0, "order", number), 10, CPU) for number in range(2000)])
    assert torch.equal(orders.sort(1).values, torch.arange(10).expand(2000, 10))
    assert stats.chisquare(orders[:, 0].bincount(minlength=10).numpy()).pvalue > 1e-3
    assert permutation(1, 1, CPU).tolist() == [0]


def test_choices_follow_their_weights() -> None:
    weights = torch.tensor([0.0, 1.0, 0.0, 3.0, 6.0])
    counts = choices(key_of(0, "classes"), weights, 20_000).bincount(minlength=5).numpy()
    assert counts[0] == counts[2] == 0
    assert stats.chisquare(counts[[1, 3, 4]], [2000, 6000, 12_000]).pvalue > 1e-3
