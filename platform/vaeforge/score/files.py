"""Input files of a scoring: which ones, in which order, and who reads them.

An input is a file, or a folder whose files of one kind are taken, in the order of their paths: pictures, volumes,
arrays or tables, as their formats say (`data/file_format.py`); texts that are notes beside other files (`.tsv`, `.txt`,
`.1D`) where there is nothing else. Hidden files are ignored; other files, and texts about others (`participants.tsv`),
are left out and counted, and so is `labels.png` beside `image.png`, which says what is where in it. Items of a folder
are called by their file's path in it; those of a single file by their row alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from vaeforge.config.layouts import layout_named
from vaeforge.data.file_format import FileFormat, belonging, file_formats, format_of, is_readable
from vaeforge.data.foreign_formats import advice, folder_problem
from vaeforge.data.hemispheres import JOINED, paired, side_of
from vaeforge.errors import DataError
from vaeforge.importing.import_options import stem
from vaeforge.importing.series_files import ABOUT
from vaeforge.package.contract import Contract
from vaeforge.package.inputs import reading_for
from vaeforge.score.batches import ItemBatch, Position, Reader, make_batch, prepare_setting, rejected_rows
from vaeforge.score.conditions import ClassConditions
from vaeforge.score.pictures import PictureReader, picture_mode
from vaeforge.score.read_options import ReadOptions, input_reading, require_fitting

if TYPE_CHECKING:
    from vaeforge.score.arrays import ArrayFile
    from vaeforge.score.map_table import MapFile
    from vaeforge.score.matrices import MatrixFile
    from vaeforge.score.tables import TableFile
    from vaeforge.score.volumes import VolumeFile

KINDS = ("pictures", "volumes", "arrays", "tables")
RowFile: TypeAlias = "ArrayFile | TableFile | MapFile | MatrixFile | VolumeFile"


@dataclass(frozen=True)
class InputFiles:
    """The files of an input.

    Attributes:
        root: a file or folder.
        kind: pictures, volumes, arrays or tables.
        paths: the files in order.
        left_out: how many files beside them are of no kind that is read.
    """

    root: Path
    kind: str
    paths: list[Path]
    left_out: int

    @property
    def folder(self) -> Path:
        """What the files' names are relative to."""
        return self.root if self.root.is_dir() else self.root.parent


def find(root: Path) -> InputFiles:
    """The files of the input `root`.

    Raises:
        DataError: if there is nothing, nothing that can be read, or files of several kinds.
    """
    if not root.exists():
        raise DataError(f"input: {root} is not there; give a folder or a file")
    paths = [root] if root.is_file() else [path for path in sorted(root.rglob("*")) if _is_plain(path, root)]
    items = [path for path in paths if not ABOUT.fullmatch(path.name) and not _is_truth(path)] or paths
    formats = {path: format_of(path) for path in items}
    found = {kind: some for kind in KINDS if (some := [path for path in items if _is(formats[path], kind, note=False)])}
    if "volumes" in found:
        found.pop("tables", None)  # texts beside volumes are about them, as for an import
    texts = [path for path in items if _is(formats[path], "tables", note=True)]
    if texts and not found:
        found = {"tables": texts}
    if not found:
        allowed = ", ".join(dict.fromkeys(suffix for one in file_formats() for suffix in one.suffixes))
        told = next((f"; {path.name}: {known}" for path in _named(root, items) if (known := _advice(path))), "")
        raise DataError(f"input: {root} holds none of {allowed}; give a folder or a file with some{told}")
    if len(found) > 1:
        counts = ", ".join(f"{len(some)} {kind} ({some[0].name})" for kind, some in found.items())
        raise DataError(f"input: {root} holds {counts}, must hold one kind; give one of them alone")
    ((kind, chosen),) = found.items()
    return InputFiles(root, kind, chosen, len(paths) - len({*chosen, *belonging(paths)}))


def _named(root: Path, items: Sequence[Path]) -> Iterator[Path]:
    """The items, and before each the folders that it lies in, as one of them may be one item of a format."""
    for path in items:
        yield from (parent for parent in reversed(path.parents) if parent.is_relative_to(root))
        yield path


def _advice(path: Path) -> str:
    return folder_problem(path) or ("" if path.is_dir() else advice(path))


def reader_of(source: InputFiles, contract: Contract, reading: ReadOptions) -> Reader:
    """Who reads `source` for the model of `contract`.

    Raises:
        ConfigError: if an option does not go with the model or the files.
        DataError: if the model takes other kinds of files.
    """
    takes = _kinds(contract)
    if source.kind not in takes:
        given, allowed = f"{source.root} holds {source.kind}", " or ".join(takes)
        raise DataError(f"input: {given}, but the model of {contract.data} takes {allowed}")
    require_fitting(reading, source.root, source.kind, contract)
    conditions = ClassConditions(contract, reading.label)
    if source.kind == "pictures":
        mode = picture_mode(contract, reading.pictures)
        grey = reading_for(contract, reading.white, reading.black, reading.pages, reading.channels)
        return PictureReader(source.folder, source.paths, contract, conditions, mode, reading.batch, grey)
    return RowReader(source, contract, conditions, reading)


def _kinds(contract: Contract) -> tuple[str, ...]:
    """The kinds of files that a model takes."""
    layout = layout_named(contract.data)
    if layout.picture_modes:
        return ("pictures", "arrays")
    return ("tables", "arrays", "volumes") if layout.unnamed_arrays == "matrices" else ("tables", "arrays")


class RowReader:
    """Rows of arrays or tables, file after file; a file that cannot be opened is one unusable item."""

    def __init__(self, source: InputFiles, contract: Contract, conditions: ClassConditions, reading: ReadOptions):
        self.source, self.contract, self.conditions, self.batch = source, contract, conditions, reading.batch
        self.columns, self.reading = reading.columns, input_reading(reading, contract)
        self.units = self._units()

    def count(self) -> int | None:
        counts = []
        for unit in self.units:
            try:
                counts.append(self._opened_unit(unit).count())
            except DataError:
                counts.append(1)
        return None if None in counts else sum(count for count in counts if count)

    def batches(self, start: Position) -> Iterator[ItemBatch]:
        """At most `batch` rows at a time, of one file."""
        for number, unit in enumerate(self.units[start[0] :], start[0]):
            first = start[1] if number == start[0] else 0
            name = self._name(unit[0])
            prefix = f"{name}/" if self.source.root.is_dir() else ""
            try:
                for rows in self._opened_unit(unit).rows(first, self.batch):
                    first += len(rows.names)
                    rows.names = [f"{prefix}{item}" for item in rows.names]
                    yield make_batch(rows, (number, first), len(rows.names), bool(self.contract.missing))
            except DataError as error:
                yield make_batch(rejected_rows(self.contract, [name], str(error)), (number + 1, 0), 1)

    def _name(self, path: Path) -> str:
        return path.relative_to(self.source.folder).as_posix()

    def _called(self, path: Path) -> str:
        """What may say the hemisphere: the file's name, and those of its folders."""
        return stem(self._name(path)).replace("/", "_")

    def _units(self) -> list[tuple[Path, ...]]:
        """Files that are read together: those of a brain's two hemispheres, the left one first, or one alone.

        What is called after no hemisphere holds both.
        """
        paths = self.source.paths
        if self.reading.hemispheres != JOINED:
            return [(path,) for path in paths]
        pairs, others = paired(list(map(self._called, paths)))
        places = sorted([*pairs.values(), *((place,) for place in others)])
        return [tuple(paths[place] for place in unit) for unit in places]

    def _opened_unit(self, unit: tuple[Path, ...]) -> RowFile:
        """The reader of files that are read together.

        Raises:
            DataError: if they cannot be read, or the other hemisphere of one is not there.
        """
        if len(unit) == 1:
            if self.reading.hemispheres == JOINED and side_of(self._called(unit[0]))[1] is not None:
                raise DataError("its other hemisphere is not there; the model takes both, as they were imported")
            return self._opened(unit[0])
        from vaeforge.score.matrices import MatrixFile

        return MatrixFile(unit[0], self.contract, transposed=bool(self.reading.transposed), right=unit[1])

    def _opened(self, path: Path) -> RowFile:
        """The file by its reader, which alone is imported: those of volumes and tables take half a second."""
        if is_readable(path, "volume"):
            from vaeforge.score.volumes import VolumeFile

            return VolumeFile(path, self.contract, self.reading.time_axis or "")
        if self.reading.transposed or self.source.kind == "volumes":
            from vaeforge.score.matrices import MatrixFile

            return MatrixFile(path, self.contract, transposed=bool(self.reading.transposed))
        if self.source.kind == "arrays" and not self._is_table(path):
            from vaeforge.score.arrays import STORED, ArrayFile

            if path.suffix.lower() not in STORED:
                from vaeforge.score.matrices import MatrixFile

                return MatrixFile(path, self.contract, transposed=False)
            return ArrayFile(path, self.contract, self.conditions)
        return self._opened_table(path)

    def _opened_table(self, path: Path) -> RowFile:
        from vaeforge.score.tables import SpecialColumns, TableFile

        special = SpecialColumns(self.reading.columns or {}, self.columns)
        if layout_named(self.contract.data).map_tables and prepare_setting(self.contract, "reading") == "maps":
            from vaeforge.score.map_table import MapFile

            return MapFile(path, self.contract, special, self.reading)
        return TableFile(path, self.contract, special, self.reading)

    def _is_table(self, path: Path) -> bool:
        """Whether arrays in a file are a table of points as an import takes it, rather than prepared samples."""
        if not layout_named(self.contract.data).raw_tables:
            return False
        from vaeforge.importing.tables import holds_table

        return holds_table(path)


def _is(found: FileFormat | None, kind: str, *, note: bool) -> bool:
    return found is not None and found.kind == kind and found.note == note


def _is_plain(path: Path, root: Path) -> bool:
    return path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)


def _is_truth(path: Path) -> bool:
    return path.name == "labels.png" and path.with_name("image.png").is_file()
