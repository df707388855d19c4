"""A place in a notebook's output that is drawn again and again, where a terminal would have a live table or a bar."""

from typing import Any

from rich.console import RenderableType


class NotebookPlace:
    """One output of the cell that runs; used as `rich.live.Live` is. It needs IPython alone, no widgets."""

    def __init__(self) -> None:
        self._shown: Any = None

    def start(self) -> None:
        """Nothing is shown before the first update."""

    def update(self, content: RenderableType) -> None:
        """Show `content` instead of what was there."""
        from IPython.display import display  # a notebook has it; nobody else needs it

        if self._shown is None:
            self._shown = display(content, display_id=True)
        else:
            self._shown.update(content)

    def stop(self) -> None:
        """Leave what was shown last."""

    def clear(self) -> None:
        """Take away what was shown, and begin anew with the next update."""
        if self._shown is not None:
            from IPython.display import HTML

            self._shown.update(HTML(""))
            self._shown = None
