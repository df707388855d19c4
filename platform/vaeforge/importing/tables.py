"""Tables of points in a source: the one that there is, and its columns."""

from pathlib import Path

from vaeforge.data.file_format import (
    FileFormat,
    TableRequest,
    belonging,
    format_of,
    is_readable,
    named_suffixes,
    unread,
)
from vaeforge.data.foreign_formats import advice
from vaeforge.data.mass_list import mass_words
from vaeforge.data.source_files import listed
from vaeforge.data.table import Table
from vaeforge.data.table_columns import LABELS
from vaeforge.errors import ConfigError, DataError
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.parsed_source import ImportLog, shown
from vaeforge.importing.walk_source import walk


def find_table(source: Path, log: ImportLog) -> Path:
    """The file `source`, or the one table in the folder `source`.

    Raises:
        DataError: if there is none, or several.
    """
    files = walk(source, log)[0] if source.is_dir() else [source]
    tables = [path for path in files if is_readable(path, "table")]
    root, suffixes = source if source.is_dir() else source.parent, named_suffixes("table")
    if len(tables) != 1:
        named = listed([shown(path, root) for path in tables or files])
        told = "" if tables else next((f"; {path.name}: {known}" for path in files if (known := advice(path))), "")
        has = f"has {len(tables)} tables ({suffixes}), must be one; holds {named or 'nothing'}"
        raise DataError(f"{source}: {has}{told}")
    passed = {tables[0], *belonging(files)}
    for path in (one for one in files if one not in passed):
        log.quarantine(shown(path, root), unread(path, "table"))
    return tables[0]


def read_table(path: Path, options: ImportOptions) -> Table:
    """The columns of the table at `path`, by name; labels of a text as they are written.

    Raises:
        DataError: if it cannot be read, holds no rows, or columns that share a name or differ in length.
    """
    found = format_of(path)
    if found is None or found.table is None:
        raise DataError(f"{path}: its suffix is none of {named_suffixes('table')}")
    labels = {*(options.columns.get(label, "") for label in LABELS), options.group_column} - {""}
    _refuse_idle(path, found, options)
    spectra = (mass_words(options.masses), options.tolerance, options.normalise)
    table = found.table(path, TableRequest(frozenset(labels), options.layer, *spectra))
    lengths = {name: column.shape for name, column in table.columns.items()}
    if len(set(lengths.values())) > 1 or any(len(shape) != 1 for shape in lengths.values()):
        named = listed([f"{name} {shape}" for name, shape in lengths.items()])
        raise DataError(f"{path}: columns must be [N] of one length, are {named}")
    if not lengths or not table.rows:
        raise DataError(f"{path}: holds no rows")
    return table


def _refuse_idle(path: Path, found: FileFormat, options: ImportOptions) -> None:
    """Refuse options of spectra where there are none."""
    given = {"--masses": options.masses, "--tolerance": options.tolerance, "--normalise": options.normalise}
    idle = next((name for name, value in given.items() if value), "")
    if idle and not found.spectra:
        raise ConfigError(f"{idle}: says how spectra are read, but {path} is {found.name}; leave it away")


def holds_table(path: Path) -> bool:
    """Whether the arrays of a file are columns of a table, or `coordinates` and `values`.

    False also where nothing can be read; who reads it then says so.
    """
    found = format_of(path)
    if found is None or found.table is None:
        return False
    if found.series is None:
        return True
    try:
        names = {name.lower() for name in found.series(path)}
    except DataError:
        return False
    return {"coordinates", "values"} <= names or {"x", "y"} <= names
