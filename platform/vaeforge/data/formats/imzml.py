"""imzML, imaging mass spectrometry, for tables of points: a pixel a row, a channel a mass. Its values lie in `.ibd`."""

import re
from pathlib import Path

from vaeforge.data.file_format import FileFormat, TableRequest
from vaeforge.data.table import Table


def read_table(path: Path, request: TableRequest) -> Table:
    """The intensities around the masses that are asked for."""
    from vaeforge.data.imzml_table import read_imzml

    return read_imzml(path, request.masses, request.tolerance, request.normalise)


FORMAT = FileFormat(
    name="imzML",
    suffixes=(".imzml",),
    kind="tables",
    begins=re.compile(rb"(\xef\xbb\xbf)?\s*<(\?xml|mzML)"),
    table=read_table,
    spectra=True,
    beside=(".ibd",),
)
