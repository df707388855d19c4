"""A parsed source: read and checked whole, ready to be written; and the log of what was left out."""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vaeforge.csv_cells import csv_text
from vaeforge.importing.figures import Chart
from vaeforge.paths import write_bytes

Row = dict[str, Any]
ALL, READ, WRITTEN = 10, 6, 3  # units of an import's progress: all, to read the source, to write the data set


@dataclass(frozen=True)
class Quarantined:
    """Something in the source that cannot be used: a file or a part of one, and why."""

    item: str
    reason: str


@dataclass(frozen=True)
class Question:
    """Something that only the user knows and that changes what is imported.

    Attributes:
        text: what is asked, and which options answer it.
        assumed: what is done where nobody answers, which `--yes` agrees to; none where nothing can be assumed.
        as_if: the likely answer under which the source was read further, where nothing can be assumed.
    """

    text: str
    assumed: str | None
    as_if: str = ""


@dataclass
class ImportLog:
    """What is noticed while a source is read."""

    quarantined: list[Quarantined] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)

    def ask(self, text: str, assumed: str) -> None:
        """Ask the user; the caller goes on with what is `assumed`, and nothing is written unless the user agrees."""
        self.questions.append(Question(text, assumed))

    def quarantine(self, item: str, reason: str) -> None:
        """Enter `item` into the quarantine."""
        self.quarantined.append(Quarantined(item, reason))

    def first_reasons(self) -> str:
        """The first few entries, for the end of an error."""
        return "".join(f"; {entry.item}: {entry.reason}" for entry in self.quarantined[:3])


@dataclass(frozen=True)
class ParsedSource:
    """A checked source.

    Attributes:
        items: rows of statistics.csv, one an item.
        summary: rows of summary.csv, one a group of items.
        counts: how many items of each sort there are.
        charts: what is drawn.
        write: puts the canonical files into a folder; everything that it writes has been checked before.
        cut: whether samples are cut out of its pictures; else each picture is one, cropped and resized.
    """

    items: list[Row]
    summary: list[Row]
    counts: dict[str, int]
    charts: list[Chart]
    write: Callable[[Path], None]
    cut: bool = False


def read_as(source: str, kind: str, family: str, counts: Mapping[str, int], notes: Sequence[str]) -> list[str]:
    """What a source was read as and what a person should know, a line each; `import` and `inspect` say the same."""
    counted = ", ".join(f"{count} {name}" for name, count in counts.items())
    return [f"{source}: read as {kind} for {family}: {counted or 'nothing'}", *(f"note: {note}" for note in notes)]


def shown(path: Path, folder: Path) -> str:
    """`path` relative to `folder` as text that any file can hold; bytes that are no UTF-8 are escaped."""
    return os.fsencode(path.relative_to(folder).as_posix()).decode("utf-8", "backslashreplace")


def summarise(rows: Iterable[Row], by: str, measures: Sequence[str]) -> list[Row]:
    """One row for each value of `by`: the number of items, mean and sample standard deviation of each measure."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[by], []).append(row)
    found = []
    for name, members in groups.items():
        summary: Row = {by: name, "items": len(members)}
        for measure in measures:
            values = np.array([member[measure] for member in members], dtype=np.float64)
            summary[f"{measure}_mean"] = float(values.mean())
            summary[f"{measure}_sd"] = float(values.std(ddof=1)) if len(values) > 1 else math.nan
        found.append(summary)
    return found


def header_of(rows: Iterable[Row]) -> list[str]:
    """The columns of a table that holds all of `rows`."""
    return list(dict.fromkeys(name for row in rows for name in row))


def write_table(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Write `rows` as CSV with a header; what is no number is left empty, and no text is a formula."""
    write_bytes(path, csv_text(columns, ([_cell(row.get(name)) for name in columns] for row in rows)).encode())


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.9g}"
    return value
