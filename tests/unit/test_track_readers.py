"""Reading of a store without MLflow: the same records as MLflow's own client gives, and MLflow where that is unsure."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from project import ROOT
from registered import server
from stores import new_database
from vaeforge.errors import TrackingError
from vaeforge.track.http_reader import HttpReader
from vaeforge.track.open_reader import open_reader
from vaeforge.track.sqlite_reader import SqliteReader, is_known
from vaeforge.track.store import open_store
from vaeforge.track.store_client import StoreClient
from vaeforge.track.store_reader import StoreReader

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")
MODEL, EMPTY = "vaeforge-endoscopy", "vaeforge-lipid"


def fill(client: Any, source: str) -> tuple[str, str]:
    """Models, versions, aliases, tags, a deleted version and two runs; the runs' ids, the second one deleted.

    `source` says where version {number}, out of run {run}, lies.
    """
    runs = [str(client.create_run("0").info.run_id) for _ in range(2)]
    for step, value in enumerate((0.5, float("nan"), float("inf"), -2.5)):
        client.log_metric(runs[0], "val/nelbo", value, timestamp=1000 + step, step=step)
    for step in range(30):
        client.log_metric(runs[0], "odd", float("nan"), timestamp=5, step=step)
    client.delete_run(runs[1])
    client.create_registered_model(MODEL)
    client.create_registered_model(EMPTY)
    client.create_registered_model("another")
    for number in range(12):
        tags = {"vaeforge.verdict": f"champion: ü {number}", "emptied": ""} if number else {}
        place, of_run = source.format(number=number, run=runs[0]), number % 2 or source.startswith("runs:")
        run = runs[0] if of_run else None
        client.create_model_version(MODEL, place, run, tags, description="x" * number)
    client.delete_model_version(MODEL, "3")
    client.set_registered_model_alias(MODEL, "champion", "12")
    client.set_registered_model_alias(MODEL, "challenger", "2")
    return runs[0], runs[1]


def told(reader: StoreReader, runs: tuple[str, str]) -> dict[str, Any]:
    """All that a reader says, as text, so that NaN equals NaN; where files lie is not every reader's to know."""
    versions = sorted(reader.stored_versions(MODEL), key=lambda one: int(one.version))
    return {
        "names": sorted(reader.model_names("vaeforge-")),
        "models": [reader.stored_model(name) for name in (MODEL, EMPTY, "vaeforge-none")],
        "versions": [str({**vars(one), "folder": None, "tags": sorted(one.tags.items())}) for one in versions],
        "none": [reader.stored_versions(name) for name in (EMPTY, "vaeforge-none")],
        "runs": [str(reader.stored_run(run)) for run in (*runs, "0" * 32)],
        "points": sorted(str(point) for point in reader.metric_points(runs[0], "val/nelbo")),
        "no points": [reader.metric_points(run, "none") for run in (runs[0], "0" * 32)],
    }


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, tuple[str, str], Path]:
    folder = tmp_path_factory.mktemp("readers")
    uri = new_database(folder)
    return uri, fill(open_store(uri), f"{folder.as_uri()}/files {{number}}"), folder


@pytest.mark.slow
def test_sql_reads_what_mlflow_reads(database: tuple[str, tuple[str, str], Path]) -> None:
    uri, runs, folder = database
    reader = open_reader(uri)
    assert isinstance(reader, SqliteReader)
    found, expected = told(reader, runs), told(open_store(uri), runs)
    assert found == expected
    assert found["names"] == [MODEL, EMPTY] and len(found["versions"]) == 11 and "nan" in found["runs"][0]
    first = next(one for one in reader.stored_versions(MODEL) if one.version == "2")
    assert first.folder == folder / "files 1"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with server(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.mark.slow
def test_requests_read_what_mlflow_reads(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = open_store(address)
    runs = fill(client, "runs:/{run}/model-{number}")
    monkeypatch.setattr("vaeforge.track.http_reader._PAGE", 2)  # several pages of everything
    reader = open_reader(address)
    assert isinstance(reader, HttpReader)
    found = told(reader, runs)
    assert found == told(client, runs)
    assert found["names"] == [MODEL, EMPTY] and len(found["versions"]) == 11 and "nan" in found["runs"][0]
    assert len(reader.metric_points(runs[0], "odd")) == 30


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_AUTH", "MLFLOW_WORKSPACE", "MLFLOW_TRACKING_AWS_SIGV4"])
def test_servers_that_ask_for_more_are_read_by_mlflow(
    address: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vaeforge.track.http_reader import is_simple

    assert is_simple()
    monkeypatch.setenv(variable, "x")
    assert not is_simple()


@pytest.mark.slow
def test_a_database_of_another_schema_is_left_to_mlflow(tmp_path: Path) -> None:
    uri = new_database(tmp_path)
    assert isinstance(open_reader(uri), SqliteReader)  # so that a new MLflow's schema is looked at before it is read
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection, connection:
        connection.execute("ALTER TABLE model_versions RENAME TO others")
    with pytest.raises(TrackingError, match=r"mlflow\.db: cannot be read \(no such table: model_versions\)"):
        open_reader(uri).stored_versions(MODEL)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    assert not is_known(tmp_path / "mlflow.db")
    (tmp_path / "mlflow.db").write_text("no database")
    assert not is_known(tmp_path / "mlflow.db")


@pytest.mark.slow
def test_workspaces_are_left_to_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_WORKSPACE", "default")
    assert isinstance(open_reader(new_database(tmp_path)), StoreClient)


@pytest.mark.slow
def test_lists_of_models_import_no_mlflow(database: tuple[str, tuple[str, str], Path]) -> None:
    _, _, folder = database
    environment = {"PYTHONPATH": f"{ROOT / 'platform'}:{ROOT / 'models'}", "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    for call in (["models", "list"], ["models", "list", "endoscopy", "--json", "true"], ["models", "show", MODEL, "2"]):
        program = (
            "import sys\nfrom vaeforge.cli.app import main\n"
            f"sys.argv = ['vaeforge', *{call!r}]\n"
            "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
            "assert not {'mlflow', 'torch', 'sqlalchemy'} & set(sys.modules)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
