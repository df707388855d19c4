"""What the gates say of a version: every rule with what was found and what was needed."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
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

    failed: tuple[Finding, ...]
    passed: tuple[Finding, ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def promote(self) -> bool:
        """Whether no rule failed."""
        return not self.failed

    @property
    def reasons(self) -> tuple[str, ...]:
        """Every failed rule, or all that passed."""
        return tuple(str(finding) for finding in self.failed or self.passed)

    def plain(self) -> dict[str, Any]:
        """As JSON would hold it."""
        rules = [asdict(finding) for finding in (*self.failed, *self.passed)]
        return {"promote": self.promote, "reasons": list(self.reasons), "rules": rules, "skipped": list(self.skipped)}

    def __str__(self) -> str:
        return ("champion: " if self.promote else "challenger: ") + "; ".join(self.reasons)


def verdict_of(findings: list[Finding], skipped: list[str]) -> Verdict:
    """The findings, sorted into what failed and what passed."""
    failed = tuple(finding for finding in findings if not finding.passed)
    return Verdict(failed, tuple(finding for finding in findings if finding.passed), tuple(skipped))
