"""Step `report`: a search, or several beside each other, as one HTML page, and its figures for print.

The page of a search lies in its folder, `report.html`; one that compares searches in `artifacts/reports/`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vaeforge.errors import ConfigError
from vaeforge.paths import Project, hash_of, write_bytes
from vaeforge.report.figure import Absent, Cell, DataTable, Figure
from vaeforge.report.figures import figures_of
from vaeforge.report.figures.comparison import compared_figures
from vaeforge.report.findings import findings
from vaeforge.report.origin import commands, lineage
from vaeforge.report.page_builder import Facts, Page, html
from vaeforge.report.pictures import pictures
from vaeforge.report.ranked_table import ranked_table
from vaeforge.report.record import SearchRecord, read_search
from vaeforge.search.progress_view import duration
from vaeforge.track.report_artifact import REPORT

LONGEST = 120  # characters of a file's name


@dataclass(frozen=True)
class Report:
    """What was written: the page, and the files of the figures for print."""

    page: Path
    printed: tuple[Path, ...] = ()


def make_report(project: Project, names: Sequence[str], figures: Path | None = None) -> Report:
    """Write the page of the search in `names`, or one that compares several; with `figures` those for print, too.

    Raises:
        ConfigError: if no search is named, or one twice.
        SearchError: if there is no such search.
        VaeforgeError: if something that it left cannot be read.
    """
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"report: got {', '.join(names) or 'no name'}, must be one search, or several different ones")
    records = [read_search(project, name) for name in names]
    drawn = figures_of(records[0]) if len(records) == 1 else compared_figures(records)
    page = search_page(records[0], drawn) if len(records) == 1 else comparison_page(records, drawn)
    path = records[0].folder / REPORT if len(records) == 1 else project.step("reports") / f"{_joined(names)}.html"
    write_bytes(path, html(page).encode())
    return Report(path, tuple(_print(drawn, figures)) if figures is not None else ())


def _joined(names: Sequence[str]) -> str:
    """A file's name for a comparison."""
    joined = "-and-".join(names)
    return joined if len(joined) <= LONGEST else f"compared-{hash_of(list(names))[:16]}"


def _print(drawn: Sequence[Figure | Absent], folder: Path) -> list[Path]:
    from vaeforge.report.print_figures import write_figure  # brings Matplotlib

    return [path for figure in drawn if isinstance(figure, Figure) for path in write_figure(figure, folder)]


def search_page(record: SearchRecord, drawn: Sequence[Figure | Absent]) -> Page:
    """The page of one search."""
    header = record.history.header
    assert header is not None
    data = header.data_set.name if header.data_set else header.data_source
    settings = json.dumps(header.space, indent=1, ensure_ascii=False)
    return Page(
        title=f"Search {record.name}",
        subtitle=f"Family {header.family}, data {data}, {duration(record.history.clock_seconds)} in all sessions.",
        findings=findings(record),
        table_title="Ranking",
        table_reading="Best trial first; trials without a rank were not trained to their end. Numbers are those of the "
        "epoch whose checkpoint was kept; full β is the one number that all schedules have.",
        table=ranked_table(record),
        figures=drawn,
        pictures=pictures(record.evaluated),
        facts=(
            Facts("lineage", "Lineage", lineage(record)),
            Facts("commands", "Commands that reproduce it", lines=tuple(commands(record))),
            Facts("space", "What was searched", lines=tuple(settings.splitlines())),
        ),
    )


def comparison_page(records: Sequence[SearchRecord], drawn: Sequence[Figure | Absent]) -> Page:
    """The page of several searches."""
    return Page(
        title=f"Searches {', '.join(record.name for record in records)}",
        subtitle="Compared.",
        findings=[*comparability(records), *(f"{r.name}: {line}" for r in records for line in findings(r)[:2])],
        table_title="Winners",
        table_reading="One row a search, with the trial that it hands on.",
        table=winners(records),
        figures=drawn,
        facts=tuple(
            Facts(f"lineage-{place}", f"Lineage of {record.name}", lineage(record))
            for place, record in enumerate(records)
        ),
    )


def comparability(records: Sequence[SearchRecord]) -> list[str]:
    """Whether values can be compared: only of the same data under the same preparation and image size."""
    headers = [record.history.header for record in records if record.history.header]
    if len({header.data_identity for header in headers}) > 1:
        return ["These searches were of different data or preparations: their values cannot be compared."]
    return ["All of these searches were of the same data and preparation: their values can be compared."]


def winners(records: Sequence[SearchRecord]) -> DataTable:
    """One row a search."""
    rows: list[dict[str, Cell]] = []
    for record in records:
        best, history = record.best, record.history
        value = record.value
        rows.append(
            {
                "search": record.name,
                "trials": len(record.trials),
                "trained fully": sum(trial.done for trial in record.trials),
                "best trial": best.number if best else None,
                "val/nelbo": value.value if value else None,
                "sd": value.sd if value else None,
                "optimistic": bool(value.optimistic) if value else None,
                "schedule": best.schedule if best else None,
                "full β": best.full_beta if best else None,
                "latent size": best.latent_size if best else None,
                "rate": best.metric("rate") if best else None,
                "active units": best.metric("active_units") if best else None,
                "minutes": history.clock_seconds / 60,
                "core-hours": history.core_seconds / 3600,
                "sampler": _strategy(record, "search", "tpe"),
                "scheduler": _strategy(record, "scheduler", "asha"),
                "seed": history.header.seed if history.header else None,
            }
        )
    return DataTable.of(rows)


def _strategy(record: SearchRecord, key: str, default: str) -> str:
    given = record.space.get(key, default)
    return str(given.get("name", default)) if isinstance(given, dict) else str(given)
