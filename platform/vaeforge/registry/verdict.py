"""Verdict of the gates on a version: every rule with what was found and what was needed."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class RuleOutcome:
    """One rule: its name, what was found, and what must hold, in words; whether it passed."""

    rule: str
    value: str
    needed: str
    passed: bool

    def __str__(self) -> str:
        return f"{self.rule}: {self.value}, {'as it must be' if self.passed else 'must be'} {self.needed}"


@dataclass(frozen=True)
class Verdict:
    """Whether a version may become champion.

    Attributes:
        failed, passed: the rules, in the order in which they were looked at.
        skipped: rules that do not apply to this version, and why.
    """

    failed: tuple[RuleOutcome, ...]
    passed: tuple[RuleOutcome, ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def promote(self) -> bool:
        """Whether no rule failed."""
        return not self.failed

    @property
    def reasons(self) -> tuple[str, ...]:
        """Every failed rule, or all that passed."""
        return tuple(str(outcome) for outcome in self.failed or self.passed)

    def plain(self) -> dict[str, Any]:
        """As JSON would hold it."""
        rules = [asdict(outcome) for outcome in (*self.failed, *self.passed)]
        return {"promote": self.promote, "reasons": list(self.reasons), "rules": rules, "skipped": list(self.skipped)}

    def __str__(self) -> str:
        return ("champion: " if self.promote else "challenger: ") + "; ".join(self.reasons)


def verdict_of(outcomes: list[RuleOutcome], skipped: list[str]) -> Verdict:
    """The outcomes of all rules, sorted into what failed and what passed."""
    failed = tuple(outcome for outcome in outcomes if not outcome.passed)
    return Verdict(failed, tuple(outcome for outcome in outcomes if outcome.passed), tuple(skipped))
