"""Report at the end of a search: written, put beside the search's run in MLflow, and told of.

Nothing that goes wrong here may cost a search its result: whatever it is, it is a warning.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from vaeforge.errors import NothingWonError
from vaeforge.paths import Project
from vaeforge.remarks import say, warn


def report_at_end(project: Project, name: str, uri: str | None, console: Console) -> None:
    """Make the report of a search that has ended, with a model or without one.

    Args:
        project: of the search.
        name: of the search.
        uri: of the MLflow store that tracks it; none: `vaeforge sync` attaches the report later.
        console: where to say where the report is, or why there is none.
    """
    try:
        from vaeforge.report.step import make_report

        page = make_report(project, [name]).page
    except Exception as error:  # whatever it is, what the search found is there
        warn(console, f"no report: {type(error).__name__}: {error}; `vaeforge report {name}` tries again")
        return
    if uri is not None:
        _attach(project, name, uri, console)
    say(console, f"report: {page}")


@contextmanager
def report_of_failures(project: Project, uri: str | None, console: Console) -> Iterator[None]:
    """Around a search: one of failed trials alone ends with a report, too, which says why they failed."""
    try:
        yield
    except NothingWonError as error:
        report_at_end(project, error.search, uri, console)
        raise


def _attach(project: Project, name: str, uri: str, console: Console) -> None:
    from vaeforge.track.report_artifact import attach_report

    try:
        attach_report(project.search(name), uri)
    except Exception as error:  # a store that does not answer, or refuses
        warn(console, f"MLflow has no report: {type(error).__name__}: {error}; `vaeforge sync {name}` tries again")
