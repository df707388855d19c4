"""Steps of samples on the device, and what a GPU's graph repeats of them, against steps that are read batch by batch.

No GPU is needed for what a graph could get wrong in our code: a recording of the operations of one step (torch.fx)
repeats them as a graph does, with every number of the host as it was when it was recorded. A step on torch's `meta`
device, which holds no values, shows what would have made the host wait, or copied something to the device.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from golden.compute import default_dtype
from samples import random_arrays
from steps import SIZES
from vaeforge.config.loader import load
from vaeforge.training.loop import TrainingData, untrained
from vaeforge.training.process_group import ProcessGroup
from vaeforge.training.resident import ResidentSamples
from vaeforge.training.step_runner import ResidentSteps, StepLayout, StepRunner, StreamedSteps
from vaeforge.training.train_step import TrainStep
from vaeforge_models.families import families

EPOCHS = 3  # one step by one, one that is recorded, one that repeats the recording
SLOW = ("cilia", "lipid", "speckle")
# others have a formula for the rate, a state, and less precision, too
LONG = ("linear", "step", "free bits", "geco", "bf16")
SETTINGS: dict[str, dict[str, Any]] = {
    "linear": {"beta.schedule": "linear", "optimizer.schedule": "cosine"},
    "cyclical": {"beta.schedule": "cyclical", "beta.shape": "sigmoid", "optimizer.schedule": "onecycle"},
    "step": {"beta.schedule": "step", "optimizer.name": "adamw", "optimizer.weight_decay": 0.1},
    "capacity": {"beta.schedule": "capacity", "beta.gamma": 10.0, "training.accumulate": 2},
    "free bits": {"beta.schedule": "free_bits", "training.steps_per_epoch": 3},
    "geco": {"beta.schedule": "geco", "beta.tolerance": 5.0},
    "pi": {"beta.schedule": "pi", "beta.target": 1.0, "training.total_correlation": 3.0},
    "fp16": {"training.amp": "fp16"},
    "bf16": {"training.amp": "bf16", "training.augment": False},
}


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    with default_dtype(torch.float64):
        yield


def arrays(family: str) -> TrainingData:
    return random_arrays(families()[family], 13, 4)


def runner(family: str, settings: dict[str, Any], kind: type[StepRunner], device: str = "cpu") -> Any:
    data, group = arrays(family), ProcessGroup(device=torch.device(device))
    given = (
        {
            "training.epochs": EPOCHS,
            "training.patience": EPOCHS,
            "training.batch_size": 5,
            "training.steps_per_epoch": None,
        }
        | {"model.latent_dim": 3}
        | SIZES[family]
        | settings
    )
    experiment = load(Path("nowhere"), family, None, given).experiment
    model = untrained(experiment, data.spec).to(device).train()
    resident = issubclass(kind, ResidentSteps)
    train_step = TrainStep(experiment, model, group, len(data.train), on_device=resident)
    arguments = (experiment, data.train, data.spec, train_step, group)
    return kind(*arguments, ResidentSamples.of(data.train, group.device)) if resident else kind(*arguments)


class RecordedSteps(ResidentSteps):
    """The second step of a form is recorded, and every one after it repeats the recording."""

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self.seen: dict[StepLayout, int] = {}
        self.recordings: dict[StepLayout, Callable[[], None]] = {}

    def _run_step(self, layout: StepLayout) -> None:
        self.seen[layout] = self.seen.get(layout, 0) + 1
        if layout in self.recordings:
            with torch.no_grad():  # gradients are among the operations
                self.recordings[layout]()
        elif self.seen[layout] == 2:
            self.recordings[layout] = make_fx(lambda: self.step(layout))()
        else:
            self.step(layout)


def outcome(steps: StepRunner) -> list[float]:
    """What three epochs report, and the weights after them."""
    found: list[float] = []
    for epoch in range(EPOCHS):
        steps.run(epoch, lambda: None)
        found += [*steps.sums.metrics().values(), steps.train_step.beta((epoch + 1) / EPOCHS), steps.train_step.lr]
    weights = [float(one.abs().sum()) for one in steps.train_step.model.state_dict().values()]
    return found + weights + list(steps.train_step.state().schedule.values())


@pytest.mark.parametrize(
    "settings",
    [pytest.param(one, id=name, marks=[pytest.mark.long] * (name in LONG)) for name, one in SETTINGS.items()],
)
def test_every_schedule_and_precision_learns_the_same(settings: dict[str, Any]) -> None:
    streamed = outcome(runner("fmri", settings, StreamedSteps))
    assert outcome(runner("fmri", settings, ResidentSteps)) == pytest.approx(streamed, rel=1e-9, abs=1e-12)
    assert outcome(runner("fmri", settings, RecordedSteps)) == pytest.approx(streamed, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    "family", [pytest.param(one, marks=[pytest.mark.long] * (one in SLOW)) for one in sorted(families())]
)
def test_every_family_learns_the_same(family: str) -> None:
    streamed = outcome(runner(family, {}, StreamedSteps))
    recorded = runner(family, {}, RecordedSteps)
    assert outcome(recorded) == pytest.approx(streamed, rel=1e-6, abs=1e-9)
    assert {len(one.batches) for one in recorded.recordings} == {1} and len(recorded.recordings) == 2  # 5 + 5, 3


class NothingFromTheHost(TorchDispatchMode):
    """Fails where an operation takes a value from the host's memory."""

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        given = [one for one in tree_leaves((arguments, options)) if isinstance(one, torch.Tensor)]
        assert "lift_fresh" not in str(function), "a tensor made of a number of the host"
        assert all(one.device.type == "meta" for one in given), f"{function} takes a tensor of the host"
        return function(*arguments, **(options or {}))


@pytest.mark.parametrize("family", sorted(families()))
@pytest.mark.parametrize("settings", ["cyclical", "geco", "pi"])
def test_the_host_takes_no_part_in_a_step(family: str, settings: str) -> None:
    steps = runner(family, SETTINGS[settings], ResidentSteps, "meta")
    steps.step(steps._layouts[0])  # what is kept of each weight is made in the first one
    with NothingFromTheHost():
        steps.step(steps._layouts[0])


def test_waiting_for_a_number_would_be_noticed() -> None:
    steps = runner("fmri", SETTINGS["geco"], ResidentSteps, "meta")
    steps.train_step.on_device = False
    with pytest.raises((RuntimeError, NotImplementedError), match=r"meta"):
        steps.step(steps._layouts[0])
