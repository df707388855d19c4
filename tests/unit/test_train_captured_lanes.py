"""What a GPU's graph repeats of the steps of several lanes, and that the host takes no part in them.

As for the steps of one training (`test_train_captured_steps.py`): a recording of one step repeats it as a graph does,
and a step on the `meta` device shows what would have made the host wait.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from contracts.test_lanes import assert_same, data_of, experiment
from golden.compute import default_dtype
from steps import SIZES
from vaeforge.training.lanes.lane_runner import LaneRunner
from vaeforge.training.lanes.lane_step import LaneStep
from vaeforge.training.lanes.lane_weights import LaneWeights
from vaeforge.training.lanes.stack import LaneStack
from vaeforge.training.loop import EpochReport, ModelTraining, fit, untrained
from vaeforge.training.process_group import ProcessGroup
from vaeforge.training.resident import ResidentSamples
from vaeforge.training.step_runner import StepLayout
from vaeforge.training.train_step import TrainStep


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    with default_dtype(torch.float64):
        yield


class Recording:
    """In the place of `StepCapture`: the second step of a form is recorded, every later one repeats that."""

    def __init__(self, step: Callable[[StepLayout], None]):
        self.step = step
        self.seen: dict[StepLayout, int] = {}
        self.recordings: dict[StepLayout, Callable[[], None]] = {}
        self.repeated = 0

    def run(self, layout: StepLayout) -> None:
        self.seen[layout] = self.seen.get(layout, 0) + 1
        if layout in self.recordings:
            self.repeated += 1
            with torch.no_grad():
                self.recordings[layout]()
        elif self.seen[layout] == 2:
            self.recordings[layout] = make_fx(lambda: self.step(layout))()
        else:
            self.step(layout)

    def keep_pace(self, on_step: Callable[[], None]) -> None:
        on_step()

    def drain(self, on_step: Callable[[], None]) -> None:
        pass


class RecordedStack(LaneStack):
    """A stack whose steps are recorded; `recording` is that of the newest stack."""

    recording: Recording

    def _ready(self, found: Any) -> Any:
        built = super()._ready(found)
        if built is not None and built.runner._capture is None:
            self.recording = Recording(built.runner.step)
            built.runner._capture = self.recording
            built.runner._source = ResidentSamples.of(self.data.train, self.group.device)
        return built


@pytest.mark.slow
def test_a_recorded_step_stands_for_lanes_that_are_refilled() -> None:
    data, group = data_of("fmri"), ProcessGroup()
    kinds = ["linear", "geco", "free_bits", "geco", "linear", "pi"]
    trials = [experiment("fmri", n, kind, {"model.latent_dim": 4 - n % 2}) for n, kind in enumerate(kinds)]
    found: dict[int, list[EpochReport]] = {n: [] for n in range(len(trials))}
    stack, waiting = RecordedStack(data, group, 3, together=True), list(range(len(trials)))
    recordings = []
    while waiting or stack.trainings:
        while waiting and len(stack.trainings) < 3:
            number = waiting.pop(0)
            stack.add(number, ModelTraining(trials[number], data, group, None, stacked=True))
        for number, report in stack.train_epoch(lambda: None).items():
            assert isinstance(report, EpochReport), report
            found[number].append(report)
        recordings.append(stack.recording)
    assert max(one.repeated for one in recordings) >= 4  # through epochs in which lanes were refilled
    for number, trial in enumerate(trials):
        assert_same(found[number], list(fit(trial, data)))


class NoValuesOfTheHost(TorchDispatchMode):
    """Fails where an operation takes values from the host's memory; what vmap makes of a Python number is none."""

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        given = [one for one in tree_leaves((arguments, options)) if isinstance(one, torch.Tensor) and one.dim()]
        assert "lift_fresh" not in str(function), "a tensor made of a number of the host"
        assert all(one.device.type == "meta" for one in given), f"{function} takes a tensor of the host"
        return function(*arguments, **(options or {}))


@pytest.mark.parametrize("family", sorted(SIZES))
def test_the_host_takes_no_part_in_a_step_of_lanes(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LaneWeights, "_require_same_constants", lambda *_: None)  # which compares values
    data, here, there = data_of(family), ProcessGroup(), ProcessGroup(device=torch.device("meta"))
    kinds = ["cyclical", "geco", "pi", "free_bits", "capacity", "step"]
    trials = [experiment(family, n, kind, {"model.latent_dim": 3}) for n, kind in enumerate(kinds)]
    trainings = [TrainStep(t, untrained(t, data.spec), here, len(data.train)) for t in trials]
    model = untrained(trials[0], data.spec).to("meta")
    step = LaneStep(trials[0], model, there, len(data.train), trainings)
    resident = ResidentSamples.of(data.train, there.device)
    runner = LaneRunner(trials[0], data.train, resident, data.spec, step, len(trials))
    runner.step(runner._layouts[0])
    with NoValuesOfTheHost():
        runner.step(runner._layouts[0])
