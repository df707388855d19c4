"""TSV, for series and tables of points; read as CSV is. Beside other files it is a note about them."""

from vaeforge.data.file_format import FileFormat
from vaeforge.data.formats.csv import read_table
from vaeforge.data.formats.text import read_series

FORMAT = FileFormat(
    name="TSV", suffixes=(".tsv",), kind="tables", text=True, note=True, series=read_series, table=read_table
)
