"""Verdict of the gates on a version: every rule with what was found and what was needed."""

from dataclasses import asdict, dataclass
from typing import Any

from vaeforge.registry.error_rates import NO_RIVAL, NOT_EVALUATED, PASSED, REFUSED, RENEW, USED_UP, ErrorRates


@dataclass(frozen=True)
class RuleOutcome:
    """One rule.

    Attributes:
        rule: its name.
        value, needed: what was found, and what must hold, in words.
        passed: whether it does.
        rates: how often the rule errs; none where it is no statistical one, or could not be evaluated.
        comparative: whether the rule compares with the best version.
    """

    rule: str
    value: str
    needed: str
    passed: bool
    rates: ErrorRates | None = None
    comparative: bool = False

    def __str__(self) -> str:
        told = f"{self.rule}: {self.value}, {'as it must be' if self.passed else 'must be'} {self.needed}"
        return told if self.rates is None else f"{told} ({self.rates})"


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
    def comparison(self) -> str:
        """What came of the comparison with the best version, as the version's tag says it."""
        rules = (*self.failed, *self.passed)
        if not any(one.comparative for one in rules):
            return NO_RIVAL
        failed = [one for one in self.failed if one.comparative]
        if any(one.rates is not None for one in failed):
            return REFUSED
        return NOT_EVALUATED if failed else PASSED

    @property
    def power(self) -> float | None:
        """The probability that an equally good version passes the comparison with the best one: that of the rule in
        which it is smallest; none where nothing was compared.
        """
        compared = [one.rates for one in (*self.failed, *self.passed) if one.comparative]
        return min((rates.power for rates in compared if rates is not None), default=None)

    @property
    def used_up(self) -> str:
        """That the test set is used up, and what to do; empty where it is not."""
        if self.power is None or self.power >= USED_UP:
            return ""
        return f"the test set is used up: an equally good version passes with {100 * self.power:.3g} % only; {RENEW}"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Every failed rule, or all that passed; then whether the test set is used up."""
        told = tuple(str(outcome) for outcome in self.failed or self.passed)
        return (*told, self.used_up) if self.used_up else told

    def without(self, rule: str, why: str) -> "Verdict":
        """The verdict without a failed rule that somebody allowed to fail; `why` is listed among what was skipped."""
        failed = tuple(outcome for outcome in self.failed if outcome.rule != rule)
        return self if failed == self.failed else Verdict(failed, self.passed, (*self.skipped, f"{rule}: {why}"))

    def plain(self) -> dict[str, Any]:
        """As JSON would hold it."""
        rules = [asdict(outcome) for outcome in (*self.failed, *self.passed)]
        told = {"promote": self.promote, "reasons": list(self.reasons), "rules": rules, "skipped": list(self.skipped)}
        return told | {"power": self.power, "used_up": bool(self.used_up)}

    def __str__(self) -> str:
        return ("champion: " if self.promote else "challenger: ") + "; ".join(self.reasons)


def verdict_of(outcomes: list[RuleOutcome], skipped: list[str]) -> Verdict:
    """The outcomes of all rules, sorted into what failed and what passed."""
    failed = tuple(outcome for outcome in outcomes if not outcome.passed)
    return Verdict(failed, tuple(outcome for outcome in outcomes if outcome.passed), tuple(skipped))
