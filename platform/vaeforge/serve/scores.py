"""Reader of tables that `vaeforge score --latents true` wrote: one row an item, columns score, mu_0, mu_1, …."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from vaeforge.errors import DataError

ROWS = re.compile(r"(/\d+)+$")
WANTED = "a scores.parquet or scores.csv that `vaeforge score --latents true` wrote"
Values = NDArray[np.float64]


@dataclass(frozen=True)
class ScoredItems:
    """A table's items: `score` [M], `mu` [M, L] (none without columns of it), and the name of each one's file [M]."""

    score: Values
    mu: Values | None
    files: list[str] | None


def read_scores(path: Path, latent_dim: int) -> ScoredItems:
    """The items in the table at `path`; `files` is none where it does not name them.

    Raises:
        DataError: if the file cannot be read, a column is missing or there twice, mu has another size, or a value is
            no number.
    """
    table = _table(path)
    names = [f"mu_{index}" for index in range(latent_dim)]
    found = [name for name in table.column_names if name.startswith("mu_")]
    if "score" not in table.column_names:
        raise DataError(f"{path}: has no column 'score', must be {WANTED}")
    twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if twice:
        raise DataError(f"{path}: column(s) {', '.join(twice)} are there more than once, must be {WANTED}")
    if found and sorted(found) != sorted(names):
        raise DataError(
            f"{path}: has {len(found)} columns of mu, but the model has {latent_dim} latent dimensions (mu_0 to "
            f"{names[-1]}); score the items with this model"
        )
    mu = np.stack([_column(path, table, name) for name in names], axis=1) if found else None
    items = table.column("item").to_pylist() if "item" in table.column_names else None
    return ScoredItems(_column(path, table, "score"), mu, items and [file_of(str(item)) for item in items])


def file_of(item: str) -> str:
    """The file that an item is of, by its name: `a.png/0/16` is a patch, `a.npz/3` a row; `3` stands for itself."""
    return ROWS.sub("", item)


def _table(path: Path) -> Any:
    if not path.is_file():
        raise DataError(f"{path}: is no file, must be {WANTED}")
    try:
        return pyarrow.parquet.read_table(path) if path.suffix == ".parquet" else pyarrow.csv.read_csv(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read ({error}), must be {WANTED}") from None


def _column(path: Path, table: Any, name: str) -> Values:
    try:
        values = table.column(name).cast(pyarrow.float64()).to_numpy()
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: column {name!r} holds no numbers ({error}); score the items again") from None
    wrong = int((~np.isfinite(values)).sum())
    if wrong:
        raise DataError(f"{path}: column {name!r} has {wrong} values that are missing or not finite; score again")
    return np.asarray(values, dtype=np.float64)
