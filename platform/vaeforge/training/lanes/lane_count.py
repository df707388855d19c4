"""Number of lanes that a device trains best: stacks of more and more copies of a trial, a few steps of each.

What counts is samples a second of all lanes together. A GPU whose steps are bound by launches gains almost all of each
further lane; a processor, whose caches one training fills, mostly nothing.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch

from vaeforge.config.experiment import Experiment
from vaeforge.training.batches import epoch_batches
from vaeforge.training.gradient_step import StepNumber
from vaeforge.training.lanes.padding import UnstackableError
from vaeforge.training.lanes.stack import LaneStack
from vaeforge.training.loop import ModelTraining, TrainingData
from vaeforge.training.out_of_memory import is_out_of_memory
from vaeforge.training.process_group import ProcessGroup

FACTOR = 4  # from one number of lanes to the next
WORTH = 1.1  # times the samples a second, for which more lanes are taken
MEMORY_SHARE = 0.8  # of a GPU's free memory that a stack may take
WARM_UP, COUNTED = 2, 6  # steps before those whose time is taken, and those
SECONDS = 4.0  # that the next larger stack may be expected to take, in all its steps


@dataclass(frozen=True)
class LaneChoice:
    """How many lanes to train with, and what was measured, in a sentence."""

    lanes: int
    note: str


def best_lanes(experiment: Experiment, data: TrainingData, group: ProcessGroup, most: int) -> LaneChoice:
    """The number of lanes, 1, 4, 16, … up to `most`, that trains most samples a second and fits.

    Args:
        experiment: of a trial like those to come.
        data: of all of them.
        group: of one rank.
        most: trials that there are.
    """
    found: dict[int, float] = {}  # seconds of a step by the number of lanes
    chosen, problem = 1, ""
    for lanes in _counts(most):
        try:
            found[lanes] = _alone(experiment, data, group) if lanes == 1 else _stacked(experiment, data, group, lanes)
        except (UnstackableError, MemoryError, RuntimeError) as error:
            if not isinstance(error, UnstackableError) and not is_out_of_memory(error):
                raise
            problem = f"; {lanes} lanes cannot be had ({str(error).splitlines()[0]})"
            break
        if found[lanes] / lanes * WORTH > found[chosen] / chosen and lanes > 1:
            break
        chosen = lanes
        if not _room(group) or found[lanes] * FACTOR * (COUNTED + WARM_UP) > SECONDS:
            break
    torch.cuda.empty_cache()
    measured = ", ".join(f"{1e3 * took:.2f} ms with {lanes}" for lanes, took in found.items())
    return LaneChoice(chosen, f"search.lanes auto: a step of all lanes takes {measured}{problem}; lanes: {chosen}")


def _counts(most: int) -> Iterator[int]:
    lanes = 1
    while lanes <= max(1, most):
        yield lanes
        lanes *= FACTOR


def _alone(experiment: Experiment, data: TrainingData, group: ProcessGroup) -> float:
    """Seconds of a step of one trial; on a GPU those of a stack of one, whose graph is the same."""
    if group.device.type == "cuda":
        return _stacked(experiment, data, group, 1)
    training = ModelTraining(experiment, data, group, None)
    training.model.train()
    batches = epoch_batches(experiment, data.train, data.spec, training.model.latent_dim, 0, group)
    started = 0.0
    done = 0
    for number, parts in enumerate(islice(batches, COUNTED + WARM_UP)):
        if number == WARM_UP:
            started = time.perf_counter()
        training.train_step.step(parts, StepNumber(number, COUNTED + WARM_UP))
        done = number + 1 - WARM_UP
    return (time.perf_counter() - started) / done if done > 0 else 0.0


def _stacked(experiment: Experiment, data: TrainingData, group: ProcessGroup, lanes: int) -> float:
    """Seconds of a step of `lanes` trials that differ in their seeds."""
    stack = LaneStack(data, group, lanes)
    for number in range(lanes):
        settings = experiment.training.model_copy(update={"seed": number})
        trial = experiment.model_copy(update={"training": settings})
        stack.add(number, ModelTraining(trial, data, group, None, stacked=True))
    return stack.seconds_a_step(WARM_UP, COUNTED)


def _room(group: ProcessGroup) -> bool:
    """Whether a GPU has memory for the next larger stack; a processor's is not what ends this."""
    if group.device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(group.device)
    taken = torch.cuda.max_memory_allocated(group.device)
    return taken * FACTOR <= MEMORY_SHARE * (free + taken)
