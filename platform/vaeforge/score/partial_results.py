"""Partial results of a scoring on disk, each written at once with where the next one begins, and their union.

A part holds a row for each item, also for unusable ones, whose `reason` says why; the union has them apart, as
`scores.parquet` or `scores.csv` and `quarantine.csv`.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from vaeforge.csv_cells import plain_cell
from vaeforge.errors import DataError
from vaeforge.package.input_check import InputTally
from vaeforge.paths import write_atomically
from vaeforge.records import record_from
from vaeforge.score.batches import Position
from vaeforge.score.plain_tables import read_parquet

META = b"vaeforge"
REASON = "reason"
ITEM = "item"
IS_ANOMALY = "is_anomaly"
FORMERLY = "strange"  # the name in parts of earlier versions


@dataclass(frozen=True)
class Progress:
    """What is done: where to continue, and counts; `seconds` were spent on it, over all sessions.

    `clipped` pixels of error maps were above the scale's end; `seen` is what the check of inputs has found.
    """

    end: Position = (0, 0)
    inputs: int = 0
    scored: int = 0
    anomalous: int = 0
    quarantined: int = 0
    clipped: int = 0
    seconds: float = 0.0
    seen: InputTally = field(default_factory=InputTally)


class PartialResults:
    """The parts in `folder`, in order; numbers are never left out."""

    def __init__(self, folder: Path):
        self.folder = folder

    def paths(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.parquet"))

    def progress(self) -> Progress:
        """What the parts that are there tell together; also removes what a crash left half written.

        Raises:
            DataError: if one is missing or damaged.
        """
        for leftover in self.folder.glob(".*.tmp"):
            leftover.unlink()
        paths = self.paths()
        if [path.name for path in paths] != [_name(number) for number in range(len(paths))]:
            raise DataError(f"{self.folder}: a part is missing; remove the output folder and score again")
        return _progress_of(paths[-1]) if paths else Progress()

    def add(self, table: Any, progress: Progress) -> None:
        """Write the next part: its rows, and what is done when it is."""
        described = table.replace_schema_metadata({META: json.dumps(asdict(progress)).encode()})
        path = self.folder / _name(len(self.paths()))
        write_atomically(path, lambda file: pyarrow.parquet.write_table(described, file))

    def tables(self) -> Iterator[Any]:
        """The rows of each part, in order."""
        for path in self.paths():
            table = read_parquet(path).replace_schema_metadata(None)
            yield table.rename_columns([IS_ANOMALY if name == FORMERLY else name for name in table.column_names])


def _name(number: int) -> str:
    return f"part-{number:06d}.parquet"


def _progress_of(path: Path) -> Progress:
    try:
        content = json.loads(pyarrow.parquet.read_schema(path).metadata[META])
        content = {"anomalous" if key == FORMERLY else key: value for key, value in content.items()}
        seen = record_from(InputTally, content.pop("seen", {}), str(path), "tally of inputs", "score again")
        return Progress(**{**content, "end": tuple(content["end"])}, seen=seen)
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); remove the output folder and score again") from None


def write_scores(parts: PartialResults, path: Path) -> None:
    """Write all usable rows of `parts` to `path`, a part at a time, as its suffix says."""
    writers: dict[str, Callable[[BinaryIO, Any], Any]] = {
        ".parquet": pyarrow.parquet.ParquetWriter,
        ".csv": pyarrow.csv.CSVWriter,
    }

    def write(file: BinaryIO) -> None:
        writer = None
        for table in parts.tables():
            usable = table.filter(pyarrow.compute.is_null(table.column(REASON))).drop_columns([REASON])
            writer = writer or writers[path.suffix](file, usable.schema)
            writer.write_table(_plain(usable) if path.suffix == ".csv" else usable)
        if writer is not None:
            writer.close()

    write_atomically(path, write)


def _plain(table: Any) -> Any:
    """A table whose items no spreadsheet takes for formulas."""
    field, place = table.schema.field(ITEM), table.column_names.index(ITEM)
    items = [plain_cell(item) for item in table.column(ITEM).to_pylist()]
    return table.set_column(place, field, pyarrow.array(items, field.type))


def write_quarantine(parts: PartialResults, path: Path) -> list[str]:
    """Write the unusable items of `parts` with their reasons to `path`; the first few, for a message."""
    first: list[str] = []

    def write(file: BinaryIO) -> None:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow((ITEM, REASON))
        for table in parts.tables():
            bad = table.filter(pyarrow.compute.is_valid(table.column(REASON)))
            for item, reason in zip(bad.column(ITEM).to_pylist(), bad.column(REASON).to_pylist(), strict=True):
                writer.writerow((plain_cell(item), plain_cell(reason)))
                first.extend([f"{item}: {reason}"] if len(first) < 3 else [])
        text.detach()

    write_atomically(path, write)
    return first
