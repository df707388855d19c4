"""What every lane of a stack keeps: it learns what the same trial learns alone, whatever the other lanes do.

In float64, where only the order of additions differs; a lane's shortest way to a wrong answer is a number of another
lane's, which no rounding hides.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from golden.compute import default_dtype
from samples import random_arrays
from steps import SIZES
from vaeforge.config.experiment import Experiment
from vaeforge.config.loader import load
from vaeforge.training.lanes.padding import UnstackableError
from vaeforge.training.lanes.stack import LaneStack
from vaeforge.training.loop import EpochReport, ModelTraining, TrainingData, fit
from vaeforge.training.process_group import ProcessGroup
from vaeforge_models.families import families
from vaeforge_models.schedules import SCHEDULES

LEARNING_RATES = ("constant", "plateau", "cosine", "onecycle")
FORMS: dict[str, dict[str, Any]] = {
    "accumulated": {"training.accumulate": 2, "model.dropout": 0.2},
    "total correlation": {"training.total_correlation": 3.0, "training.accumulate": 2},
    "calibrated": {"model.likelihood": "calibrated"},
    "adamw": {"optimizer.name": "adamw", "training.augment": False},
    "few steps": {"training.steps_per_epoch": 2, "training.evaluation_samples": 1},
}
PROMISED = 1e-6  # relative; seen are 4e-9 at most, where batch normalisation divides by small spreads
NOTHING: Mapping[str, Any] = {}


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    with default_dtype(torch.float64):
        yield


def experiment(family: str, number: int, kind: str, extra: Mapping[str, Any] = NOTHING) -> Experiment:
    """A trial that differs from every other one in all that lanes may differ in."""
    given = {
        "training.epochs": 2 + number % 2,
        "training.patience": 5,
        "training.batch_size": 5,
        "training.steps_per_epoch": None,
        "training.seed": number + 1,
        "beta.schedule": kind,
        "optimizer.lr": 1e-3 * (1 + number % 4),
        "optimizer.schedule": LEARNING_RATES[number % 4],
        "optimizer.clip_norm": 1.0 + number,
        "optimizer.weight_decay": 0.01 * (number % 2),
    }
    own = SIZES[family] | {"model.latent_dim": 2 + number % 3}
    return load(Path("nowhere"), family, None, given | own | dict(extra)).experiment


def data_of(family: str) -> TrainingData:
    return random_arrays(families()[family], 13, 4)


def stacked(trials: Sequence[Experiment], data: TrainingData, together: bool = True) -> list[list[EpochReport]]:
    """The reports of each of `trials`, all of which are lanes of one stack, validated `together` as on a GPU."""
    group, found = ProcessGroup(), [list[EpochReport]() for _ in trials]
    stack = LaneStack(data, group, len(trials), together=together)
    for number, trial in enumerate(trials):
        stack.add(number, ModelTraining(trial, data, group, None, stacked=True))
    while stack.trainings:
        for number, report in stack.train_epoch(lambda: None).items():
            assert isinstance(report, EpochReport), report
            found[number].append(report)
    return found


def assert_same(stacked: Sequence[EpochReport], alone: Sequence[EpochReport]) -> None:
    assert len(stacked) == len(alone)
    for one, other in zip(stacked, alone, strict=True):
        assert one.metrics == pytest.approx(other.metrics, rel=PROMISED, abs=1e-12)
        assert replace(one, metrics={}, seconds=0, value=None) == replace(other, metrics={}, seconds=0, value=None)


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=[pytest.mark.long] if name in ("cilia", "speckle") else []) for name in SIZES]
)
def test_a_lane_under_any_schedule_learns_what_it_learns_alone(family: str) -> None:
    trials, data = [experiment(family, n, kind) for n, kind in enumerate(SCHEDULES)], data_of(family)
    for lane, trial in zip(stacked(trials, data), trials, strict=True):
        assert_same(lane, list(fit(trial, data)))


@pytest.mark.parametrize("form", FORMS)
def test_a_lane_in_any_form_of_a_step_learns_what_it_learns_alone(form: str) -> None:
    kinds = ["free_bits", "constant", "geco", "pi", "cyclical"]
    trials, data = [experiment("fmri", n, kind, FORMS[form]) for n, kind in enumerate(kinds)], data_of("fmri")
    for lane, trial in zip(stacked(trials, data), trials, strict=True):
        assert_same(lane, list(fit(trial, data)))


@pytest.mark.parametrize(
    "form", [{}, {"model.spatial_weight": 0.0, "model.bounded": False}, {"training.accumulate": 2}]
)
@pytest.mark.slow
def test_neighbours_are_those_of_the_same_lane(form: dict[str, Any]) -> None:
    trials = [experiment("lipid", n, kind, form) for n, kind in enumerate(["linear", "capacity"])]
    data = data_of("lipid")
    for lane, trial in zip(stacked(trials, data), trials, strict=True):
        assert_same(lane, list(fit(trial, data)))


def test_lanes_that_are_validated_one_by_one_report_the_same() -> None:
    data = data_of("cilia")
    trials = [experiment("cilia", n, kind) for n, kind in enumerate(["constant", "linear"])]
    for apart, together in zip(stacked(trials, data, together=False), stacked(trials, data), strict=True):
        assert_same(apart, together)


def test_dropout_may_differ_between_lanes() -> None:
    data = data_of("fmri")
    trials = [experiment("fmri", n, "linear", {"model.dropout": p}) for n, p in enumerate([0.1, 0.5, 0.0])]
    for lane, trial in zip(stacked(trials, data), trials, strict=True):
        assert_same(lane, list(fit(trial, data)))


@pytest.mark.parametrize("leaves", [True, False])
def test_a_trial_that_comes_back_begins_where_its_new_training_stands(leaves: bool) -> None:
    data, group = data_of("fmri"), ProcessGroup()
    trials = [experiment("fmri", number, "constant") for number in range(2)]
    stack = LaneStack(data, group, 2)
    for number, trial in enumerate(trials):
        stack.add(number, ModelTraining(trial, data, group, None, stacked=True))
    stack.train_epoch(lambda: None)
    if leaves:
        stack.remove(1)
    stack.add(1, ModelTraining(trials[1], data, group, None, stacked=True))
    report = stack.train_epoch(lambda: None)[1]
    assert isinstance(report, EpochReport)
    assert_same([report], list(fit(trials[1], data))[:1])


def test_of_two_that_do_not_fit_together_one_is_named_and_the_other_goes_on() -> None:
    data, group = data_of("fmri"), ProcessGroup()
    stack = LaneStack(data, group, 3)
    for number, hidden in enumerate([[16], [12], [16]]):
        trial = experiment("fmri", number, "constant", {"model.hidden": hidden})
        stack.add(number, ModelTraining(trial, data, group, None, stacked=True))
    found = stack.train_epoch(lambda: None)
    assert isinstance(found[1], UnstackableError) and "a weight" in str(found[1])
    assert all(isinstance(found[number], EpochReport) for number in (0, 2)) and set(stack.trainings) == {0, 2}


def test_what_cannot_be_stacked_says_so_and_leaves() -> None:
    data, group = data_of("fmri"), ProcessGroup()
    stack = LaneStack(data, group, 2)
    for number in range(2):
        trial = experiment("fmri", number, "constant", {"training.amp": "fp16"})
        stack.add(number, ModelTraining(trial, data, group, None, stacked=True))
    found = stack.train_epoch(lambda: None)
    assert sorted(found) == [0, 1] and not stack.trainings
    for error in found.values():
        assert isinstance(error, UnstackableError)
        assert "training.amp is fp16" in str(error)
