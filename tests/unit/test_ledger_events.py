"""Events and their JSON: what old and new ledgers may lack or hold beyond what is known, and what is written."""

import math
from dataclasses import replace
from typing import Any

import pytest

from ledger_events import event
from vaeforge.ledger.events import (
    EpochReported,
    SearchHeader,
    TransferredTrial,
    TrialDecided,
    UnknownEvent,
    WarmStarted,
    from_json,
)
from vaeforge.training.checkpoint_files import Checkpoint

SEARCH: dict[str, Any] = {"event": "search", "time": 1.0, "name": "s", "family": "endoscopy", "space": {"x": 1}}
STATE = {"file": "e2", "sha256": "7", "epoch": 2}


def test_what_an_older_ledger_lacks_has_defaults_and_what_a_later_one_adds_is_passed_over() -> None:
    header = from_json(SEARCH | {"mood": "good"})
    assert isinstance(header, SearchHeader)
    assert (header.family, header.space, header.checkpoints, header.git) == ("endoscopy", {"x": 1}, None, None)
    report = event("reported", trial=3, epoch=2, metrics={"val/nelbo": None}, best={**STATE, "size": 9})
    assert isinstance(report, EpochReported)
    assert (report.outcome, report.core_seconds, report.best) == ("running", 0.0, Checkpoint("e2", "7", 2))


def test_a_kind_of_a_later_version_is_kept_as_it_is() -> None:
    line = {"event": "celebrated", "time": 5.0, "cake": True}
    found = from_json(line)
    assert isinstance(found, UnknownEvent) and found.time == 5.0 and found.to_json() == line


@pytest.mark.parametrize(
    "line",
    [
        SEARCH | {"family": None},
        {"event": "submitted", "time": 1.0, "trial": 1.5, "params": {}},
        {"event": "reported", "time": 1.0, "trial": 1, "epoch": 1, "metrics": [1.0]},
        {"event": "decided", "time": 1.0, "trial": 1, "epoch": 1, "action": "inherit", "value": 1.0, "donor": 0},
        "text",
        None,
    ],
)
def test_a_line_that_says_nothing_of_its_kind_is_refused(line: Any) -> None:
    with pytest.raises(ValueError, match=r"no event with a time|validation error"):
        from_json(line)


def test_the_identity_of_a_search_is_the_hash_of_its_line_whatever_its_keys() -> None:
    """So that runs in a store are found again that an earlier version made for an older ledger."""
    from vaeforge.paths import hash_of

    lines = [SEARCH, SEARCH | {"time": 2.0}, SEARCH | {"mood": "good"}]
    headers = [from_json(line) for line in lines]
    assert [header.identity for header in headers] == [hash_of(line)[:32] for line in lines]  # type: ignore[attr-defined]
    assert "identity" not in headers[0].to_json()


def test_numbers_that_json_has_no_word_for_are_null() -> None:
    report = EpochReported(trial=0, epoch=1, metrics={"a": math.nan, "b": 1.0}, value=math.inf, notes=("n",))
    content = report.to_json()
    assert (content["metrics"], content["value"], content["notes"]) == ({"a": None, "b": 1.0}, None, ["n"])


def test_a_decision_holds_the_donors_state_only_where_weights_are_inherited() -> None:
    go = TrialDecided(trial=1, epoch=2, action="go", value=1.0)
    keys = ["event", "time", "trial", "epoch", "action", "value", "needed", "why", "donor", "params"]
    assert list(go.to_json()) == keys
    state = {"checkpoint": STATE, "best": None, "metrics": {"val/nelbo": 1.0}}
    line = go.to_json() | {"action": "inherit", "donor": 0, "params": {"x": 1}, **state}
    inherit = from_json(line)
    assert isinstance(inherit, TrialDecided) and inherit.inherited is not None
    assert inherit.inherited.checkpoint == Checkpoint("e2", "7", 2)
    assert inherit.to_json() == line and list(inherit.to_json()) == list(line)


def test_trials_of_another_search_are_written_whole_or_as_points() -> None:
    trial = TransferredTrial({"x": 1}, "completed", (1.0, 2.0), 4)
    values = WarmStarted(source="other", use="values", trials=(trial,))
    (whole,) = values.to_json()["trials"]
    assert whole == {"number": None, "params": {"x": 1}, "state": "completed", "values": [1.0, 2.0], "epoch": 4}
    assert from_json(values.to_json()) == values
    points = replace(values, use="points", trials=(TransferredTrial({"x": 1}),))
    assert points.to_json()["trials"] == [{"params": {"x": 1}}]
    assert from_json(points.to_json()) == points
