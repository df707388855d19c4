"""Reading of untrusted texts (CSV and the like) as tables of points."""

from pathlib import Path

import numpy as np

from vaeforge.data.delimited import dialect_of, read_frame
from vaeforge.data.table import Table, refuse_repeated
from vaeforge.data.table_columns import GROUPS, LABELS
from vaeforge.errors import DataError


def read_text_table(path: Path, labels: frozenset[str]) -> Table:
    """All columns; `labels` and those called so as they are written; one without a name is called by its place.

    Raises:
        DataError: if the text cannot be read, does not name its columns, or gives two the same name.
    """
    dialect = dialect_of(path)
    if not dialect.names:
        raise DataError(f"{path}: its first line holds numbers, must name the columns; put x,y,z,… above them")
    named = [(place, name or f"Unnamed: column {place + 1}") for place, name in enumerate(dialect.names)]
    refuse_repeated(path, [name for _, name in named])
    frame = read_frame(path, dialect, [place for place, name in named if name in labels or _is_label(name)])
    return Table({name: np.asarray(frame[place]) for place, name in named})


def _is_label(name: str) -> bool:
    return name.strip().lower() in {*LABELS, *GROUPS}
