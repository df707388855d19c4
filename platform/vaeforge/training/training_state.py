"""The state of a training as a checkpoint holds it: one record, its reader and its writer.

The keys in a file are those of the first version, so that old checkpoints stay readable.
"""

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from vaeforge.errors import CheckpointError
from vaeforge.training.checkpoint_files import Checkpoint
from vaeforge.training.early_stopping import BestEpochState
from vaeforge.training.lr_schedule import PlateauState
from vaeforge.training.train_step import TrainStepState


@dataclass(frozen=True)
class TrainingState:
    """A training after `epoch` epochs.

    Attributes:
        epoch: epochs trained so far.
        model: the weights, by name.
        train_step: optimiser, schedule and scaler.
        plateau: what the plateau schedule has seen; early checkpoints hold all of torch's `ReduceLROnPlateau`.
        best_epoch: which epoch counts so far.
        best: the checkpoint of that epoch by its name within the storage; none where it is this one.
    """

    epoch: int
    model: dict[str, Tensor]
    train_step: TrainStepState
    plateau: PlateauState
    best_epoch: BestEpochState
    best: Checkpoint | None

    def content(self) -> dict[str, Any]:
        """Tensors and plain values for a file; `read_state` reads them."""
        step = self.train_step
        return {
            "epoch": self.epoch,
            "model": self.model,
            "descent": {
                "optimizer": step.optimizer,
                "kind": step.schedule_kind,
                "schedule": step.schedule,
                "scaler": step.scaler,
            },
            "plateau": self.plateau,
            "selection": asdict(self.best_epoch),
            "best": None if self.best is None else [self.best.file, self.best.sha256, self.best.epoch],
        }


def read_state(content: dict[str, Any], file: str) -> TrainingState:
    """What `TrainingState.content` made.

    Args:
        content: of the checkpoint.
        file: it was read from, for messages.

    Raises:
        CheckpointError: if it is not the state of a training.
    """
    try:
        step = content["descent"]
        return TrainingState(
            epoch=int(content["epoch"]),
            model=content["model"],
            train_step=TrainStepState(step["optimizer"], step["kind"], dict(step["schedule"]), step["scaler"]),
            plateau=content["plateau"],
            best_epoch=BestEpochState(**content["selection"]),
            best=None if content["best"] is None else Checkpoint(*content["best"]),
        )
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{file}: is not the state of a training ({error!r})") from error
