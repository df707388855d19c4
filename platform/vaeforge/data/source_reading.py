"""Reading of an imported source's tables and arrays, as options said then: what is scored later is read alike.

Taken from what the import recorded, noted in the manifest of prepared data, and part of a model's contract.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaeforge.data.data_sets import IMPORTED
from vaeforge.data.table_columns import DONOR, NOBODY
from vaeforge.paths import read_json
from vaeforge.records import OPTIONAL, to_json

NOTED = "source_reading"  # in a data set's info

FIRST = "first"  # where time is in a volume, if not last


@dataclass(frozen=True)
class SourceReading:
    """How files of the source are read, beyond what they say themselves.

    Attributes:
        columns: of points: the source's column that is x, y, z, section, hemisphere or donor, where it is called
            otherwise; none where none was named.
        transposed: of series: arrays and texts are [voxels, timepoints]; none for no.
        layer: of points: the layer of AnnData; none for `X`.
        masses, tolerance, normalise: of spectra of points: which masses are channels, see `mass_list`.
        hemispheres: of series: `joined` where a brain's hemispheres were in a file each; none for no.
        time_axis: of series: `first` where NIfTI files have time there; none for last.
    """

    columns: Mapping[str, str] | None = field(default=None, metadata=OPTIONAL)
    transposed: bool | None = field(default=None, metadata=OPTIONAL)
    hemispheres: str | None = field(default=None, metadata=OPTIONAL)
    time_axis: str | None = field(default=None, metadata=OPTIONAL)
    layer: str | None = field(default=None, metadata=OPTIONAL)
    masses: tuple[str, ...] | None = field(default=None, metadata=OPTIONAL)
    tolerance: str | None = field(default=None, metadata=OPTIONAL)
    normalise: str | None = field(default=None, metadata=OPTIONAL)


def source_reading_info(folder: Path) -> dict[str, Any]:
    """What the import of the data set in `folder` was told of its source, for `info`; empty where there is nothing.

    Raises:
        DataError: if the import's record cannot be read.
    """
    record = folder / IMPORTED
    told = read_json(record, "import it again") if record.is_file() else {}
    options = told.get("options") or {}
    columns = dict(options.get("columns") or {})
    if told.get("kind") == "points" and options.get("group_column") not in (None, "", NOBODY):
        columns.setdefault(DONOR, options["group_column"])
    names = ("transposed", "hemispheres", "time_axis", "layer", "tolerance", "normalise")
    named = {name: options.get(name) or None for name in names}
    found = SourceReading(columns or None, masses=tuple(options.get("masses") or ()) or None, **named)
    return {NOTED: to_json(found)} if found != SourceReading() else {}
