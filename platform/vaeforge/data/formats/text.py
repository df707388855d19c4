"""Text as np.savetxt, FSL and AFNI (1D) write it, for series. Beside other files it is a note about them."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from vaeforge.data.file_format import FileFormat, Matrix


def read_series(path: Path) -> Mapping[str, Matrix]:
    """The one series in a text, which has no key."""
    from vaeforge.data.series_text import read_series_text, voxel_names

    return {"": Matrix(partial(read_series_text, path), partial(voxel_names, path))}


FORMAT = FileFormat(name="text", suffixes=(".txt", ".1d"), kind="tables", text=True, note=True, series=read_series)
