"""Random traffic through a stack of lanes: trials come, end, fail, are stopped, leave and come back at any epoch.

Whatever happens beside it, a trial that was trained through the stack, in one go or from its checkpoints, has learned
what it learns alone.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch

from golden.compute import default_dtype
from samples import random_arrays
from vaeforge.config.experiment import Experiment
from vaeforge.config.loader import load
from vaeforge.training.checkpoint_files import Checkpoint
from vaeforge.training.lanes.stack import LaneStack
from vaeforge.training.loop import EpochReport, ModelTraining, fit
from vaeforge.training.process_group import ProcessGroup
from vaeforge_models.families import families
from vaeforge_models.schedules import SCHEDULES

LANES = 8
SEED = 2  # under which few trials end in every way
PROMISED = 1e-6  # relative
DIVERGED = 1e3  # of a gradient's norm, above which rounding decides what comes next


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    with default_dtype(torch.float64):
        yield


@dataclass
class Passenger:
    """A trial on its way through the stack.

    Attributes:
        experiment: what it is.
        stop_after: the epoch after which it is stopped from outside.
        leave_after: the epoch after which it leaves, to come back from its checkpoints.
        reports: of its epochs, the newest of each.
        checkpoints: to come back from.
    """

    experiment: Experiment
    stop_after: int
    leave_after: int
    reports: dict[int, EpochReport] = field(default_factory=dict)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    over: bool = False

    def take(self, report: EpochReport) -> None:
        self.reports[report.epoch] = report
        if report.checkpoint is not None:
            self.checkpoints = [*self.checkpoints, report.checkpoint][-2:]
        self.over = report.outcome != "running" or report.epoch >= self.stop_after


def drawn(number: int, dice: random.Random) -> Passenger:
    epochs = dice.randint(1, 4)
    settings = {
        "model.hidden": [8],
        "model.latent_dim": dice.randint(1, 6),
        "model.dropout": dice.choice([0.1, 0.3]),
        "beta.schedule": dice.choice(list(SCHEDULES)),
        "optimizer.lr": dice.choice([1e-3, 1e-2, 10.0]),
        "optimizer.schedule": dice.choice(["constant", "plateau", "cosine", "onecycle"]),
        "optimizer.gradient_limit": dice.choice([1e8, 40.0]),
        "training.epochs": epochs,
        "training.patience": dice.randint(1, 3),
        "training.plateau_patience": 0,
        "training.batch_size": 5,
        "training.steps_per_epoch": None,
        "training.seed": number,
        "training.evaluation_samples": 1,
    }
    return Passenger(
        load(Path("nowhere"), "fmri", None, settings).experiment,
        stop_after=dice.choice([epochs, epochs, dice.randint(1, epochs)]),
        leave_after=dice.choice([0, 0, dice.randint(1, epochs)]),
    )


@pytest.mark.parametrize(("trials", "seed"), [(24, SEED), pytest.param(200, 200, marks=pytest.mark.long)])
def test_traffic_changes_nothing_that_a_trial_learns(trials: int, seed: int, tmp_path: Path) -> None:
    dice, group = random.Random(seed), ProcessGroup()
    data = random_arrays(families()["fmri"], 13, 4)
    passengers = {number: drawn(number, dice) for number in range(trials)}
    waiting, stack = list(passengers), LaneStack(data, group, LANES)
    while waiting or stack.trainings:
        while waiting and len(stack.trainings) < dice.randint(1, LANES):
            number = waiting.pop(0)
            one = passengers[number]
            training = ModelTraining(one.experiment, data, group, tmp_path / str(number), stacked=True)
            if one.checkpoints:
                training.restore(one.checkpoints, inherited=False)
            stack.add(number, training)
        for number, report in stack.train_epoch(lambda: None).items():
            assert isinstance(report, EpochReport), report
            one = passengers[number]
            one.take(report)
            if one.over:
                stack.remove(number)
            elif report.epoch == one.leave_after:
                one.leave_after = 0
                stack.remove(number)
                waiting.append(number)

    ends = set()
    for one in passengers.values():
        for alone in fit(one.experiment, data):
            found = one.reports[alone.epoch]
            diverged = not alone.metrics["gradient_norm"] < DIVERGED
            if diverged:  # both have failed by then, or learn from numbers without a meaning
                break
            assert found.metrics == pytest.approx(alone.metrics, rel=PROMISED, abs=1e-9)
            plain = {"metrics": {}, "seconds": 0, "value": None, "checkpoint": None, "best": None}
            assert replace(found, **plain) == replace(alone, **plain)
            ends.add(alone.outcome)
            if alone.epoch == one.stop_after:
                break
    assert ends >= {"running", "completed", "early_stopped", "exploded"}


def test_a_lane_that_is_not_a_number_leaves_the_others_to_the_last_bit() -> None:
    data, group = random_arrays(families()["fmri"], 13, 4), ProcessGroup()
    trials = []
    for number in range(3):
        settings = {"model.hidden": [8], "model.latent_dim": 3, "training.epochs": 3, "training.seed": number}
        given = {"training.batch_size": 5, "training.steps_per_epoch": None, **settings}
        trials.append(load(Path("nowhere"), "fmri", None, given).experiment)

    def run(broken: bool) -> list[EpochReport]:
        stack, found = LaneStack(data, group, 3), list[EpochReport]()
        trainings = [ModelTraining(trial, data, group, None, stacked=True) for trial in trials]
        if broken:
            with torch.no_grad():
                next(trainings[1].model.decoder.parameters())[0, 0] = math.nan
        for number, training in enumerate(trainings):
            stack.add(number, training)
        while stack.trainings:
            for number, report in stack.train_epoch(lambda: None).items():
                assert isinstance(report, EpochReport), report
                if number == 1:
                    assert (report.outcome == "nan") == broken
                else:
                    found.append(replace(report, seconds=0.0))
        return found

    assert run(broken=True)[:2] == run(broken=False)[:2]  # of the epoch in which it was there
