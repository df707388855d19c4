"""A stack: trainings that share a device as one model, each of which comes and goes at the end of any epoch.

Between epochs every training is complete by itself: the stack copies back to it what its lane has learned, and what
lies between epochs (validation, checkpoints, the best epoch, plateaus, resuming, inheriting) is done there by the same
code as for a training alone. So a stack is built, refilled and left by copying rows, and whatever befalls it costs at
most the epoch that it is in.

A captured step stays valid while lanes are refilled. It is made anew where a stack grows, shrinks, takes a model with
more latents than it has, or a kind of schedule that it does not compute.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import torch

from vaeforge.errors import CheckpointError
from vaeforge.samples import Samples
from vaeforge.training.gpu_settings import use_tf32
from vaeforge.training.lanes.lane_runner import LaneEpoch, LaneRunner
from vaeforge.training.lanes.lane_step import LaneStep
from vaeforge.training.lanes.lane_validation import validate_lanes
from vaeforge.training.lanes.padding import UnstackableError
from vaeforge.training.loop import EpochReport, ModelTraining, TrainingData, untrained
from vaeforge.training.out_of_memory import is_out_of_memory
from vaeforge.training.process_group import ProcessGroup
from vaeforge.training.resident import ResidentSamples, fits

WRITERS = 8  # of checkpoints at once: each waits for the disk, or for a storage far away
SPARE = 2  # times the lanes that a new stack would have, above which a smaller one is built
PROBED = 2  # samples on which a lane is compared with its own model when it is filled
TOLERANCE = {"off": 1e-3, "bf16": 5e-2}  # of that, relative: errors of stacking are not of that size, but whole


@dataclass(frozen=True)
class _Built:
    """A stack of a size.

    Attributes:
        step: of its lanes.
        runner: of their epochs.
        held: the training in each lane, by its number; none for lanes that compute for nobody.
        unproved: lanes that were filled and have not been compared with their own models.
    """

    step: LaneStep
    runner: LaneRunner
    held: list[int | None]
    unproved: set[int]


@dataclass
class LaneStack:
    """See the module's docstring.

    Args:
        data: of all trainings.
        group: of one rank.
        lanes: most trainings at once.
        widest: latent dimensions of the largest model to come, as far as that is known.
        together: whether all lanes are validated at once; none: on a GPU.

    Attributes:
        trainings: that go on, by the numbers that their owner gave them.
    """

    data: TrainingData
    group: ProcessGroup
    lanes: int
    widest: int = 0
    together: bool | None = None
    trainings: dict[int, ModelTraining] = field(default_factory=dict)
    _built: _Built | None = None
    _resident: tuple[ResidentSamples, ResidentSamples] | None = None

    def add(self, number: int, training: ModelTraining) -> None:
        """Let a training, made with `stacked`, take part from the next epoch on; another one of its number leaves."""
        self.remove(number)
        self.trainings[number] = training

    def remove(self, number: int) -> None:
        """Let a training leave; what it has learned is with it."""
        self.trainings.pop(number, None)
        if self._built is not None and number in self._built.held:
            self._built.held[self._built.held.index(number)] = None

    def train_epoch(self, on_step: Callable[[], None]) -> dict[int, EpochReport | Exception]:
        """Train an epoch of every training; what each has to report, or why it cannot go on here.

        A training that cannot be stacked (`UnstackableError`) or saved (`CheckpointError`) has left the stack.
        """
        found: dict[int, EpochReport | Exception] = {}
        if len(self.trainings) == 1 and not self._on_gpu:  # a stack of one is no quicker than the training itself
            return self._train_alone(on_step)
        started = time.monotonic()
        built = self._ready(found)
        if built is None:
            return found
        runs = [self._epoch_of(number) for number in built.held]
        built.runner.run(runs, on_step)
        for lane, number in enumerate(built.held):
            if number is not None:
                built.step.take(lane, self.trainings[number].train_step)
        rows = built.runner.sums.by_lane()
        validated = self._validated(built, on_step)
        notes, built.runner.notes[:] = list(built.runner.notes), []
        for training in self.trainings.values():
            training.notes += notes
        ends = self._concluded(built, rows, validated, on_step)
        share = (time.monotonic() - started) / len(ends)
        for number, end in ends.items():
            found[number] = self._left_if_over(
                number, end if isinstance(end, Exception) else replace(end, seconds=share)
            )
        return found

    def _train_alone(self, on_step: Callable[[], None]) -> dict[int, EpochReport | Exception]:
        """The same for the only training there is, by its own steps."""
        ((number, training),) = self.trainings.items()
        self._built = None
        return {number: self._left_if_over(number, _tried(lambda: training.train_epoch(on_step)))}

    def seconds_a_step(self, warm_up: int, counted: int) -> float:
        """How long a step of all trainings takes; what they learn by it is thrown away with the stack.

        Raises:
            UnstackableError: if one of them cannot be stacked.
        """
        found: dict[int, EpochReport | Exception] = {}
        built = self._ready(found)
        if built is None or found:
            raise UnstackableError(str(next(iter(found.values()))))
        runs = [self._epoch_of(number) for number in built.held]
        return built.runner.seconds_a_step(runs, warm_up, counted)

    def _concluded(
        self,
        built: _Built,
        rows: Sequence[dict[str, float]],
        validated: Sequence[dict[str, float] | None],
        on_step: Callable[[], None],
    ) -> dict[int, EpochReport | Exception]:
        """The end of an epoch in each lane; of lanes that are validated, so that only checkpoints are left, at once."""
        lanes = {number: lane for lane, number in enumerate(built.held) if number is not None}
        one_at_a_time = threading.Lock()

        def step() -> None:
            with one_at_a_time:
                on_step()

        def end(number: int) -> EpochReport | Exception:
            lane, training = lanes[number], self.trainings[number]
            return _tried(lambda: training.conclude(rows[lane], 0.0, step, validated[lane]))

        writers = 1 if None in [validated[lane] for lane in lanes.values()] else min(WRITERS, len(lanes))
        if writers == 1:
            return {number: end(number) for number in lanes}
        with ThreadPoolExecutor(writers, thread_name_prefix="checkpoints") as pool:
            return dict(zip(lanes, pool.map(end, lanes), strict=True))

    def _left_if_over(self, number: int, end: EpochReport | Exception) -> EpochReport | Exception:
        """An epoch's end, after which the training leaves where it is over or could not be saved."""
        if isinstance(end, Exception) or self.trainings[number].finished:
            self.remove(number)
        return end

    def _validated(self, built: _Built, on_step: Callable[[], None]) -> Sequence[dict[str, float] | None]:
        """The `val/` metrics of each lane; none of any where each training validates its own model."""
        if not (self._on_gpu if self.together is None else self.together):
            return [None] * len(built.held)
        models = [None if number is None else self.trainings[number].model for number in built.held]
        first = next(iter(self.trainings.values()))
        samples = first.experiment.training.evaluation_samples
        return validate_lanes(built.step, models, first.validation, samples, on_step)

    def _epoch_of(self, number: int | None) -> LaneEpoch:
        """What a lane trains next; one that is nobody's repeats another's."""
        training = self.trainings[number if number is not None else next(iter(self.trainings))]
        return LaneEpoch(training.experiment, training.model.latent_dim, training.epoch)

    # what is stacked

    def _ready(self, found: dict[int, EpochReport | Exception]) -> _Built | None:
        """A stack that holds all trainings, without those that cannot be stacked."""
        while self.trainings:
            built = self._refilled() or self._fresh(found)
            if built is None:
                continue
            misfits = self._misfits(built)
            if not misfits:
                self._built = built
                return built
            for number, error in misfits.items():
                self.remove(number)
                found[number] = error
            self._built = None
        self._built = None
        return None

    def _refilled(self) -> _Built | None:
        """The present stack with this epoch's trainings in it; none where another one is needed."""
        built = self._built
        if built is None or not self._fitting(built):
            return None
        for number in [one for one in self.trainings if one not in built.held]:
            lane = built.held.index(None)
            try:
                same = built.step.put(lane, self.trainings[number].train_step)
            except UnstackableError:
                return None  # told when all of them are stacked anew
            if not same:
                return None
            built.held[lane] = number
            built.unproved.add(lane)
        for number, training in self.trainings.items():
            built.step.refresh(built.held.index(number), training.train_step)
        return built

    def _fitting(self, built: _Built) -> bool:
        count, size = len(self.trainings), len(built.held)
        wide = max(training.model.latent_dim for training in self.trainings.values())
        sized = count <= size <= SPARE * self._size(count) if self._on_gpu else count == size
        return sized and wide <= built.step.model.latent_dim

    def _size(self, count: int) -> int:
        """Lanes of a new stack of `count` trainings: on a GPU with room for as many more, which cost it little."""
        return max(count, min(self.lanes, 2 * count)) if self._on_gpu else count

    def _fresh(self, found: dict[int, EpochReport | Exception]) -> _Built | None:
        """A new stack of all trainings; none where one of them turned out not to fit, which has left."""
        numbers = list(self.trainings)
        first = self.trainings[numbers[0]]
        settings = first.experiment.model
        widest = max([*(one.model.latent_dim for one in self.trainings.values()), self.widest if self._on_gpu else 0])
        shaped = first.experiment.model_copy(update={"model": settings.model_copy(update={"latent_dim": widest})})
        model = untrained(shaped, self.data.spec).to(self.group.device)
        if self._on_gpu:
            use_tf32(shaped.training.tf32)
        size = self._size(len(numbers))
        held: list[int | None] = [*numbers, *[None] * (size - len(numbers))]
        trainings = [self.trainings[n if n is not None else numbers[0]].train_step for n in held]
        try:
            step = LaneStep(shaped, model, self.group, len(self.data.train), trainings)
            runner = LaneRunner(shaped, self.data.train, self._source(), self.data.spec, step, size)
        except UnstackableError as error:
            misfit = numbers[-1] if error.lane is None else held[error.lane]
            assert misfit is not None
            self.remove(misfit)
            found[misfit] = error
            return None
        for training in self.trainings.values():
            training.validation = self._resident[1] if self._resident else self.data.validation
        return _Built(step, runner, held, {lane for lane, number in enumerate(held) if number is not None})

    @property
    def _on_gpu(self) -> bool:
        return self.group.device.type == "cuda"

    def _source(self) -> Samples | ResidentSamples:
        """The training samples, on a GPU where they are to be."""
        if not self._on_gpu:
            return self.data.train
        if self._resident is None:
            if not fits([self.data.train, self.data.validation], self.group.device):
                raise UnstackableError("its samples do not fit into half of the GPU's memory")
            parts = (ResidentSamples.of(one, self.group.device) for one in (self.data.train, self.data.validation))
            self._resident = (next(parts), next(parts))
        return self._resident[0]

    def _misfits(self, built: _Built) -> dict[int, UnstackableError]:
        """Trainings in new lanes that do not compute what their own models do, as on a few samples."""
        new, found = {lane: built.held[lane] for lane in built.unproved}, dict[int, UnstackableError]()
        built.unproved.clear()
        if not new:
            return found
        raw, condition = self.data.validation.tensors(slice(0, PROBED), self.group.device)
        try:
            stacked = built.step.probe(raw, condition)
        except Exception as error:  # whatever vmap, or the model within it, refuses
            if is_out_of_memory(error):
                raise
            why = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            refused = UnstackableError(f"its model cannot be computed as one of several ({why})")
            return {number: refused for number in new.values() if number is not None}
        for lane, number in new.items():
            assert number is not None
            training = self.trainings[number]
            own = built.step.probe_alone(training.train_step, raw, condition)
            if not torch.allclose(
                stacked[lane], own, rtol=TOLERANCE[training.experiment.training.amp], atol=1e-3, equal_nan=True
            ):
                found[number] = UnstackableError("its model computes something else as one of several")
        return found


def _tried(epoch: Callable[[], EpochReport]) -> EpochReport | Exception:
    """An epoch's report, or why its checkpoint could not be written."""
    try:
        return epoch()
    except CheckpointError as error:
        return error
