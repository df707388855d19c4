"""The learning rate of each optimiser step: by the number of the step, or by what validation says (plateau).

What follows from the step's number needs no state in a checkpoint. Steps are numbered as torch's schedulers number
them: the first step is 0 and takes the rate at the beginning of the schedule, the last one is `total - 1`.
"""

import math
from dataclasses import dataclass

import torch

from vaeforge.config.experiment import Training
from vaeforge_models.scalars import Scalar, cosine, where

RISING, START_DIVISOR, END_DIVISOR = 0.3, 25.0, 1e4  # of OneCycleLR: pct_start, div_factor, final_div_factor
HIGHEST_MOMENTUM, LOWEST_MOMENTUM = 0.95, 0.85  # likewise, of Adam its beta1
PlateauState = dict[str, float]


@dataclass(frozen=True)
class StepOptions:
    """What an optimiser step takes: the learning rate, and Adam's beta1 where the schedule cycles it."""

    lr: Scalar
    beta1: Scalar | None = None


def options_at(schedule: str, lr: Scalar, step: Scalar, total: Scalar) -> StepOptions | None:
    """The options of optimiser step `step`, in 0..total-1; none where they do not follow from its number.

    `schedule` is that of the learning rate `lr`; all numbers may be those of several trainings, [K].

    cosine: `CosineAnnealingLR`, lr (1 + cos(pi step / total)) / 2 (Loshchilov and Hutter 2017, no restarts). onecycle:
    `OneCycleLR` with torch's defaults (Smith and Topin 2019): from lr / 25 up to lr at step 0.3 total - 1, then down to
    lr / 250,000 at the last step, while beta1 goes from 0.95 to 0.85 and back, all along half a cosine.
    """
    if schedule == "cosine":
        return StepOptions(cosine_anneal(lr, 0.0, step / total))
    if schedule == "onecycle":
        return _one_cycle(lr, step, total)
    return None


def _one_cycle(lr: Scalar, step: Scalar, total: Scalar) -> StepOptions:
    start, turn = lr / START_DIVISOR, RISING * total - 1  # before the first step where there are three steps or fewer
    rising = step <= turn
    up = step / where(turn == 0, 1.0, turn)
    down = (step - turn) / (total - 1 - turn)
    return StepOptions(
        where(rising, cosine_anneal(start, lr, up), cosine_anneal(lr, start / END_DIVISOR, down)),
        where(
            rising,
            cosine_anneal(HIGHEST_MOMENTUM, LOWEST_MOMENTUM, up),
            cosine_anneal(LOWEST_MOMENTUM, HIGHEST_MOMENTUM, down),
        ),
    )


def cosine_anneal(first: Scalar, last: Scalar, t: Scalar) -> Scalar:
    """From `first` at t = 0 to `last` at t = 1 along half a cosine."""
    return last + (first - last) * 0.5 * (1 + cosine(math.pi * t))


class Plateau:
    """The learning rate times a factor after `plateau_patience` epochs without an improvement and one more.

    An improvement is any lower number, as for the best epoch and for early stopping. torch's default threshold is
    relative, best * (1 - 1e-4): for a negative number, as `val/nelbo` is for pictures once their mean squared error is
    below 1 / (2 pi e) = 0.0585, that lies *above* the best, so that one that stays the same, or gets worse, counts as
    better. A threshold above 0 would have to know the size of the data; noise needs none, as validation draws the same
    noise every time.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, training: Training):
        self._torch = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer,
            factor=training.plateau_factor,
            patience=training.plateau_patience,
            threshold=0.0,
            threshold_mode="abs",
        )

    def step(self, number: float) -> None:
        """Take note of an epoch's number; the smaller the better."""
        self._torch.step(number)

    def state(self) -> PlateauState:
        """What has been seen, for a checkpoint."""
        return {name: getattr(self._torch, name) for name in ("best", "num_bad_epochs", "last_epoch")}

    def restore(self, state: PlateauState) -> None:
        """Go on from `state`, or from all that torch's scheduler hands out, as early checkpoints hold it.

        The threshold and the settings in those are not taken over.
        """
        own = self.state()
        for name in own:
            setattr(self._torch, name, state[name])
