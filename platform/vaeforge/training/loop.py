"""Training loop, the only one: `fit` trains a model epoch by epoch, and knows neither Ray nor MLflow.

The ranks of a search's worker groups run it (`search/dispatch/worker.py`), for `tune` and `train` alike, and a
reproduction does in one process. What `fit` learns depends on the experiment and the data alone: not on the number of
ranks (up to rounding), nor on whether it was interrupted and resumed after some epoch. Every source of randomness is
therefore derived from the seed and the epoch or step, and drawn for the whole batch; everything that one epoch leaves
for the next is in the checkpoint (`training_state.py`); anything new must keep to both.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from vaeforge.config.experiment import Experiment
from vaeforge.errors import CheckpointError, ConfigError
from vaeforge.samples import Samples
from vaeforge.seeds import derive
from vaeforge.training.checkpoint import Checkpoint, load_newest, save
from vaeforge.training.checkpoint_files import CHECKPOINT_NAME, best_beside
from vaeforge.training.early_stopping import BestEpoch
from vaeforge.training.gpu_settings import prepare_gpu
from vaeforge.training.lr_schedule import Plateau
from vaeforge.training.process_group import ProcessGroup
from vaeforge.training.resident import ResidentSamples, fits
from vaeforge.training.step_graph import CapturedSteps
from vaeforge.training.step_runner import StepRunner, StreamedSteps
from vaeforge.training.storage import join, name_of, open_storage
from vaeforge.training.train_step import TrainStep
from vaeforge.training.training_state import TrainingState, read_state
from vaeforge.training.validation import validate
from vaeforge_models.vae import VAE, DataSpec, build_seeded

Outcome = Literal["running", "completed", "early_stopped", "nan", "exploded"]


@dataclass(frozen=True)
class TrainingData:
    """What a model is trained on.

    Attributes:
        train: training samples; images have a margin for random crops.
        validation: validation samples, of the size that models see.
        spec: what a model must know of the data to be built.
    """

    train: Samples
    validation: Samples
    spec: DataSpec


@dataclass(frozen=True)
class EpochReport:
    """One epoch.

    Attributes:
        epoch: epochs trained so far.
        metrics: see `validation.validate`, plus `train/...`, `beta`, `lr`, `gradient_norm`.
        value: the training's value so far (see `BestEpoch`), by which trials are compared; after an epoch that was not
            sound that of the best one that counts, none where there is none.
        outcome: `running` when more epochs follow; `nan` where a number is not finite, `exploded` where a gradient was
            above `optimizer.gradient_limit`.
        seconds: this epoch's training, validation and checkpoint, monotonic clock.
        checkpoint: the state after this epoch; none without a folder.
        best: the state after the best epoch so far.
        notes: what a person should know, for instance that a damaged checkpoint was skipped.
    """

    epoch: int
    metrics: dict[str, float]
    value: float | None
    outcome: Outcome
    seconds: float
    checkpoint: Checkpoint | None
    best: Checkpoint | None
    notes: tuple[str, ...] = ()


def fit(
    experiment: Experiment,
    data: TrainingData,
    group: ProcessGroup | None = None,
    folder: Path | str | None = None,
    resume: Sequence[Checkpoint] = (),
    on_step: Callable[[], None] = lambda: None,
    inherited: bool = False,
) -> Iterator[EpochReport]:
    """Train `experiment` and report after each epoch.

    Args:
        experiment: what to train.
        data: raw arrays, the same on every rank.
        group: this rank's view of its group; none trains in this process alone.
        folder: where checkpoints go, a path or a URL (see `storage.py`); none keeps none.
        resume: checkpoints of an earlier attempt in `folder`, any order; the newest sound one is continued.
        on_step: called after each step that proves that the training gets on: an optimiser step, a batch of the
            validation, a part of a checkpoint that was written or uploaded.
        inherited: whether the newest sound one of `resume` comes from another trial (PBT), as every one does that
            `checkpoint_files.inherit` put into `folder`. Taken from it are weights, the optimiser's moments, the epoch
            and which epoch was best; learning rate, schedules and all else are the experiment's own, and a schedule's
            state is kept only by a schedule of the same kind.

    Raises:
        CheckpointError: on all ranks, if a checkpoint cannot be written, or none of `resume` is sound and fits.
    """
    run = ModelTraining(experiment, data, group or ProcessGroup(), folder)
    if resume:
        run.restore(resume, inherited)
    while run.epoch < experiment.training.epochs and not run.finished:
        yield run.train_epoch(on_step)


def untrained(experiment: Experiment, spec: DataSpec) -> VAE:
    """The model of `experiment` with the weights that its training starts from, on the default device.

    Raises:
        ConfigError: if the model's settings do not fit the data.
    """
    seed = derive(experiment.training.seed, "weights")
    try:
        return build_seeded(experiment.definition.build, experiment.model, spec, seed=seed)
    except ValueError as error:
        raise ConfigError(f"model: {error}") from None


class ModelTraining:
    """One training on one rank.

    Args:
        experiment: what to train.
        data: raw arrays, the same on every rank.
        group: this rank's view of its group.
        folder: where checkpoints go; none keeps none.
        stacked: whether its steps are made by a stack of several trainings (`lanes/stack.py`), and only what lies
            between epochs is done here.

    Attributes:
        epoch: epochs trained so far.
        newest: checkpoints for resuming, oldest first; new ones on the main rank only, which writes them.
        best: the checkpoint of the best epoch so far.
        former_best: the one before it, which the last report still names until the next one is out.
        notes: for the next report.
    """

    def __init__(
        self,
        experiment: Experiment,
        data: TrainingData,
        group: ProcessGroup,
        folder: Path | str | None,
        stacked: bool = False,
    ):
        self.experiment, self.data, self.group, self.folder = experiment, data, group, folder
        training, gpu = experiment.training, group.device.type == "cuda" and not stacked
        self.model = untrained(experiment, data.spec).to(group.device)
        if gpu:
            prepare_gpu(self.model, training.tf32)
        self.train_step = TrainStep(experiment, self.model, group, len(data.train), on_device=gpu)
        self.validation: Samples | ResidentSamples = data.validation
        self._steps: StepRunner | None = None if stacked else self._runner()  # a stacked one makes it when it is needed
        self.plateau = Plateau(self.train_step.optimizer, training)
        self.best_epoch = BestEpoch(training.epochs, training.patience, experiment.beta.full_beta_at())
        self.epoch, self.finished = 0, False
        self.newest: list[Checkpoint] = []
        self.best: Checkpoint | None = None
        self.former_best: Checkpoint | None = None
        self.notes: list[str] = []

    def _runner(self) -> StepRunner:
        """How steps run: on a GPU that has room for the samples, all of them lie there."""
        experiment, data, device = self.experiment, self.data, self.group.device
        arguments = (experiment, data.train, data.spec, self.train_step, self.group)
        if not fits([data.train, data.validation], device):
            return StreamedSteps(*arguments)
        self.validation = ResidentSamples.of(data.validation, device)
        mode = experiment.training.compile if self.group.world_size == 1 else "off"
        return CapturedSteps(*arguments, ResidentSamples.of(data.train, device), mode=mode)

    def train_epoch(self, on_step: Callable[[], None]) -> EpochReport:
        """Train, validate and save one epoch."""
        started = time.monotonic()
        self._steps = steps = self._steps or self._runner()
        metrics = self._run_steps(steps, on_step)
        self.notes += steps.notes
        steps.notes.clear()
        return self.conclude(metrics, time.monotonic() - started, on_step)

    def conclude(
        self,
        metrics: dict[str, float],
        seconds: float,
        on_step: Callable[[], None],
        validated: Mapping[str, float] | None = None,
    ) -> EpochReport:
        """Validate and save an epoch whose steps are done; one that is not sound ends the training, and is not saved.

        Args:
            metrics: of its steps.
            seconds: that they took, or their share of those of several trainings.
            on_step: see `fit`.
            validated: `val/` metrics, where they are known already.
        """
        started, training = time.monotonic(), self.experiment.training
        progress = (self.epoch + 1) / training.epochs
        metrics |= {"beta": self.train_step.beta(progress), "lr": self.train_step.lr}
        metrics |= validated or validate(
            self.model, self.validation, self.group, training.evaluation_samples, training.loader_workers, on_step
        )
        self.epoch += 1
        problem = self._problem(metrics)
        if problem is None:
            improved = self._select(metrics["val/nelbo"])
            self._checkpoint(improved, on_step)
        outcome = problem or self._outcome()
        self.finished = outcome != "running"
        checkpoint = self.newest[-1] if self.newest else None
        value = self.best_epoch.value if problem is None else self.best_epoch.best
        notes, self.notes = tuple(self.notes), []
        seconds += time.monotonic() - started
        return EpochReport(self.epoch, metrics, value, outcome, seconds, checkpoint, self.best, notes)

    def _problem(self, metrics: Mapping[str, float]) -> Outcome | None:
        """What is wrong with an epoch: a number that is not finite, or gradients beyond what is allowed."""
        if not all(math.isfinite(metrics[key]) for key in ("val/nelbo", "train/loss", "gradient_norm")):
            return "nan"
        return "exploded" if metrics["gradient_norm"] > self.experiment.optimizer.gradient_limit else None

    def _outcome(self) -> Outcome:
        if self.epoch >= self.experiment.training.epochs:
            return "completed"
        return "early_stopped" if self.best_epoch.exhausted else "running"

    def _run_steps(self, steps: StepRunner, on_step: Callable[[], None]) -> dict[str, float]:
        """One epoch of optimiser steps; train metrics in nats per sample."""
        self.model.train()
        device, seed = self.group.device, self.experiment.training.seed
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            # of what models draw by themselves; the dropout of `vaeforge_models.dropout` is the same on all ranks
            torch.manual_seed(derive(seed, "model", self.epoch, self.group.rank))
            steps.run(self.epoch, on_step)
        return steps.sums.metrics()

    def _select(self, nelbo: float) -> bool:
        """Tell the best epoch and the plateau schedule of this epoch's value; whether it is the best so far."""
        improved = self.best_epoch.update(self.epoch, nelbo)
        if self.best_epoch.is_eligible(self.epoch) and self.experiment.optimizer.schedule == "plateau":
            self.plateau.step(nelbo)
        return improved

    def _checkpoint(self, improved: bool, on_step: Callable[[], None]) -> None:
        """Write this epoch's state; keep the two newest and the best."""
        if self.folder is None:
            return
        problem = None
        if self.group.is_main:
            try:
                file = join(self.folder, f"epoch-{self.epoch:05d}.pt")
                self.newest.append(save(file, self._state().content(), self.epoch, on_step))
            except OSError as error:
                problem = str(error)
        if self.group.any(problem is not None):
            raise CheckpointError(f"epoch {self.epoch}: the checkpoint could not be written: {problem or 'see rank 0'}")
        if improved and self.newest:
            self.former_best, self.best = self.best, self.newest[-1]
        self._tidy()

    def _tidy(self) -> None:
        """Remove all but the two newest files, the best, and the best before it, which the last report still names."""
        if self.folder is None or not self.group.is_main:
            return
        self.newest = self.newest[-2:]
        kept = [c.file for c in [*self.newest, self.best, self.former_best] if c is not None]
        try:
            open_storage(self.folder).keep_only(kept, CHECKPOINT_NAME)
        except OSError as error:  # the state is written; files left over only cost room, and the report says so
            self.notes.append(f"{self.folder}: old checkpoints could not be removed ({error})")

    def _state(self) -> TrainingState:
        return TrainingState(
            epoch=self.epoch,
            model=self.model.state_dict(),
            train_step=self.train_step.state(),
            plateau=self.plateau.state(),
            best_epoch=self.best_epoch.state(),
            best=None if self.best is None else replace(self.best, file=name_of(self.best.file)),
        )

    def restore(self, checkpoints: Sequence[Checkpoint], inherited: bool) -> None:
        """Continue after the newest sound one of `checkpoints`; what was wrong with newer ones is noted."""
        found = load_newest(checkpoints, self.group.device, self.group.any)
        state = read_state(found.content, found.checkpoint.file)
        inherited = inherited or found.checkpoint.inherited
        self.notes += found.problems
        try:
            self.model.load_state_dict(state.model)
        except (KeyError, RuntimeError) as error:
            problem = f"does not fit the model of this experiment ({error})"
            raise CheckpointError(f"{found.checkpoint.file}: {problem}") from error
        self.train_step.restore(state.train_step, inherited)
        if not inherited:  # an inheritor's own plateau schedule starts anew, at its own learning rate
            self.plateau.restore(state.plateau)
        self.best_epoch.restore(state.best_epoch)
        self.epoch = state.epoch
        self.newest = sorted((c for c in checkpoints if c.epoch <= self.epoch), key=lambda c: c.epoch)
        if self.best_epoch.best_epoch == self.epoch:
            self.best = self.newest[-1]
        elif state.best is not None:
            self.best = best_beside(found.checkpoint, state.best)
