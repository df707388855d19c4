"""Link of a trace: one thing that a model comes from, and what became of looking at it.

A link is `verified` where what it names is at hand and was compared, `at hand` where it is there and says nothing that
could be compared, `missing` where it is not here, `unknown` if it was not recorded, and `differs` where what is here
is something else.
"""

from dataclasses import dataclass
from typing import Literal

State = Literal["verified", "at hand", "missing", "unknown", "differs"]
NO_COMMIT = "its project was in no git repository, or in one without a commit"


@dataclass(frozen=True)
class TraceLink:
    """One thing that a model comes from.

    Attributes:
        kind: version, evaluation, run, trial, search, space, commit, changes, code, packages, data, dvc or source.
        name: its identifier; empty if it was not recorded.
        state: see the module's docstring.
        detail: what was looked at, in words.
        origins: what it comes from itself.
    """

    kind: str
    name: str
    state: State
    detail: str
    origins: tuple["TraceLink", ...] = ()

    def all(self) -> list["TraceLink"]:
        """This link and all behind it."""
        return [self, *(link for origin in self.origins for link in origin.all())]
