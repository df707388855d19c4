"""Page of a report in a real browser: everything is drawn, nothing overflows, anyone can use it.

With UPDATE_IMAGES set, docs/images/report.png is drawn anew.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from axe import axe_script, violations
from browser import Page, browser, with_chromium
from project import ROOT
from reported import made_search
from vaeforge.report.step import make_report

pytestmark = [pytest.mark.long, pytest.mark.timeout(600), with_chromium]

WIDTHS = (1280, 390)
PANELS = "[...document.querySelectorAll('.panel')]"
DRAWN = f"{PANELS}.length > 0 && {PANELS}.every(panel => panel.querySelector('svg.main-svg'))"
OPEN = "document.querySelectorAll('details').forEach(one => { one.open = true; }); true"
OPENED = "[...document.querySelectorAll('details')].every(one => one.querySelector('.scroll'))"
SHOWN = "[...document.querySelectorAll('#ranked tbody tr')].filter(one => !one.hidden)"
USED = "[...document.querySelectorAll('a, button, input, summary, .scroll')]"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    return make_report(made_search(folder, "thirty", 30), ["thirty"]).page.as_uri()


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> str:
    return axe_script(tmp_path_factory.mktemp("axe"))


@pytest.fixture(params=WIDTHS)
def page(request: pytest.FixtureRequest, address: str) -> Iterator[Page]:
    with browser(request.param, 900) as opened:
        opened.open(address)
        opened.wait_until(DRAWN)
        yield opened


def test_everything_is_drawn_without_an_error(page: Page) -> None:
    assert page.evaluate("document.querySelectorAll('.panel').length") > 12
    assert page.errors == []


def test_nothing_overflows(page: Page) -> None:
    assert page.evaluate(OVERFLOW) == 0
    page.evaluate(OPEN)
    page.wait_until(OPENED)
    assert page.evaluate(OVERFLOW) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page: Page, script: str, scheme: str) -> None:
    page.prefer(scheme)
    page.evaluate(OPEN)
    page.wait_until(OPENED)
    assert violations(page, script) == []


def test_the_table_is_sorted_and_sifted_by_the_keyboard(page: Page) -> None:
    column = f"{SHOWN}.map(one => one.cells[1].innerText)"
    page.evaluate("document.querySelectorAll('#ranked th button')[1].focus(); true")
    page.press("Enter")
    assert page.evaluate(column) == [str(number) for number in range(30)]
    page.press("Enter")
    assert page.evaluate(column) == [str(number) for number in reversed(range(30))]
    page.evaluate("document.getElementById('filter').focus(); true")
    page.type("cyclical stopped")
    kept = [int(number) for number in page.evaluate(column)]
    assert kept == [number for number in reversed(range(30)) if number % 3 == 2 and number > 5]


def test_everything_can_be_reached_by_tab(page: Page) -> None:
    wanted = page.evaluate(f"{USED}.length")
    page.evaluate("document.activeElement.blur(); window.reached = new Set(); true")
    for _ in range(wanted):
        page.press("Tab")
        page.evaluate("window.reached.add(document.activeElement); true")
    missed = f"{USED}.filter(one => !window.reached.has(one)).map(one => one.outerHTML.slice(0, 200))"
    assert page.evaluate(missed) == []


def test_a_picture_for_the_docs(address: str) -> None:
    with browser(1280, 1000) as opened:
        opened.open(address)
        opened.wait_until(DRAWN)
        if os.environ.get("UPDATE_IMAGES"):
            opened.evaluate("document.getElementById('rate-distortion').scrollIntoView(); true")
            opened.screenshot(ROOT / "docs" / "images" / "report.png")
    assert Path(ROOT / "docs" / "images" / "report.png").exists()
