"""Page of a report: one file, nothing in it can escape its place, and nothing at a search's end depends on it."""

import io
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from project import command_line
from reported import header, kept_search, made_search, made_trial, registered_groups, written_search
from vaeforge.errors import ConfigError, SearchError
from vaeforge.paths import Project
from vaeforge.report.at_end import report_at_end
from vaeforge.report.figure import Figure
from vaeforge.report.figures import figures_of
from vaeforge.report.plotly_figure import plotly_panel
from vaeforge.report.record import read_search
from vaeforge.report.step import make_report

MEGABYTES = 1 << 20


class Elements(HTMLParser):
    """The elements of a page, with their attributes and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append((self.found[-1][0] if self.found else "", data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each element called `tag`."""
        return [about for name, about in self.found if name == tag]


@pytest.mark.parametrize("name", ["faults", "population", "budget"])
def test_kept_ledgers_make_a_report(tmp_path: Path, name: str) -> None:
    page = make_report(kept_search(tmp_path, name), [name]).page
    text = page.read_text(encoding="utf-8")
    assert page == tmp_path / "artifacts" / "searches" / name / "report.html"
    assert len(text) < 8 * MEGABYTES
    assert f"Search {name}" in text and "Optimisation history" in text


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    elements = Elements(make_report(made_search(tmp_path, "made", 8), ["made"]).page.read_text(encoding="utf-8"))
    policy = next(one["content"] for one in elements.all("meta") if one.get("http-equiv"))
    assert policy is not None and policy.startswith("default-src 'none';") and "http" not in policy
    assert not [one for one in elements.all("script") if "src" in one] and not elements.all("link")
    assert all(str(one["href"]).startswith("#") for one in elements.all("a"))


def test_every_link_of_the_contents_leads_somewhere(tmp_path: Path) -> None:
    elements = Elements(make_report(made_search(tmp_path, "made", 8), ["made"]).page.read_text(encoding="utf-8"))
    places = {about["id"] for _, about in elements.found if "id" in about}
    assert {str(one["href"])[1:] for one in elements.all("a")} <= places


def test_names_from_outside_stay_texts(tmp_path: Path) -> None:
    odd = "</script><b id=odd>&amp;"
    params = {"beta.schedule": "constant", "model.kind": odd}
    lines = [header("odd", data_source=odd), *registered_groups(), *made_trial(0, params, -1.0)]
    lines += made_trial(1, params | {"model.kind": "plain"}, -2.0)
    text = make_report(written_search(tmp_path, "odd", lines), ["odd"]).page.read_text(encoding="utf-8")
    elements = Elements(text)
    assert not elements.all("b") and len(elements.all("script")) == 3
    figures = json.loads(next(data for data in (t for tag, t in elements.texts if tag == "script") if data[:1] == "{"))
    assert odd in figures["slices"]["table"]["rows"][0] if "slices" in figures else True
    assert odd in " ".join(data for _, data in elements.texts)


def test_several_searches_are_compared(tmp_path: Path) -> None:
    project = made_search(tmp_path, "one", 9, seed=1)
    made_search(tmp_path, "two", 9, seed=2)
    page = make_report(project, ["one", "two"]).page
    assert page == tmp_path / "artifacts" / "reports" / "one-and-two.html"
    text = page.read_text(encoding="utf-8")
    assert "their values can be compared" in text and "The best so far" in text


def test_searches_of_different_data_are_said_to_be_so(tmp_path: Path) -> None:
    project = made_search(tmp_path, "one", 3)
    lines = [header("two", data_identity="e" * 64), *made_trial(0, {"beta.schedule": "constant"}, -1.0)]
    written_search(tmp_path, "two", lines)
    assert "their values cannot be compared" in make_report(project, ["one", "two"]).page.read_text(encoding="utf-8")


def test_what_cannot_be_reported_is_refused(tmp_path: Path) -> None:
    project = made_search(tmp_path, "one", 3)
    with pytest.raises(ConfigError, match="must be one search, or several different ones"):
        make_report(project, ["one", "one"])
    with pytest.raises(SearchError, match="`vaeforge searches` lists those there are"):
        make_report(project, ["another"])
    written_search(tmp_path, "empty", [])
    with pytest.raises(SearchError, match="nothing was started"):
        make_report(project, ["empty"])


def test_the_command_writes_pages(tmp_path: Path) -> None:
    made_search(tmp_path, "one", 4)
    made_search(tmp_path, "two", 4, seed=2)
    done = command_line(tmp_path, "report", "one")
    assert done.code == 0 and done.stdout.splitlines()[-1].endswith("artifacts/searches/one/report.html"), done
    assert command_line(tmp_path, "report", "one,two", "--figures", "").code == 0  # as `mlflow run` passes them
    assert (tmp_path / "artifacts" / "reports" / "one-and-two.html").exists()
    refused = command_line(tmp_path, "report", "none")
    assert refused.code == 2 and "not found" in refused.stderr


@pytest.mark.slow
def test_the_command_writes_figures(tmp_path: Path) -> None:
    kept_search(tmp_path, "budget")
    done = command_line(tmp_path, "report", "budget", "--figures", "print")
    assert done.code == 0 and "files of figures: print" in done.stdout, done
    names = {path.name for path in (tmp_path / "print").iterdir()}
    assert {"optimisation-history.svg", "optimisation-history.png", "optimisation-history.csv"} <= names


def test_a_report_that_cannot_be_written_costs_no_search_its_result(tmp_path: Path) -> None:
    project = made_search(tmp_path, "endoscopy-12345678", 3)
    (project.search("endoscopy-12345678") / "report.html").mkdir()  # in its way
    out = io.StringIO()
    report_at_end(project, "endoscopy-12345678", None, Console(file=out, width=200))
    assert "warning: no report: IsADirectoryError" in out.getvalue()
    assert "`vaeforge report endoscopy-12345678` tries again" in out.getvalue()


def test_a_damaged_ledger_makes_a_report_that_says_so(tmp_path: Path) -> None:
    project = kept_search(tmp_path, "faults")
    ledger = project.search("faults") / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes() + b"{torn\n")
    text = make_report(project, ["faults"]).page.read_text(encoding="utf-8")
    assert "1 line(s) of its ledger are damaged" in text


@pytest.mark.slow
def test_two_thousand_trials_make_a_page_of_less_than_20_megabytes(tmp_path: Path) -> None:
    project = made_search(tmp_path, "large", 2000)
    assert make_report(project, ["large"]).page.stat().st_size < 20 * MEGABYTES


def test_the_project_of_a_report_is_only_read(tmp_path: Path) -> None:
    project = made_search(tmp_path, "made", 4)
    before = sorted(path.name for path in project.search("made").iterdir())
    make_report(Project(tmp_path), ["made"])
    assert sorted(path.name for path in project.search("made").iterdir()) == sorted([*before, "report.html"])


def test_no_panel_has_a_contour(tmp_path: Path) -> None:
    # over logarithmic axes plotly.js 4.1.1 draws one for ever, and the page hangs: tests/e2e/test_report_in_browser.py
    made_search(tmp_path, "made", 12)
    drawn = [one for one in figures_of(read_search(Project(tmp_path), "made")) if isinstance(one, Figure)]
    assert any(panel.surface for one in drawn for panel in one.panels)
    kinds = {trace["type"] for one in drawn for panel in one.panels for trace in plotly_panel(panel)["data"]}
    assert "heatmap" in kinds and "contour" not in kinds
