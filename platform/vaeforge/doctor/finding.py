"""Outcome of one check."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        check: what was looked at.
        level: fail: a search would be refused or break; warn: it works, but not as it should.
        found: what is there.
        advice: what to do; empty where it is ok.
    """

    check: str
    level: Level
    found: str
    advice: str = ""
