"""AnnData's `.h5ad`, for tables of points: a channel a variable, places in `obsm`, labels in `obs`."""

from pathlib import Path

from vaeforge.data.file_format import FileFormat, TableRequest
from vaeforge.data.formats import hdf5
from vaeforge.data.table import Table


def read_table(path: Path, request: TableRequest) -> Table:
    """`X`, or the layer that is asked for."""
    from vaeforge.data.anndata_table import read_anndata

    return read_anndata(path, request.layer)


FORMAT = FileFormat(
    name="AnnData",
    suffixes=(".h5ad",),
    kind="tables",
    begins=hdf5.FORMAT.begins,
    table=read_table,
)
