"""CSV, for series and tables of points; its delimiter and decimal point are found."""

from pathlib import Path

from vaeforge.data.file_format import FileFormat, TableRequest
from vaeforge.data.formats.text import read_series
from vaeforge.data.table import Table


def read_table(path: Path, request: TableRequest) -> Table:
    """All columns, labels as they are written."""
    from vaeforge.data.text_table import read_text_table

    return read_text_table(path, request.labels)


FORMAT = FileFormat(name="CSV", suffixes=(".csv",), kind="tables", text=True, series=read_series, table=read_table)
