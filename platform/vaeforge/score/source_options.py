"""Options by which a table is read as the source of the model was."""

from pathlib import Path

from vaeforge.data.file_format import format_of
from vaeforge.data.source_reading import SourceReading
from vaeforge.importing.import_options import ImportOptions

AS_IT_IS = SourceReading()


def options_of(path: Path, reading: SourceReading) -> ImportOptions:
    """Those of an import; which masses are channels is said of spectra alone, since a table of them has columns."""
    found = format_of(path)
    layer = reading.layer or ""
    if found is None or not found.spectra:
        return ImportOptions(layer=layer)
    return ImportOptions(
        layer=layer,
        masses=reading.masses or (),
        tolerance=reading.tolerance or "",
        normalise=reading.normalise or "",
    )
