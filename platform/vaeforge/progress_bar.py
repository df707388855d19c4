"""Progress of a step before people: a bar with the time left on a terminal, a line now and then elsewhere.

In a notebook it is one line that changes.

It shows what `progress` reports, whichever step that is of.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from vaeforge.notebook import NotebookPlace
from vaeforge.progress import Part, listening, share

LINE_SECONDS = 10.0  # between lines
CHANGE_SECONDS = 0.5  # between changes of a notebook's line
TELLING = 0.02  # of a step must be done before the pace of it says how long the rest takes
HOUR = 3600.0


@contextmanager
def shown(console: Console, quiet: bool = False) -> Iterator[None]:
    """Show on `console` how far the steps within the block have come; with `quiet`, nothing."""
    if quiet or console.quiet:
        yield
        return
    view = _View(console)
    try:
        with listening(view.hear):
            yield
    finally:
        view.close()


class _View:
    """What is on the console: of steps that follow one another, each has a bar of its own."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic):
        self._console, self._clock = console, clock
        self._drawn = console.is_terminal and not console.is_dumb_terminal
        self._place = NotebookPlace() if console.is_jupyter else None
        self._bar: Progress | None = None
        self._step: Part | None = None
        self._began, self._first, self._most = 0.0, 0.0, 0.0
        self._printed = clock()

    def hear(self, parts: Sequence[Part]) -> None:
        if not parts:
            self.close()
            return
        if parts[0] is not self._step:
            self.close()
            self._step, self._began = parts[0], self._clock()
            self._first = self._most = share(parts) or 0.0
        done = share(parts)
        if done is not None:
            self._most = done = max(self._most, done)  # what a part reaches is not taken back
        if self._drawn:
            self._draw(parts, done)
        elif self._clock() - self._printed >= (CHANGE_SECONDS if self._place else LINE_SECONDS):
            self._printed = self._clock()
            text = ", ".join(filter(None, [f"{_named(parts)}: {_counted(parts, done)}", self._beside(parts, done)]))
            if self._place:
                self._place.update(Text(text))
            else:
                self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the terminal to others."""
        if self._bar is not None:
            self._bar.stop()
        if self._place is not None:
            self._place.clear()
        self._bar = self._step = None

    def _draw(self, parts: Sequence[Part], done: float | None) -> None:
        if self._bar is None:
            texts = [TextColumn(text, markup=False) for text in ("{task.description}", "{task.fields[beside]}")]
            columns = (texts[0], BarColumn(bar_width=24), texts[1])
            self._bar = Progress(*columns, console=self._console, transient=True, refresh_per_second=4)
            self._bar.add_task(_named(parts), total=None, beside="")
            self._bar.start()
        beside = ", ".join(filter(None, [_counted(parts, done), self._beside(parts, done)]))
        total = None if done is None else 1.0  # without one the bar moves to and fro
        named = _named(parts)
        self._bar.update(self._bar.task_ids[0], description=named, total=total, completed=done or 0.0, beside=beside)

    def _beside(self, parts: Sequence[Part], done: float | None) -> str:
        """A speed, and the time left, or where nothing tells that yet, the time until now."""
        passed = self._clock() - self._began
        fresh = 0.0 if done is None else done - self._first
        if done is None or fresh < TELLING:
            when = f"since {duration(passed)}" if passed >= 1 else ""
        else:
            when = f"about {duration(passed * (1 - done) / fresh)} left"
        return ", ".join(filter(None, [parts[-1].note, when]))


def _named(parts: Sequence[Part]) -> str:
    """The step, and the part of it that is under way."""
    return parts[0].what if len(parts) == 1 else f"{parts[0].what}: {parts[-1].what}"


def _counted(parts: Sequence[Part], done: float | None) -> str:
    """Items where the step goes through some, else a share."""
    one = parts[0]
    if len(parts) == 1 and isinstance(one.done, int):
        return f"{one.done:,}" + ("" if one.total is None else f" of {one.total:,}")
    return "" if done is None else f"{done:.0%}"


def duration(seconds: float) -> str:
    """In seconds up to two minutes, then in minutes up to two hours, in hours up to two days, in days."""
    for unit, size in (("d", 24 * HOUR), ("h", HOUR), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s"
