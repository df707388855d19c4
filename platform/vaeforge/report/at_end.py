"""Report at the end of a search: written, put beside the search's run in MLflow, and told of.

Nothing that goes wrong here may cost a search its result: whatever it is, it is a warning.
"""

from rich.console import Console

from vaeforge.manifests.trained_model import TrainedModelManifest
from vaeforge.paths import Project
from vaeforge.remarks import say, warn


def report_at_end(project: Project, manifest: TrainedModelManifest, uri: str | None, console: Console) -> None:
    """Make the report of the search that handed `manifest` on.

    Args:
        project: of the search.
        manifest: of its best model.
        uri: of the MLflow store that tracks it; none: `vaeforge sync` attaches the report later.
        console: where to say where the report is, or why there is none.
    """
    name = str(manifest.lineage.search)
    try:
        from vaeforge.report.step import make_report

        page = make_report(project, [name]).page
    except Exception as error:  # whatever it is, the model is there
        warn(console, f"no report: {type(error).__name__}: {error}; `vaeforge report {name}` tries again")
        return
    if uri is not None:
        _attach(project, name, uri, console)
    say(console, f"report: {page}")


def _attach(project: Project, name: str, uri: str, console: Console) -> None:
    from vaeforge.track.report_artifact import attach_report

    try:
        attach_report(project.search(name), uri)
    except Exception as error:  # a store that does not answer, or refuses
        warn(
            console, f"MLflow has no report: {type(error).__name__}: {error}; `vaeforge sync --name {name}` tries again"
        )
