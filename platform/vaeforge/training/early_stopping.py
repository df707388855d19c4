"""The best epoch of a training, and the patience that ends it.

A schedule's early epochs train under a beta below its largest one, and their `val/nelbo` says little about where the
training ends. So a training's value is its best `val/nelbo` at or after the first epoch at whose end beta has been
full; patience starts there too. Before that, the value is the newest number, for whoever must compare anyway.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class BestEpochState:
    """What a `BestEpoch` has seen.

    Attributes:
        best: the lowest number among eligible epochs; none before the first one.
        best_epoch: the epoch of that number; before it, the newest epoch.
        newest: the number of the newest epoch.
        stale: eligible epochs since the best one.
    """

    best: float | None = None
    best_epoch: int | None = None
    newest: float | None = None
    stale: int = 0


class BestEpoch:
    """The value of one training, its best epoch, and whether patience has run out."""

    def __init__(self, epochs: int, patience: int, full_beta_at: float):
        self.first_epoch = first_eligible_epoch(epochs, full_beta_at)
        self.patience = patience
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.newest: float | None = None
        self.stale = 0

    @property
    def value(self) -> float | None:
        return self.newest if self.best is None else self.best

    @property
    def exhausted(self) -> bool:
        return self.stale >= self.patience

    def is_eligible(self, epoch: int) -> bool:
        """Whether beta has been full at the end of `epoch`."""
        return epoch >= self.first_epoch

    def update(self, epoch: int, number: float) -> bool:
        """Take note of an epoch's number; whether it is the best one that counts, or comes before any that does.

        A training that inherited its weights may know a best epoch of its donor's before its own beta is full; only an
        epoch that counts takes that one's place.
        """
        self.newest = number
        if not self.is_eligible(epoch):
            if self.best is not None:
                return False
            self.best_epoch = epoch
            return True
        if self.best is None or number < self.best:
            self.best, self.best_epoch, self.stale = number, epoch, 0
            return True
        self.stale += 1
        return False

    def state(self) -> BestEpochState:
        """What has been seen, for a checkpoint."""
        return BestEpochState(self.best, self.best_epoch, self.newest, self.stale)

    def restore(self, state: BestEpochState) -> None:
        """Go on from `state`."""
        self.best, self.best_epoch = state.best, state.best_epoch
        self.newest, self.stale = state.newest, state.stale


def first_eligible_epoch(epochs: int, full_beta_at: float) -> int:
    """The first epoch (from 1) at whose end progress has reached `full_beta_at`."""
    return next((epoch for epoch in range(1, epochs + 1) if epoch / epochs >= full_beta_at - 1e-9), epochs)
