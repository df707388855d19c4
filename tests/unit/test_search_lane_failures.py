"""Failures of a stack: after an error its trials are trained alone, and what no trial is at fault for costs none."""

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._C import _functorch as functorch

from lane_group import LaneGroup
from vaeforge.ledger.events import TrialDecided
from vaeforge.search.dispatch.types import DispatchConfig
from vaeforge.training.lanes import lane_count
from vaeforge_models.families.fmri import FmriVAE


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LaneGroup:
    return LaneGroup(tmp_path, monkeypatch)


def lanes_of(x: torch.Tensor) -> int:
    """How many lanes are computed by the operation that `x` enters; 1 for a model by itself."""
    whole = functorch.get_unwrapped(x) if functorch.is_batchedtensor(x) else None
    return 1 if whole is None else len(whole)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[FmriVAE, int], None]], None]:
    """Lets the models of the family fail: the function is called with the model and the lanes of each pass."""
    encode = FmriVAE.encode

    def put(fail: Callable[[FmriVAE, int], None]) -> None:
        def encoding(self: FmriVAE, x: torch.Tensor, condition: torch.Tensor) -> Any:
            fail(self, lanes_of(x))
            return encode(self, x, condition)

        monkeypatch.setattr(FmriVAE, "encode", encoding)

    return put


def in_company(group: LaneGroup) -> list[int]:
    """How many trials each reported epoch was trained with, itself counted."""
    return [event.lanes for event in group.events("reported")]


def test_after_an_error_of_a_stack_its_trials_are_trained_alone(group: LaneGroup, broken: Any) -> None:
    def fail(model: FmriVAE, lanes: int) -> None:
        if lanes > 1 and model.training:
            raise RuntimeError("this model cannot be one of several")

    broken(fail)
    with group.dispatcher():
        group.submit([1, 2, 3, 2])
        group.serve(3)
    history = group.history
    assert {trial.state for trial in history.trials.values()} == {"completed"}
    assert in_company(group) == [1] * 8
    crashes = group.events("crashed")
    assert [(event.trial, event.cause) for event in crashes] == [(0, "crash"), (1, "crash"), (2, "crash")]
    assert all("this model cannot be one of several" in event.traceback for event in crashes)


def enough_for(most: int) -> Callable[[FmriVAE, int], None]:
    """A device whose memory ends with more than `most` lanes: the allocation that fails is real."""

    def fail(model: FmriVAE, lanes: int) -> None:
        if lanes > most and model.training:
            torch.empty(2**60, dtype=torch.uint8)

    return fail


@pytest.mark.parametrize(("most", "seen"), [(1, {1}), (2, {1, 2}), (4, {1, 2, 3, 4})])
def test_out_of_memory_under_several_lanes_is_no_trials_fault(
    group: LaneGroup, broken: Any, most: int, seen: set[int]
) -> None:
    broken(enough_for(most))
    with group.dispatcher():
        group.submit([1, 2, 3, 2, 1, 2, 3, 2])
        group.serve(8)
    history = group.history
    assert {(trial.state, trial.cause) for trial in history.trials.values()} == {("completed", None)}
    assert {event.cause for event in group.events("crashed")} == {"lost"}
    assert set(in_company(group)) <= seen and max(in_company(group)) == most


def notes_of(group: LaneGroup) -> set[str]:
    return {note for event in group.events("reported") for note in event.notes}


def test_a_model_that_no_stack_can_compute_is_trained_alone_and_costs_no_attempt(group: LaneGroup, broken: Any) -> None:
    def fail(model: FmriVAE, lanes: int) -> None:
        if lanes > 1:
            raise ValueError("one at a time")

    broken(fail)
    with group.dispatcher():
        group.submit([1, 2, 3])
        group.serve(2)
    assert {trial.state for trial in group.history.trials.values()} == {"completed"}
    assert group.events("crashed") == [] and in_company(group) == [1] * 6
    why = "its model cannot be computed as one of several (ValueError: one at a time)"
    assert notes_of(group) == {f"trained alone and not as a lane: {why}"}


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measures larger stacks however long steps take on a busy machine."""
    monkeypatch.setattr(lane_count, "SECONDS", math.inf)


@pytest.mark.usefixtures("patient")
def test_auto_takes_what_memory_has_room_for_and_says_what_it_had_not(group: LaneGroup, broken: Any) -> None:
    broken(enough_for(3))
    with group.dispatcher():
        group.submit([1, 2])
        group.serve("auto")
    (note,) = notes_of(group)
    assert "4 lanes cannot be had" in note and "can't allocate memory" in note and note.endswith("lanes: 1")
    assert group.events("crashed") == []


@pytest.mark.usefixtures("patient")
def test_what_else_fails_while_auto_measures_is_shown_and_the_trial_is_tried_again(
    group: LaneGroup, broken: Any
) -> None:
    def fail(model: FmriVAE, lanes: int) -> None:
        if lanes > 1 and model.training:
            raise RuntimeError("a shape that does not fit")

    broken(fail)
    with group.dispatcher():
        group.submit([1, 2])
        group.serve("auto")
    (crash,) = group.events("crashed")
    assert (crash.trial, crash.cause) == (0, "crash") and "a shape that does not fit" in crash.traceback
    assert {trial.state for trial in group.history.trials.values()} == {"completed"}


def test_all_lanes_ask_for_their_decisions_at_once(group: LaneGroup) -> None:
    """The scheduler here decides on the first trial last, once all have reported."""
    with group.dispatcher(DispatchConfig(epochs=frozenset({1}))) as actor:
        group.submit([1, 2, 3])

        def decide() -> None:
            trials = actor.dispatcher.history.trials
            while any(trial.epoch < 1 for trial in trials.values()):
                time.sleep(0.01)
            for number in reversed(trials):
                actor.dispatcher.decide(
                    TrialDecided(trial=number, epoch=1, action="go", value=1.0, why="all are there")
                )

        scheduler = threading.Thread(target=decide, daemon=True)
        scheduler.start()
        group.serve(3)
        scheduler.join()
    assert in_company(group) == [3] * 6


def test_out_of_memory_alone_is_the_trials_own(group: LaneGroup, broken: Any) -> None:
    broken(enough_for(0))
    with group.dispatcher():
        group.submit([1, 2])
        group.serve(2)
    assert {(trial.state, trial.cause) for trial in group.history.trials.values()} == {("failed", "oom")}


def test_the_number_of_lanes_that_memory_has_room_for_outlives_processes(group: LaneGroup, broken: Any) -> None:
    broken(enough_for(2))
    with group.dispatcher():
        group.submit([1, 2, 3, 2])
        group.serve(4, limit=0)  # which ends after the first trial
    before = len(group.events("crashed"))
    with group.dispatcher():  # and the dispatcher is another one, too
        group.serve(4)
    assert before == 4
    assert {event.traceback for event in group.events("crashed")[before:]} <= {
        "the worker group that trained it was restarted"
    }
    assert {trial.state for trial in group.history.trials.values()} == {"completed"}
