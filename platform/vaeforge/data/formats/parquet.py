"""Parquet, for tables of points; `vaeforge score` reads series out of it, too."""

import re
from pathlib import Path

from vaeforge.data.file_format import FileFormat, TableRequest
from vaeforge.data.table import Table


def read_table(path: Path, request: TableRequest) -> Table:
    """All columns; what pandas wrote as an index is known as one."""
    from vaeforge.data.parquet_table import read_parquet

    return read_parquet(path)


FORMAT = FileFormat(
    name="Parquet", suffixes=(".parquet",), kind="tables", begins=re.compile(rb"PAR1"), table=read_table
)
