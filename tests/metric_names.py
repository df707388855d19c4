"""Names of metrics on `docs/metrics.md`, as patterns: what stands for several names there is written in capitals."""

import re
from collections.abc import Iterable
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
PLACEHOLDERS = {
    "KIND": "(normal|anomalous)",
    "SET": "(prior|diffusion|aggregate|data|real|reconstructions?|training_mean|untrained)",
    "SPACE": "(pixels|reconstructions)",
    "CLASS": "[a-z0-9_-]+",
}
NAME = re.compile(r"`((?:test|val)/[A-Za-z0-9_]+)`")
PATTERN = re.compile("|".join(PLACEHOLDERS))


def patterns(page: str) -> list[re.Pattern[str]]:
    """One for each name on the page; the ends of intervals and PCA's numbers go with the name."""
    found = [PATTERN.sub(lambda part: PLACEHOLDERS[part[0]], name) for name in NAME.findall(page)]
    return [re.compile(f"{name}(_pca)?") for name in found]


def undocumented(names: Iterable[str], page: str | None = None) -> list[str]:
    """Which of the metrics an evaluation gave are not on the page; `_low` and `_high` are those of their metric."""
    known = patterns(PAGE.read_text(encoding="utf-8") if page is None else page)
    plain = {name: re.sub(r"_(low|high)(?=_|$)", "", name) for name in names}
    return sorted(name for name, base in plain.items() if not any(one.fullmatch(base) for one in known))


def not_given(task: str, names: Iterable[str], page: str | None = None) -> list[str]:
    """Which metrics the page has under a task, and under all families, that its evaluation did not give."""
    text = PAGE.read_text(encoding="utf-8") if page is None else page
    sections = [part for part in text.split("\n## ") if part.startswith(("Test: all families", f"Task `{task}`"))]
    listed = {name for part in sections for name in NAME.findall(part) if name.startswith("test/")}
    given = list(names)
    return sorted(name for name in listed if not any(map(patterns(f"`{name}`")[0].fullmatch, given)))
