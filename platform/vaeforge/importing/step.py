"""The import step: a source read and checked, a data set with its statistics written, its manifest last, DVC told."""

import contextlib
import platform
import shutil
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vaeforge.config.layouts import layout_named
from vaeforge.config.prepare import Prepare
from vaeforge.data.data_sets import OWN_SETTINGS
from vaeforge.data.mass_list import mass_words
from vaeforge.errors import ConfigError, DataError, QuestionError
from vaeforge.importing.data_set_changes import arrived
from vaeforge.importing.description import write_description
from vaeforge.importing.import_format import FORMATS, ImportFormat
from vaeforge.importing.import_options import ImportOptions, ImportResult, data_set_name, usable_name
from vaeforge.importing.parsed_source import ALL, READ, WRITTEN, ImportLog, ParsedSource, read_as, shown
from vaeforge.importing.questions import read_asking, settle, told
from vaeforge.importing.rims import ASK
from vaeforge.importing.sample_size import sized
from vaeforge.importing.staging import UNPACKED, hidden, only_import, staged, tidy
from vaeforge.importing.walk_source import opened
from vaeforge.paths import Project, sha256_of, write_json
from vaeforge.progress import part, through

BESIDE = ".import"  # hidden, so that no reader of data takes it for data
LIBRARIES = ("numpy", "pillow", "tifffile", "imagecodecs", "matplotlib", "pyarrow", "pandas", "nibabel", "h5py")


def run_import(
    source: Path,
    family: str,
    kind: str,
    project: Project,
    options: ImportOptions,
    prepare: Prepare | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> ImportResult:
    """Make a data set data/<family>/<name> out of `source`.

    Args:
        source: a folder, a file or an archive.
        family: whose data these are.
        kind: the layout that the family learns from, the name of an import format.
        project: where to.
        options: see `ImportOptions`.
        prepare: the settings by which samples will be made; none: the layout's defaults.
        say: takes what was read, a line at a time, before anything is written.

    Raises:
        ConfigError: if kind, name or an option cannot be meant so.
        DataError: if the source is not usable, or the data set exists already; nothing is left behind.
    """
    how = FORMATS.named(kind)
    if usable_name(family):
        raise ConfigError(f"family: got {family!r}, which {usable_name(family)}")
    folder = project.data(family) / data_set_name(source.absolute(), options)
    given, source, existed = source, source.resolve(), folder.parent.is_dir()
    try:
        with only_import(project.artifacts / "import.lock"), part("importing", ALL) as under_way:
            tidy(folder.parent)
            _refuse_places(source, folder, options.replace)
            log = ImportLog()
            with opened(source, hidden(folder, UNPACKED), log) as place:
                content = _read(how, place, options, log)
                own = sized(kind, content, prepare or layout_named(kind).settings(), options, log)
                settle(log, options)
                under_way.reach(READ)
                for line in read_as(str(given), kind, family, content.counts, log.notes):
                    say(line)
                with staged(folder) as filling:
                    content.write(filling)
                    under_way.reach(READ + WRITTEN)
                    _describe(filling, source, family, kind, options, content, log, own)
    except OSError as error:
        raise DataError(f"{folder}: could not be imported ({error}); nothing was changed") from None
    finally:
        if not existed:
            with contextlib.suppress(OSError):
                folder.parent.rmdir()  # if this made it, and put nothing there
    tracked, tracking, changes = arrived(project, family, folder, options.track)
    return ImportResult(
        folder=folder,
        manifest=folder / BESIDE / "import.json",
        counts=content.counts,
        quarantined=len(log.quarantined),
        notes=log.notes,
        changes=changes,
        tracked=tracked,
        tracking=tracking,
        report=_report(folder / BESIDE, project.artifacts / "import" / family / folder.name),
    )


def _read(how: ImportFormat, place: Path, options: ImportOptions, log: ImportLog) -> ParsedSource:
    """The source; where it is refused, what is open is asked too."""
    try:
        return read_asking(how, place, options, log)
    except QuestionError:
        raise
    except DataError as error:
        open_questions = told(log, options)
        raise (DataError(f"{error}\n{open_questions}") if open_questions else error) from None


def _report(beside: Path, report: Path) -> Path:
    """Copy figures and tables, which lie hidden beside the data, to where a file manager shows them."""
    shutil.rmtree(report, ignore_errors=True)
    report.mkdir(parents=True)
    for path in (*sorted(beside.glob("*.png")), *sorted(beside.glob("*.csv"))):
        shutil.copyfile(path, report / path.name)
    return report


def _refuse_places(source: Path, folder: Path, replace: bool) -> None:
    if source.is_relative_to(folder) or folder.is_relative_to(source):
        raise DataError(f"{source}: overlaps with {folder}, where the data set goes; give a source outside of it")
    if folder.exists() and not replace:
        raise DataError(f"{folder}: exists already; give another --name, or --replace true")


def _describe(
    folder: Path,
    source: Path,
    family: str,
    kind: str,
    options: ImportOptions,
    content: ParsedSource,
    log: ImportLog,
    own: Mapping[str, Any],
) -> None:
    """Write statistics, figures and, last, the manifest."""
    beside = folder / BESIDE
    write_description(beside, content, log, "quarantine.csv")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    summed = through(files, "checksums", ALL - READ - WRITTEN)
    manifest = {
        "step": "import",
        "source": shown(source, source.parent),
        "family": family,
        "kind": kind,
        "options": _plain(options),
        OWN_SETTINGS: dict(own),
        "counts": content.counts,
        "quarantined": len(log.quarantined),
        "remarks": log.notes,
        "files": {path.relative_to(folder).as_posix(): sha256_of(path) for path in summed},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
    }
    write_json(beside / "import.json", manifest)


def _plain(options: ImportOptions) -> Mapping[str, Any]:
    """What the data set depends on; paths by their names, which tell no more of the machine than the data need."""
    return {
        "normal": list(options.normal),
        "groups": Path(options.groups).name if options.groups.endswith((".csv", ".tsv")) else options.groups,
        "group_column": options.group_column,
        "split": Path(options.split).name,
        "transposed": options.transposed,
        **({"time_axis": options.time_axis} if options.time_axis else {}),
        **({"hemispheres": options.hemispheres} if options.hemispheres else {}),
        **({"dummy_scans": options.dummy_scans} if options.dummy_scans is not None else {}),
        "mask": options.mask.name if options.mask else None,
        "columns": dict(options.columns),
        "channels": list(options.channels),
        **({"layer": options.layer} if options.layer else {}),
        **({"masses": list(mass_words(options.masses))} if options.masses else {}),
        **({"tolerance": options.tolerance} if options.tolerance else {}),
        **({"normalise": options.normalise} if options.normalise else {}),
        "white": options.white,
        "black": options.black,
        **({"window": options.window} if options.window else {}),
        **({"depth": options.depth} if options.depth else {}),
        "pages": options.pages,
        "duplicates": options.duplicates,
        **({"rims": options.rims} if options.rims != ASK else {}),
        "size": options.size,
    }
