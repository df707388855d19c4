"""Exceptions that vaeforge raises on purpose.

VaeforgeError
├── ConfigError      settings, spaces, command-line values: all problems of one reading at once
├── DataError        a file, array or manifest that is missing, damaged or not what it says
│   └── QuestionError    data that can be meant in several ways; the message names the options that say which
├── ResourceError    more than the machine or cluster has
├── SearchError      a search that cannot start, resume or finish
│   └── NothingWonError  all of its trials have failed; `search` is its name
├── CheckpointError  a checkpoint that is truncated, altered or of another model
├── TrackingError    a tracking server that cannot be used
└── RegistryError    parity, gates, registration

Each message says where, what was given, what is allowed and what to do. The command line prints it and exits with 2.
"""

import difflib
import re
from collections.abc import Iterable
from typing import Any

CLOSE = 0.65  # of two names, 1: the same; below it a suggestion misleads (`bayes` is 0.6 from `cmaes`)
FEW = 4  # names that are all suggested


class VaeforgeError(Exception):
    """The root: one clear message for a person, no traceback needed."""


class ConfigError(VaeforgeError):
    """One or more problems with settings, listed one a line."""

    def __init__(self, problems: list[str] | str):
        self.problems = [problems] if isinstance(problems, str) else problems
        super().__init__("\n".join(self.problems))


class DataError(VaeforgeError):
    """See the module's docstring."""


class QuestionError(DataError):
    """See the module's docstring; `likely` are options of an import, by name, that most likely answer it."""

    def __init__(self, message: str, **likely: Any):
        self.likely = likely
        super().__init__(message)


class ResourceError(VaeforgeError):
    """See the module's docstring."""


class SearchError(VaeforgeError):
    """See the module's docstring."""


class NothingWonError(SearchError):
    """See the module's docstring."""

    def __init__(self, message: str, search: str):
        self.search = search
        super().__init__(message)


class CheckpointError(VaeforgeError):
    """See the module's docstring."""


class TrackingError(VaeforgeError):
    """See the module's docstring."""


class RegistryError(VaeforgeError):
    """See the module's docstring."""


def nearest(given: Any, allowed: Iterable[Any]) -> str:
    """`; did you mean X?` where something allowed is close to `given`, else an empty string.

    Where `given` is a whole word of one or a few of them (`hours` of `wall_hours`, `gpu_hours`), these can be meant.
    """
    names = [str(name) for name in allowed]
    having = [name for name in names if str(given) in re.split(r"[^A-Za-z0-9]+|_", name)]
    having = having if len(having) <= FEW else []
    close = having if len(having) > 1 else difflib.get_close_matches(str(given), names, n=1, cutoff=CLOSE) or having
    if not close:
        return ""
    first = ", ".join(map(repr, close[:-1]))
    return f"; did you mean {first} or {close[-1]!r}?" if first else f"; did you mean {close[0]!r}?"
