"""Page of a report: one HTML file that holds everything it needs.

All texts go through Jinja's escaping, and figures into the page as JSON in which nothing can end its script: names of
searches, data sets, parameters and classes come from outside. The page's own policy forbids it to load anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from vaeforge.errors import ResourceError
from vaeforge.records import to_json
from vaeforge.report.figure import Absent, DataTable, Figure
from vaeforge.report.pictures import Picture
from vaeforge.report.plotly_figure import plotly_panel
from vaeforge.report.ranked_table import shown
from vaeforge.version import __version__

FOLDER = Path(__file__).parent / "page"


NOTHING = DataTable((), ())


@dataclass(frozen=True)
class Facts:
    """A section of facts: a table, or lines as they are typed."""

    name: str
    title: str
    table: DataTable = NOTHING
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """What a page shows, from top to bottom."""

    title: str
    subtitle: str
    findings: Sequence[str]
    table_title: str
    table_reading: str
    table: DataTable
    figures: Sequence[Figure | Absent]
    pictures: Sequence[Picture] = ()
    facts: Sequence[Facts] = ()
    version: str = field(default=__version__)


def html(page: Page) -> str:
    """The whole file.

    Raises:
        ResourceError: if Plotly's script is not installed.
    """
    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    environment.filters["shown"] = shown
    environment.policies["json.dumps_kwargs"] = {
        "allow_nan": False,
        "ensure_ascii": False,
        "separators": (",", ":"),
    }
    return environment.get_template("page.html.j2").render(
        page=page,
        figures={figure.name: _data(figure) for figure in page.figures if isinstance(figure, Figure)},
        style=_own("page.css"),
        script=_own("page.js"),
        plotly=_plotly(),
    )


def _data(figure: Figure) -> dict[str, Any]:
    table: Any = to_json(figure.table, finite=True)
    return {"panels": [plotly_panel(panel) for panel in figure.panels], "table": table}


def _own(name: str) -> str:
    """A file of this package, which is part of the page as it is."""
    return (FOLDER / name).read_text(encoding="utf-8")


def _plotly() -> str:
    """Plotly's script out of the Python package that carries it, without the package's import, which is slow."""
    spec = find_spec("plotly")
    path = Path(next(iter(spec.submodule_search_locations or ()))) if spec else Path()
    script = path / "package_data" / "plotly.min.js"
    if spec is None or not script.exists():
        raise ResourceError("report: the package plotly is not installed; `pip install -r requirements.lock` brings it")
    return script.read_text(encoding="utf-8")
