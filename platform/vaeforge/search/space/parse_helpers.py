"""How the parts of a space file are read: whatever is wrong joins one list, as `where: got X, must be Y`.

Light on purpose: the broker reads objectives, and the typed configuration, which imports torch, is not needed for it.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from vaeforge.errors import nearest


def refuse_unknown(content: Mapping[Any, Any], allowed: Iterable[str], where: str, problems: list[str]) -> None:
    """Add a problem for each key of `content` that is not `allowed`."""
    names = list(allowed)
    problems += [f"{where}: unknown key {key!r}{nearest(key, names)}" for key in content if key not in names]


def is_mapping(content: Any, where: str, example: str, problems: list[str]) -> bool:
    """Whether `content` is a mapping; a problem that shows `example` is added if it is not."""
    if not isinstance(content, Mapping):
        problems.append(f"{where}: got {content!r}, must be a mapping such as {example}")
    return isinstance(content, Mapping)


def is_number(value: Any) -> bool:
    """Whether `value` is a finite number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
