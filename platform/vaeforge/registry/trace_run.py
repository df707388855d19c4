"""Whether the store has the run of a trial, and its curve the value that was handed on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from vaeforge.errors import TrackingError
from vaeforge.registry.lineage import OBJECTIVE
from vaeforge.track.store import open_store, redact

SQLITE = "sqlite:///"


def run_link(
    uri: str, run_id: str | None, winner: Mapping[str, Any]
) -> tuple[Literal["verified", "at hand", "missing", "unknown", "differs"], str]:
    """The state of a run in the store at `uri`, and what was looked at."""
    if not run_id:
        return "unknown", "the search was not tracked; `vaeforge sync` makes up for it"
    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).is_file():
        return "missing", f"there is no {uri}"  # opening it would make one
    from mlflow import MlflowException

    try:
        client = open_store(uri)
        stage = client.get_run(run_id).info.lifecycle_stage
        points = client.get_metric_history(run_id, OBJECTIVE)  # of a run that does not exist that is empty
    except (MlflowException, TrackingError) as error:
        return "missing", f"not in {redact(uri)} ({redact(str(error)).splitlines()[0]})"
    if stage != "active":
        return "missing", f"deleted in {redact(uri)}; `mlflow runs restore` brings it back"
    wanted, epoch = winner["metrics"].get(OBJECTIVE), winner["checkpoint"]["epoch"]
    of_epoch = [point for point in points if point.step == epoch]
    if not of_epoch:
        return "at hand", f"in {redact(uri)}, without {OBJECTIVE} at epoch {epoch}"
    # an epoch that was trained again after a crash has two: the newest counts, as in the ledger
    found = max(of_epoch, key=lambda point: point.timestamp).value
    if found != wanted:
        return "differs", f"{OBJECTIVE} at epoch {epoch} is {found!r} in {redact(uri)}, not {wanted!r}"
    return "verified", f"in {redact(uri)}, with the same {OBJECTIVE} at epoch {epoch}"
