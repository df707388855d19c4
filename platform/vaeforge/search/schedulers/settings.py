"""Settings of a scheduler, which build the scheduler that they configure."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from vaeforge.search.schedulers.base import Scheduler
from vaeforge.search.space.dimensions import Dimension
from vaeforge.search.space.fidelity import Fidelity, scaled
from vaeforge.search.space.strategies import StrategySettings


@dataclass(frozen=True)
class SchedulerContext:
    """What a scheduler may know of its search.

    Attributes:
        dimensions: what is searched.
        trials: how many trials the search has, repeats not counted.
        seed: of the search.
    """

    fidelity: Fidelity
    dimensions: tuple[Dimension, ...]
    trials: int
    seed: int


class SchedulerSettings(StrategySettings):
    """Decides on trials during training; all decide by val/nelbo, whatever the goals.

    Attributes:
        begins: the option that names its first decision; where it is none, or there is no option, fidelity.min does.
        must_decide: whether a training that ends before its first decision is refused.
    """

    begins: ClassVar[str | None] = None
    must_decide: ClassVar[bool] = False

    @abstractmethod
    def build(self, context: SchedulerContext) -> Scheduler:
        """The scheduler of a search."""

    @abstractmethod
    def epochs(self, fidelity: Fidelity) -> list[int]:
        """The epochs after which it decides on some trial, ascending, the last epoch not among them."""

    @property
    def _own(self) -> int | None:
        return getattr(self, self.begins) if self.begins else None

    def first(self, fidelity: Fidelity) -> tuple[str, int]:
        """The setting that moves its first decision, and that setting's value."""
        return ("fidelity.min", fidelity.min) if self._own is None else (f"scheduler.{self.begins}", self._own)

    def shortened(self, now: int, before: int) -> dict[str, Any]:
        """Its settings for a training of `now` instead of `before` epochs."""
        settings = self.model_dump(exclude_defaults=True) | {"name": self.name}
        if self.begins and self._own is not None:
            settings[self.begins] = min(scaled(self._own, now, before), max(1, now - 1))
        return settings

    def too_late(self, fidelity: Fidelity) -> str | None:
        """What is wrong where its first decision would lie at or after the last epoch."""
        if not self.must_decide or self.epochs(fidelity):
            return None
        setting, epoch = self.first(fidelity)
        return (
            f"{self.name} first decides after epoch {epoch} ({setting}), and fidelity.max is {fidelity.max}: "
            f"{setting} must be < {fidelity.max}"
        )

    def unmet(self, dimensions: tuple[Dimension, ...]) -> list[str]:
        """What it needs of the searched dimensions and they do not have."""
        return []

    def warnings(self, fidelity: Fidelity) -> list[str]:
        """What is allowed and unwise."""
        return []
