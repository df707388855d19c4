"""Report of a search as an artifact of its run in MLflow."""

from pathlib import Path

from vaeforge.errors import TrackingError
from vaeforge.track.replay import runs_told
from vaeforge.track.store import one_try, open_store, redact

REPORT = "report.html"


def attach_report(search_folder: Path, uri: str) -> bool:
    """Put `report.html` of a search beside its parent run; whether there is one, and a run to put it beside.

    A later report takes the place of the earlier one.

    Raises:
        TrackingError: if the store at `uri` cannot be opened, refuses or does not answer.
    """
    told = runs_told(search_folder, uri)
    path = search_folder / REPORT
    if told is None or not path.exists():
        return False
    client = open_store(uri)
    from mlflow import MlflowException  # after its environment has been settled

    try:
        with one_try():
            client.log_artifact(told.parent, str(path))
    except (MlflowException, OSError) as error:
        reason = redact(str(error))
    else:
        return True
    raise TrackingError(f"tracking store {redact(uri)}: {path} was not uploaded: {reason}; run `vaeforge sync` again")
