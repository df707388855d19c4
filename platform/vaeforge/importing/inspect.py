"""A look at a source before it is imported: what would be read, as what, how it would be divided, what looks wrong.

It reads as `vaeforge import` does and divides as `vaeforge prepare` does, in a temporary folder. Nothing is written
below `data/`; figures and tables go into a folder of their own that a file manager shows.
"""

import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vaeforge.config.experiment import Experiment
from vaeforge.data.readers import read_source
from vaeforge.errors import ConfigError, DataError, QuestionError, VaeforgeError
from vaeforge.importing.description import write_description
from vaeforge.importing.import_format import FORMATS
from vaeforge.importing.import_options import ImportOptions, data_set_name
from vaeforge.importing.parsed_source import ImportLog, ParsedSource, Question, read_as
from vaeforge.importing.questions import line, read_asking
from vaeforge.importing.sample_size import sized, with_settings
from vaeforge.importing.walk_source import opened
from vaeforge.paths import Project
from vaeforge_models.families import families

FOLDER = "inspect"  # below artifacts/
SHOWN = 10  # parts that are left out, of those that are listed


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What a source is.

    Attributes:
        source: as it was given.
        family: whose data these would be.
        kind: what it is read as, the name of an import format.
        counts: how many items of each sort would be imported.
        split: how `vaeforge prepare` would divide them, as counts; empty where it would refuse.
        problems: why it would be refused, by import or by prepare.
        questions: what import would ask, and what `--yes` would assume.
        notes: what a person should know.
        left_out: parts of the source that cannot be used, with the reason.
        folder: figures and tables; none where the source could not be read.
        families: all that could read the source, in words; empty where one was asked for.
    """

    source: str
    family: str
    kind: str
    counts: dict[str, int] = field(default_factory=dict)
    split: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    folder: str | None = None
    families: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 where an import would go through, 2 where it would ask or refuse."""
        return 2 if self.problems or self.questions else 0

    def to_json(self) -> dict[str, Any]:
        """As `vaeforge inspect --json true` prints it."""
        return asdict(self)

    def lines(self) -> list[str]:
        """As a person reads it, the most important last."""
        found = read_as(self.source, self.kind, self.family, self.counts, self.notes)
        if self.split:
            found.append("would be divided: " + ", ".join(f"{count} {name}" for name, count in self.split.items()))
        found += [f"left out: {item}: {reason}" for item, reason in list(self.left_out.items())[:SHOWN]]
        if len(self.left_out) > SHOWN:
            found.append(f"left out: {len(self.left_out) - SHOWN} more, see left_out.csv")
        if self.folder:
            found.append(f"figures and tables: {self.folder}")
        if self.families:
            found.append(f"families that could read it: {', '.join(self.families)}; say --family to choose")
        found += [f"question: {question}" for question in self.questions]
        return found + [f"refused: {problem}" for problem in self.problems]


def inspect_source(
    source: Path, experiment: Experiment, project: Project, options: ImportOptions, *, asked: bool = True
) -> Inspection:
    """Read and divide `source` as an import and a prepare would.

    Args:
        source: what would be imported.
        experiment: of the family whose data it would be.
        project: whose folder takes figures and tables.
        options: how the source is meant.
        asked: whether the user named the family; else all that could read it are named.

    Raises:
        ConfigError: if an option cannot be meant so.
    """
    family, kind, log = experiment.family, experiment.definition.data, ImportLog()
    problems, counts, split, folder = list[str](), dict[str, int](), dict[str, int](), None
    others: list[str] = []
    with tempfile.TemporaryDirectory(prefix="vaeforge-inspect-") as name:
        try:
            with opened(source.resolve(), Path(name) / "unpacked", log) as place:
                parsed = {kind: _asked(kind, place, options, log)}
                others = [] if asked else _readers(place, options, parsed)
                content = _usable(parsed[kind])
                counts, folder = content.counts, project.artifacts / FOLDER / data_set_name(source.absolute(), options)
                write_description(folder, content, log, "left_out.csv")
                own = sized(kind, content, experiment.prepare, options, log)
                divided = experiment.model_copy(update={"prepare": with_settings(experiment.prepare, own)})
                split = _divided(Path(name) / "data", content, divided)
        except QuestionError:
            pass  # the log has it
        except DataError as error:
            problems.append(str(error).replace(name, source.name))
    return Inspection(
        source=str(source),
        family=family,
        kind=kind,
        counts=counts,
        split=split,
        problems=problems,
        questions=[_shown(question) for question in log.questions],
        notes=log.notes,
        left_out={entry.item: entry.reason for entry in log.quarantined},
        folder=None if folder is None else str(folder),
        families=others,
    )


def _shown(question: Question) -> str:
    return line(question) + (f" (shown as if {question.as_if} were given)" if question.as_if else "")


def _asked(kind: str, place: Path, options: ImportOptions, log: ImportLog) -> ParsedSource | VaeforgeError:
    """The same as `_parsed`, with all that is asked in `log`."""
    try:
        return read_asking(FORMATS.named(kind), place, options, log)
    except (ConfigError, DataError) as error:
        return error


def _parsed(kind: str, place: Path, options: ImportOptions, log: ImportLog) -> ParsedSource | VaeforgeError:
    """What a source is as `kind`, or why it is not."""
    try:
        return FORMATS.named(kind).parse(place, options, log)
    except (ConfigError, DataError) as error:
        return error


def _usable(parsed: ParsedSource | VaeforgeError) -> ParsedSource:
    if isinstance(parsed, VaeforgeError):
        raise parsed
    return parsed


def _readers(place: Path, options: ImportOptions, parsed: dict[str, ParsedSource | VaeforgeError]) -> list[str]:
    """The families whose import reads a source, each with what as, by trying all kinds that are not `parsed` yet."""
    found = []
    for name, family in sorted(families().items()):
        if family.data not in parsed:
            parsed[family.data] = _parsed(family.data, place, options, ImportLog())
        content = parsed[family.data]
        if isinstance(content, VaeforgeError) and not isinstance(content, QuestionError):
            continue
        counts = {} if isinstance(content, VaeforgeError) else content.counts
        read = ", ".join(f"{count} {what}" for what, count in counts.items()) or "asks first"
        found.append(f"{name} ({family.data}: {read})")
    return found


def _divided(folder: Path, content: ParsedSource, experiment: Experiment) -> dict[str, int]:
    folder.mkdir()
    content.write(folder)
    return read_source(folder, experiment).counts
