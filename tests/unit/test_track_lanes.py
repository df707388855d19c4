"""Lanes in an MLflow store: what a replayed ledger leaves there, and that a store which says otherwise is found."""

from pathlib import Path

import pytest

from reported import header, written_search
from stores import new_database
from vaeforge.paths import Project
from vaeforge.track.agreement import disagreements
from vaeforge.track.replay import run_ids, sync
from vaeforge.track.store import open_store

pytestmark = [
    pytest.mark.slow,
    # MLflow's own use of SQLAlchemy, said once while it is imported
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A search whose trials 0 and 1 were trained as one model, and trial 2 alone."""
    lines = [{"event": "submitted", "trial": n, "params": {"beta.schedule": "linear"}} for n in range(3)]
    told = {"event": "reported", "epoch": 1, "seconds": 1.0, "metrics": {"val/nelbo": 3.0}, "value": 3.0}
    lines += [told | {"trial": 0, "beside": [1]}, told | {"trial": 1, "beside": [0]}, told | {"trial": 2}]
    end = {"state": "completed", "value": 3.0, "epoch": 1, "seconds": 1.0}
    lines += [{"event": "finished", "trial": n, **end} for n in range(3)]
    return written_search(tmp_path, "s", [header("s"), *lines, {"event": "ended", "reason": "trials"}])


def test_a_store_holds_lanes_and_company_where_there_was_some(project: Project) -> None:
    uri = new_database(project.root)
    folder = project.search("s")
    sync(folder, uri)
    client, runs = open_store(uri), run_ids(folder).trials
    first, alone = (client.get_run(runs[number]).data for number in (0, 2))
    assert first.metrics["lanes"] == 2.0
    assert (first.tags["vaeforge.lanes"], first.tags["vaeforge.beside"]) == ("2", "1")
    assert "lanes" not in alone.metrics and not any(tag in alone.tags for tag in ("vaeforge.lanes", "vaeforge.beside"))
    assert disagreements(folder, uri) == []
    client.set_tag(runs[0], "vaeforge.lanes", "3")
    client.set_tag(runs[2], "vaeforge.lanes", "2")
    assert sorted(disagreements(folder, uri)) == [
        "trial 0: lanes: the store has 3, the ledger 2",
        "trial 2: lanes: the store has 2, the ledger None",
    ]
