"""Page of a running search in a real browser, while the search's ledger grows."""

from pathlib import Path

import pytest

from axe import axe_script, violations
from browser import Page, browser, with_chromium
from reported import KEPT
from vaeforge.ledger.history import read_history
from vaeforge.paths import Project
from vaeforge.watch.page import serve_page

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(600),
    with_chromium,
]

WIDTHS = (1280, 390)
FIRST = 20  # lines of the ledger that are there when the page is opened
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
LOADED = "performance.getEntriesByType('resource').map(one => new URL(one.name).host)"


def no_overflow(page: Page) -> None:
    for width in WIDTHS:
        page.resize(width, 900)
        assert page.evaluate(OVERFLOW) <= 0, width


def test_the_page_follows_a_growing_ledger(tmp_path: Path) -> None:
    lines = (KEPT / "faults.jsonl").read_bytes().splitlines(keepends=True)
    folder = Project(tmp_path).search("faults")
    folder.mkdir(parents=True)
    (folder / "lock").write_text("process 1 on another-machine", encoding="utf-8")  # it runs, as far as is known here
    ledger = folder / "ledger.jsonl"
    ledger.write_bytes(b"".join(lines[:FIRST]))
    total, script = len(read_history(KEPT / "faults.jsonl").trials), axe_script(tmp_path)
    with serve_page(folder) as address, browser() as page:
        page.open(address)
        before = page.wait_for("faults")
        no_overflow(page)
        assert violations(page, script) == []
        with ledger.open("ab") as growing:
            growing.write(b"".join(lines[FIRST:]))
        (folder / "lock").unlink()
        after = page.wait_for(f"{total}/{total} trials ended")
        assert after != before
        no_overflow(page)
        for scheme in ("light", "dark"):
            page.prefer(scheme)
            assert violations(page, script) == []
        assert page.errors == []
        assert set(page.evaluate(LOADED)) == {address.removeprefix("http://").strip("/")}  # nothing from elsewhere
