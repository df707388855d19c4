"""Columns of tables as samples, for models that read one channel at all points.

A table has a row for each of the points that the model learned from, in the same order; their number is checked, their
places are not known here. Each column of numbers but coordinates and labels (by name, or as `--columns` or the import
has it) is a sample called by its name, scaled by its own values as `vaeforge prepare` does it (`prepare.scaling`, after
log(1 + value) with `prepare.log1p`). Cells without a value are missing values to a model that learned from some. A
column is read whole, of a `.parquet` one after another; texts, and `.npz` and HDF5 as an import takes them, are read
whole.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from vaeforge.data.delimited import dialect_of, read_frame
from vaeforge.data.file_format import is_text
from vaeforge.data.missing import mean_of, spread_of
from vaeforge.data.source_reading import SourceReading
from vaeforge.data.table_columns import index_names, is_special, numbers_rows
from vaeforge.errors import DataError
from vaeforge.importing.tables import read_table
from vaeforge.package.contract import Contract
from vaeforge.score.batches import Rows, prepare_setting
from vaeforge.score.source_options import AS_IT_IS, options_of
from vaeforge.score.tables import STANDARD, SpecialColumns

DAMAGE = (pyarrow.ArrowException, OSError, ValueError, TypeError)


class MapFile:
    """The maps of one table.

    Raises:
        DataError: if it cannot be read, holds no channel, or has another number of points than the model takes.
    """

    def __init__(
        self, path: Path, contract: Contract, special: SpecialColumns = STANDARD, reading: SourceReading = AS_IT_IS
    ):
        self.path, self.contract = path, contract
        self.logarithm = bool(prepare_setting(contract, "log1p"))
        self.minmax = prepare_setting(contract, "scaling") == "minmax"
        try:
            parquet = path.suffix.lower() == ".parquet"
            self.source = pyarrow.parquet.ParquetFile(path) if parquet else _whole(path, reading)
            schema = self.source.schema_arrow if parquet else self.source.schema
        except DAMAGE as error:
            raise DataError(f"cannot be read as {path.suffix} ({error})") from None
        index = index_names(schema)
        self.channels = [
            name
            for name in schema.names
            if name not in index and not special.are_named(name) and _is_channel(name, schema.field(name).type)
        ]
        points = self.source.metadata.num_rows if parquet else self.source.num_rows
        if points != contract.event_shape[0] or not self.channels:
            raise DataError(
                f"has {points} points and {len(self.channels)} channels, must have {contract.event_shape[0]} points, "
                "those that the model learned from, and a channel at least"
            )

    def count(self) -> int:
        return len(self.channels)

    def rows(self, start: int, size: int) -> Iterator[Rows]:
        """Maps from `start` on, at most `size` at a time."""
        for first in range(start, len(self.channels), size):
            names = self.channels[first : first + size]
            rejected: dict[int, str] = {}
            x = np.stack([self._scaled(self._column(name), place, rejected) for place, name in enumerate(names)])
            yield Rows(names, x, np.zeros((len(names), 0), dtype=np.float32), rejected)

    def _column(self, name: str) -> NDArray[Any]:
        try:
            parquet = isinstance(self.source, pyarrow.parquet.ParquetFile)
            table = self.source.read(columns=[name]) if parquet else self.source
            column: NDArray[Any] = table.column(name).cast(pyarrow.float32(), safe=False).to_numpy()
            return column
        except DAMAGE:
            return np.full(self.contract.event_shape[0], np.nan, dtype=np.float32)

    def _scaled(self, values: NDArray[Any], place: int, rejected: dict[int, str]) -> NDArray[Any]:
        """A map scaled by its own values; NaN where it cannot be, which makes it unusable."""
        values = np.where(np.isfinite(values), values, np.float32(np.nan))
        if np.isnan(values).all():
            return values
        if self.logarithm and np.nanmin(values) <= -1:
            rejected[place] = f"goes down to {np.nanmin(values):g}, but `prepare.log1p` needs values > -1"
        with np.errstate(all="ignore"):  # values that are not finite are found when the batch is made
            values = np.log1p(values) if self.logarithm else values
            low, high = np.nanmin(values), np.nanmax(values)
            if low == high:
                rejected.setdefault(place, "has the same value everywhere, so that it has no scale")
            middle, spread = (low, high - low) if self.minmax else _moments(values)
            return (values - middle) / spread


def _whole(path: Path, reading: SourceReading) -> Any:
    """A text, `.npz` or HDF5 as an arrow table, read as an import reads it."""
    if not is_text(path):
        table = read_table(path, options_of(path, reading))
        return pyarrow.table({name: table.columns[name] for name in table.channels or table.columns})
    dialect = dialect_of(path)
    if not dialect.names:
        raise DataError("its first line holds numbers, must name the columns")
    frame = read_frame(path, dialect)
    frame.columns = list(dialect.names)
    return pyarrow.Table.from_pandas(frame, preserve_index=False)


def _moments(values: NDArray[Any]) -> tuple[np.float32, np.float32]:
    return np.float32(mean_of(values, None)), np.float32(spread_of(values, None))


def _is_channel(name: str, kind: Any) -> bool:
    numeric = pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind)
    return numeric and not is_special(name) and not numbers_rows(name)
