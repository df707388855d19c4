"""Fidelity: how long trials train, and after which epochs they are compared."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fidelity:
    """Epochs: what a full training has, the first rung, and how many of each rung's trials continue (1 / reduction)."""

    max: int
    min: int
    reduction: int

    def rungs(self, bracket: int = 0) -> list[int]:
        """The epochs after which trials are compared, the last epoch not among them.

        `bracket` s of Hyperband starts at min * reduction^s.
        """
        epochs, rung = [], self.min * self.reduction**bracket
        while rung < self.max:
            epochs.append(rung)
            rung *= self.reduction
        return epochs

    def shortened(self, epochs: int) -> dict[str, int]:
        """The content of a `fidelity:` of at most `epochs`, whose first rung moves along in proportion."""
        return {"max": epochs, "min": scaled(self.min, epochs, self.max), "reduction": self.reduction}


DEFAULT = Fidelity(max=18, min=6, reduction=3)


def scaled(epoch: int, now: int, before: int) -> int:
    """`epoch` of a training of `before` epochs, in one of `now` epochs."""
    return max(1, round(epoch * now / before))
