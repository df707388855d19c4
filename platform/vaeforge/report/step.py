"""Step `report`: a search, or several and versions beside each other, as one HTML page, and its figures for print.

The page of a search lies in its folder, `report.html`; one that compares searches in `artifacts/reports/`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vaeforge.errors import ConfigError
from vaeforge.paths import Project, hash_of, write_bytes
from vaeforge.progress_bar import duration
from vaeforge.report.comparison_page import comparison_page
from vaeforge.report.failures import failures
from vaeforge.report.figure import Absent, Figure
from vaeforge.report.figures import figures_of
from vaeforge.report.figures.comparison import compared_figures
from vaeforge.report.findings import findings
from vaeforge.report.origin import commands, lineage
from vaeforge.report.page_builder import Facts, Page, html
from vaeforge.report.pictures import pictures
from vaeforge.report.ranked_table import ranked_table
from vaeforge.report.record import Evaluated, SearchRecord, read_search
from vaeforge.report.sides import Side, is_version, read_sides
from vaeforge.track.report_artifact import REPORT

LONGEST = 120  # characters of a file's name


@dataclass(frozen=True)
class Report:
    """What was written: the page, and the files of the figures for print, with the pictures of evaluations."""

    page: Path
    printed: tuple[Path, ...] = ()


def make_report(project: Project, names: Sequence[str], figures: Path | None = None) -> Report:
    """Write the page of the search in `names`, or one that compares several; with `figures` those for print, too.

    Args:
        project: of the searches.
        names: of searches, and of versions (`models:/NAME/VERSION`, `models:/NAME@ALIAS`) where several are compared.
        figures: a folder for the figures for print, and for copies of the evaluations' pictures; none: the page alone.

    Raises:
        ConfigError: if nothing is named, one thing twice, or a version alone.
        SearchError: if there is no such search.
        VaeforgeError: if something that it left cannot be read, or there is no such version.
    """
    if not names or len(set(names)) < len(names):
        raise ConfigError(
            f"report: got {', '.join(names) or 'no name'}, must be one search, or several different ones and versions"
        )
    if len(names) == 1 and is_version(names[0]):
        raise ConfigError(
            f"report: got {names[0]!r} alone, must be compared with another version or a search; its own page is that "
            "of its search, which `vaeforge trace` names"
        )
    if len(names) == 1:
        record = read_search(project, names[0])
        drawn, path = figures_of(record), record.folder / REPORT
        page, evaluated = search_page(record, drawn), {"": record.evaluated}
    else:
        sides = read_sides(project, names)
        drawn, path = compared_figures(sides), project.step("reports") / f"{_joined(sides)}.html"
        page = comparison_page(sides, drawn)
        evaluated = {side.name: side.record.evaluated for side in sides if side.record}
    write_bytes(path, html(page).encode())
    return Report(path, () if figures is None else (*_print(drawn, figures), *_copies(evaluated, figures)))


def _joined(sides: Sequence[Side]) -> str:
    """A file's name for a comparison."""
    joined = "-and-".join(re.sub(r"[^\w.-]", "-", side.name) for side in sides)
    return joined if len(joined) <= LONGEST else f"compared-{hash_of([side.name for side in sides])[:16]}"


def _print(drawn: Sequence[Figure | Absent], folder: Path) -> list[Path]:
    from vaeforge.report.print_figures import write_figure  # brings Matplotlib

    return [path for figure in drawn if isinstance(figure, Figure) for path in write_figure(figure, folder)]


def _copies(evaluated: Mapping[str, Evaluated | None], folder: Path) -> list[Path]:
    """The pictures that evaluations drew, as they are, in `pictures/`; of several searches each in a folder of its."""
    found = []
    for name, one in evaluated.items():
        for picture, source in (one.pictures() if one else {}).items():
            path = folder / "pictures" / name / f"{picture}.png"
            write_bytes(path, source.read_bytes())
            found.append(path)
    return found


def search_page(record: SearchRecord, drawn: Sequence[Figure | Absent]) -> Page:
    """The page of one search."""
    header = record.history.header
    assert header is not None
    data = header.data_set.name if header.data_set else header.data_source
    table = ranked_table(record)
    left = len(record.trials) - len(table.rows)
    thinned = f" {left} more trials follow; `vaeforge trials {record.name} --json true` lists all." if left else ""
    settings, failed = json.dumps(header.space, indent=1, ensure_ascii=False), failures(record)
    return Page(
        title=f"Search {record.name}",
        subtitle=f"Family {header.family}, data {data}, {duration(record.history.clock_seconds)} in all sessions.",
        findings=findings(record),
        table_title="Ranking",
        table_reading="Best trial first; trials without a rank were not trained fully. Numbers are those of the "
        f"epoch whose checkpoint was kept; full β is the one number that all schedules have.{thinned}",
        table=table,
        figures=drawn,
        pictures=pictures(record.evaluated),
        facts=(
            *((Facts("failures", "Why trials failed", failed),) if failed.rows else ()),
            Facts("lineage", "Lineage", lineage(record)),
            Facts("commands", "Commands that reproduce it", lines=tuple(commands(record))),
            Facts("space", "What was searched", lines=tuple(settings.splitlines())),
        ),
    )
