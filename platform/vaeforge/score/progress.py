"""Progress display of a scoring: a bar on a terminal, a plain line now and then elsewhere, or nothing."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

EVERY = 10.0  # seconds between lines


class ProgressBar:
    """Progress over `total` inputs (none: unknown), `done` of which an earlier session has left behind."""

    def __init__(self, console: Console, quiet: bool, total: int | None, done: int):
        self.console, self.total, self.done, self.items = console, total, done, 0
        self.first, self.began = done, time.monotonic()
        self.last = self.began
        columns = (TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"))
        self.bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
        self.task = self.bar.add_task("scoring", total=total, completed=done, speed="")
        self.lines = not quiet and not console.is_terminal
        self.drawn = not quiet and console.is_terminal

    def __enter__(self) -> "ProgressBar":
        if self.drawn:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.drawn:
            self.bar.stop()

    def advance(self, inputs: int, items: int) -> None:
        """So many more pictures or rows are done, and so many more items scored."""
        self.done, self.items = self.done + inputs, self.items + items
        now = time.monotonic()
        speed = self.items / max(now - self.began, 1e-9)
        if self.drawn:
            self.bar.update(self.task, completed=self.done, speed=f"{speed:,.0f} items/s")
        if self.lines and now - self.last >= EVERY:
            self.last = now
            self.console.print(self._line(speed, now), highlight=False)

    def _line(self, speed: float, now: float) -> str:
        if self.total is None:
            return f"scored {self.done:,} ({speed:,.0f} items/s)"
        left = (self.total - self.done) * (now - self.began) / max(self.done - self.first, 1)
        return f"scored {self.done:,} of {self.total:,} ({speed:,.0f} items/s, about {left:,.0f} s left)"
