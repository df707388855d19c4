"""How far a step has come: what steps report, and what a terminal, a file and a pipe show of it."""

import io
import os
import pty
import sys
import termios
import threading
from collections.abc import Sequence
from itertools import chain, repeat
from pathlib import Path

import pytest
from rich.console import Console

from project import SmallProject, write_images
from vaeforge.progress import Part, listening, part, share, through
from vaeforge.progress_bar import _View, duration, shown


def test_where_nobody_listens_items_pass_and_nothing_is_said() -> None:
    assert list(through([1, 2, 3], "reading")) == [1, 2, 3]
    with part("reading", 3) as own:
        own.advance()
    assert own.done == 1


def test_a_listener_hears_each_item_and_the_end() -> None:
    heard: list[list[tuple[str, float]]] = []

    def listen(parts: Sequence[Part]) -> None:
        heard.append([(one.what, one.done) for one in parts])

    with listening(listen):
        for _ in through("ab", "reading"):
            pass
    assert heard == [[("reading", 0)], [("reading", 1)], [("reading", 2)], []]


def test_parts_within_one_another_add_up() -> None:
    shares: list[float | None] = []
    with listening(lambda parts: shares.append(share(parts))), part("importing", 10) as whole:
        for _ in through("abcd", "reading", span=6):
            pass
        whole.reach(8)
    assert shares == pytest.approx([0, 0, 0.15, 0.3, 0.45, 0.6, 0.6, 0.8, None])  # the whole; four items; its end; 8


def test_an_error_leaves_no_part_open() -> None:
    heard: list[int] = []
    with (
        listening(lambda parts: heard.append(len(parts))),
        pytest.raises(ValueError, match="bad"),
        part("a"),
        part("b"),
    ):
        raise ValueError("bad")
    assert heard == [1, 2, 1, 0]


def test_other_threads_are_not_heard() -> None:
    heard: list[int] = []
    with listening(lambda parts: heard.append(len(parts))):
        other = threading.Thread(target=lambda: list(through("ab", "reading")))
        other.start()
        other.join()
    assert heard == []


def test_without_a_terminal_a_line_comes_every_ten_seconds() -> None:
    out, now = io.StringIO(), 0.0
    view = _View(Console(file=out, width=100), clock=lambda: now)
    one = Part("reading", 100)
    for _ in range(100):
        view.hear([one])
        one.done, now = one.done + 1, now + 0.5
    view.close()
    lines = out.getvalue().splitlines()
    assert lines == [f"reading: {done} of 100, about {duration((100 - done) / 2)} left" for done in (20, 40, 60, 80)]


@pytest.mark.parametrize("done", [0, 5000])
def test_the_time_left_counts_what_was_done_now(done: int) -> None:
    """A scoring that goes on after half of its rows knows nothing of the time that the first half took."""
    out, times = io.StringIO(), chain([0.0], repeat(20.0))
    view = _View(Console(file=out, width=100), clock=lambda: next(times))
    one = Part("scoring", 10_000, done, note="50 items/s")
    view._step, view._began, view._first = one, 0.0, done / 10_000
    one.done = done + 1000
    view.hear([one])
    left = duration(20 * (9000 - done) / 1000)
    assert out.getvalue() == f"scoring: {done + 1000:,} of 10,000, 50 items/s, about {left} left\n"


@pytest.mark.parametrize("quiet", [False, True])
def test_what_ends_sooner_prints_nothing_without_a_terminal(quiet: bool) -> None:
    out = io.StringIO()
    with shown(Console(file=out), quiet):
        assert len(list(through(range(50), "reading"))) == 50
    assert out.getvalue() == ""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    return SmallProject(tmp_path_factory.mktemp("progress"))


def test_a_terminal_shows_a_bar_and_is_left_clean(project: SmallProject, monkeypatch: pytest.MonkeyPatch) -> None:
    output = on_a_terminal(project, monkeypatch, "prepare")
    assert "preparing" in output
    assert "━" in output
    assert output.rstrip().splitlines()[-1].find("━") == -1
    assert output.count("\x1b[?25l") == output.count("\x1b[?25h") > 0  # the cursor is shown again
    assert "Prepared" in output


def test_a_pipe_shows_none(project: SmallProject) -> None:
    output = project.call("prepare")
    assert "Prepared" in output
    assert "preparing" not in output
    assert "\x1b" not in output


def on_a_terminal(project: SmallProject, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """What a call of the command line in this process writes to a pseudo-terminal of 100 columns."""
    from vaeforge.cli.app import main

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    parts: list[bytes] = []

    def read() -> None:
        while True:
            try:
                parts.append(os.read(ours, 65536))
            except OSError:  # Linux says so that nobody has the other side any more
                return

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal:
        monkeypatch.setenv("TERM", "xterm")
        for name in ("NO_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(sys, "argv", ["vaeforge", *arguments])
        monkeypatch.setattr(sys, "stdout", terminal)
        monkeypatch.chdir(Path(project.root))
        try:
            main()
        except SystemExit as end:
            assert not end.code
        monkeypatch.undo()
    reader.join()
    os.close(ours)
    return b"".join(parts).decode()


def test_an_import_shows_how_many_pictures_are_read_and_written(
    project: SmallProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "ours"
    for name, brightness in (("normal", 160), ("lesion", 250)):
        write_images(source / name, 8, brightness, brightness)
    output = on_a_terminal(project, monkeypatch, "import", str(source), "--track", "false", "--yes", "true")
    assert "importing" in output
    assert "━" in output
    assert "imported" in output
