"""MLflow on PostgreSQL: many writers, a server that is restarted in between, and databases that cannot be opened."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodes import free_ports
from postgres import NEEDS_POSTGRES, Postgres, postgres
from project import SmallProject, check_invariants, end
from vaeforge.errors import TrackingError
from vaeforge.registry.versions import champion_of
from vaeforge.track.agreement import disagreements
from vaeforge.track.server_database import open_database
from vaeforge.track.store import open_store

pytestmark = NEEDS_POSTGRES


@pytest.fixture(scope="module")
def running() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


@pytest.mark.slow
def test_what_cannot_be_opened_is_one_sentence_without_the_password(
    running: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    (port,) = free_ports(1)
    with pytest.raises(TrackingError, match=rf"nobody answers at 127\.0\.0\.1, port {port}.*start it") as told:
        open_store(f"postgresql://u:secret@127.0.0.1:{port}/mlflow")
    assert "secret" not in str(told.value) and "***@127.0.0.1" in str(told.value)
    monkeypatch.setitem(sys.modules, "psycopg", None)  # as where it is not installed
    with pytest.raises(TrackingError, match=r"its driver psycopg is not installed; pip install 'vaeforge\[postgresql"):
        open_database(running.uri("other"), "postgresql://***")


@pytest.mark.long
def test_a_search_whose_database_is_restarted_in_between_registers_a_champion(
    running: Postgres, tmp_path: Path
) -> None:
    project, uri = SmallProject(tmp_path), running.database("search")
    call = ("tune", "--name", "pg", "--trials", "6", "--scheduler", "none", "--set", "training.steps_per_epoch=20")
    process = project.start(*call, MLFLOW_TRACKING_URI=uri)
    try:
        project.wait_for_events("pg", "finished", process, 2)
        running.stop("immediate")
        done = len(project.events("pg", "reported"))
        project.wait_for_events("pg", "reported", process, done + 10)  # training goes on meanwhile
        running.start()
        assert process.wait(400) == 0, project.output
    finally:
        end(process)
    assert running.password not in project.output
    check_invariants(project, "pg", trials=6)
    project.call("sync", "--name", "pg", MLFLOW_TRACKING_URI=uri)
    assert disagreements(tmp_path / "artifacts/searches/pg", uri) == []
    assert champion_of(open_store(uri), "vaeforge-endoscopy") == "1"
    assert "champion" in project.call("models", "list", MLFLOW_TRACKING_URI=uri)
