"""Which epoch of a training counts.

A schedule's early epochs train under a beta below its largest one, and their `val/nelbo` says little about where the
training ends. So a training's value is its best `val/nelbo` at or after the first epoch at whose end beta has been
full; patience starts there too. Before that, the value is the newest number, for whoever must compare anyway.
"""

from typing import Any


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

    def state_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {"best": self.best, "best_epoch": self.best_epoch, "newest": self.newest, "stale": self.stale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self.newest, self.stale = state["newest"], state["stale"]


def first_eligible_epoch(epochs: int, full_beta_at: float) -> int:
    """The first epoch (from 1) at whose end progress has reached `full_beta_at`."""
    return next((epoch for epoch in range(1, epochs + 1) if epoch / epochs >= full_beta_at - 1e-9), epochs)
