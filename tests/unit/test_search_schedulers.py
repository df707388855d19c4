"""Decisions as texts and in the ledger; what all schedulers keep is in tests/contracts."""

import pytest

from vaeforge.errors import SearchError
from vaeforge.ledger.events import TrialDecided
from vaeforge.search.schedulers.base import compared, decision_of


def test_a_ledger_of_another_version_is_refused() -> None:
    with pytest.raises(SearchError, match="trial 3, epoch 6: got action 'pause', must be one of go, stop, inherit"):
        decision_of(TrialDecided(trial=3, epoch=6, action="pause", value=1.0))


def test_texts_show_which_number_is_larger() -> None:
    assert compared(-19720.1, -19801.3) == "-19720.1, cut-off -19801.3"
    assert compared(-19720.123, -19720.124) == "-19720.123, cut-off -19720.124"
    assert compared(1.0, 1.0) == "1, cut-off 1"
