"""In a notebook, where IPython is, one output of the cell changes; IPython itself is played here."""

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console

from vaeforge.notebook import NotebookPlace
from vaeforge.progress import Part
from vaeforge.progress_bar import _View
from vaeforge.search.progress_view import ProgressView, mode_for


class Output:
    """One output of a cell, and all that it has shown."""

    def __init__(self, content: Any):
        self.shown = [content]

    def update(self, content: Any) -> None:
        self.shown.append(content)


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Output]]:
    made: list[Output] = []

    def display(*contents: Any, display_id: bool = False, **_: Any) -> Output:
        made.append(Output(contents[0]))
        return made[-1]

    module = ModuleType("IPython.display")
    module.display, module.HTML = display, str  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    yield made


def test_what_is_shown_again_takes_the_place_of_what_was_there(outputs: list[Output]) -> None:
    place = NotebookPlace()
    place.start()
    assert not outputs
    place.update("one")
    place.update("two")
    assert [output.shown for output in outputs] == [["one", "two"]]
    place.clear()
    place.update("three")
    assert [output.shown for output in outputs] == [["one", "two", ""], ["three"]]


def test_a_search_shows_its_table_in_one_output(outputs: list[Output]) -> None:
    console = Console(force_jupyter=True)
    assert mode_for(console) == "live" and mode_for(console, quiet=True) == "quiet"
    with ProgressView(console, "s", 3, 2) as view:
        assert isinstance(view._live, NotebookPlace)
    assert not outputs  # nothing was to be shown yet


def test_a_step_shows_one_line_that_goes_when_it_is_done(outputs: list[Output]) -> None:
    now, step = [0.0], Part("reading", 4, 1)
    view = _View(Console(force_jupyter=True), lambda: now[0])
    view.hear([step])  # nothing yet: half a second is to pass between changes
    for done in (2, 3):
        now[0] += 1.5
        step.done = done
        view.hear([step])
    (line,) = outputs
    assert [str(text) for text in line.shown] == ["reading: 2 of 4, about 3 s left", "reading: 3 of 4, about 2 s left"]
    view.close()
    assert line.shown[-1] == ""
