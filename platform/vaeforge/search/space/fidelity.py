"""How long trials train, and where on the way they are compared."""

from dataclasses import dataclass
from typing import Any

from vaeforge.search.space.parse_helpers import is_mapping, refuse_unknown

KEYS = ("max", "min", "reduction")


@dataclass(frozen=True)
class Fidelity:
    """Epochs: what a full training has, the first rung, and how many of each rung's trials go on (1 / reduction)."""

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


def read_fidelity(content: Any, source: str, problems: list[str]) -> Fidelity:
    """The fidelity that the `fidelity:` mapping of a space describes; what is wrong is added to `problems`."""
    where = f"{source}: fidelity"
    if not is_mapping(content, where, "{max: 18, min: 6, reduction: 3}", problems):
        return DEFAULT
    refuse_unknown(content, KEYS, where, problems)
    values = {key: content.get(key, getattr(DEFAULT, key)) for key in KEYS}
    wrong = [key for key, value in values.items() if not _whole(value, 2 if key == "reduction" else 1)]
    for key in wrong:
        problems.append(f"{where}: {key}: got {values[key]!r}, must be an integer >= {2 if key == 'reduction' else 1}")
    if not wrong and values["min"] > values["max"]:
        problems.append(f"{where}: min is {values['min']} and max is {values['max']}, min must be <= max")
    return DEFAULT if wrong else Fidelity(**values)


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
