"""The gate: every rule alone, all at once, and the comparison with the champion."""

import math

import pytest

from vaeforge.config import Gates
from vaeforge.registry.gate import Verdict, decide

GOOD = {"val/nelbo": -100.0, "val/active_units": 8.0}
GATES = Gates(min_active_units=4)


def judge(candidate: dict[str, float], champion: dict[str, float] | None = None, **given: bool) -> Verdict:
    return decide(candidate, champion, GATES, given.get("parity", True), given.get("same_data", True))


def test_the_first_sound_version_becomes_champion() -> None:
    assert judge(GOOD) == Verdict(True, ("val/nelbo -100; there was no champion",))


def test_the_first_version_needs_no_common_data() -> None:
    assert judge(GOOD, same_data=False).promote


def test_a_lower_nelbo_takes_over() -> None:
    verdict = judge(GOOD, {"val/nelbo": -99.0})
    assert verdict.promote
    assert verdict.reasons == ("val/nelbo -100 is below the champion's -99",)
    assert str(verdict) == "champion: val/nelbo -100 is below the champion's -99"


@pytest.mark.parametrize("best", [-100.0, -101.0])
def test_an_equal_or_higher_nelbo_stays_challenger(best: float) -> None:
    verdict = judge(GOOD, {"val/nelbo": best})
    assert not verdict.promote
    assert verdict.reasons == (f"val/nelbo is -100, must be below the champion's {best:g}",)
    assert str(verdict).startswith("challenger: ")


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        ({**GOOD, "val/active_units": 3.0}, "val/active_units is 3, must be >= 4"),
        ({**GOOD, "val/active_units": math.nan}, "val/active_units is nan, must be >= 4"),
        ({"val/nelbo": -100.0}, "val/active_units is missing, must be >= 4"),
        ({**GOOD, "val/nelbo": math.nan}, "val/nelbo is nan, must be a finite number"),
        ({**GOOD, "val/nelbo": -math.inf}, "val/nelbo is -inf, must be a finite number"),
        ({"val/active_units": 8.0}, "val/nelbo is missing, must be a finite number"),
    ],
)
@pytest.mark.parametrize("champion", [None, {"val/nelbo": 0.0}])
def test_each_failed_gate_refuses(candidate: dict[str, float], reason: str, champion: dict[str, float] | None) -> None:
    assert judge(candidate, champion) == Verdict(False, (reason,))


def test_exactly_the_least_number_of_active_units_is_enough() -> None:
    assert judge({**GOOD, "val/active_units": 4.0}).promote


def test_failed_parity_refuses_even_the_first() -> None:
    assert judge(GOOD, parity=False) == Verdict(False, ("the exported graphs do not compute what torch computes",))


def test_other_data_are_not_compared() -> None:
    verdict = judge(GOOD, {"val/nelbo": 1e9}, same_data=False)
    assert verdict == Verdict(False, ("trained on other data than the champion: not comparable",))


@pytest.mark.parametrize("champion", [{}, {"val/nelbo": math.nan}])
def test_a_champion_of_unknown_quality_is_not_beaten(champion: dict[str, float]) -> None:
    verdict = judge(GOOD, champion)
    assert not verdict.promote
    assert "the champion's val/nelbo is" in verdict.reasons[0]


def test_every_failed_rule_is_listed() -> None:
    verdict = judge({"val/nelbo": math.nan, "val/active_units": 0.0}, {"val/nelbo": 0.0}, parity=False, same_data=False)
    assert [reason.split()[0] for reason in verdict.reasons] == ["the", "val/active_units", "val/nelbo", "trained"]
