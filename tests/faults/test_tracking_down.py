"""Searches that no tracking store was told of while they ran: all of it is there afterwards, each thing once."""

import json
from collections import Counter
from pathlib import Path

import pytest
from mlflow import MlflowClient

from project import SmallProject
from traced import searched
from vaeforge.chaos.tracking_server import TrackingServer
from vaeforge.track.agreement import disagreements
from vaeforge.track.store import open_store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


class Moved(SmallProject):
    """A small project in another folder than the one that it was made in."""

    def __init__(self, root: Path):
        self.root = root


def check_once(project: SmallProject, uri: str, trials: int) -> None:
    """The store has the search, each trial and the winner's model with its files, once, and nothing beside them."""
    folder = project.root / "artifacts/searches/s"
    for _ in range(2):
        project.call("sync", "--name", "s", MLFLOW_TRACKING_URI=uri)
        assert disagreements(folder, uri) == []
    project.call("register", "--run", "s", MLFLOW_TRACKING_URI=uri)
    project.call("register", "--run", "s", MLFLOW_TRACKING_URI=uri)
    assert disagreements(folder, uri) == []
    client = open_store(uri)
    experiment = client.get_experiment_by_name("vaeforge-endoscopy").experiment_id
    runs = client.search_runs([experiment])
    assert len(runs) == 1 + trials
    (version,) = client.search_model_versions("name='vaeforge-endoscopy'")
    manifest = json.loads((folder / "manifest.json").read_text())
    (winner,) = [run for run in runs if run.data.tags.get("vaeforge.trial") == f"s/{manifest['trial']}"]
    assert version.run_id == winner.info.run_id
    assert len(client.search_logged_models([experiment])) == 1
    files = Counter(name for run in runs for name in files_of(client, run.info.run_id))
    assert files and set(files.values()) == {1}


def files_of(client: MlflowClient, run_id: str, path: str | None = None) -> list[str]:
    found: list[str] = []
    for one in client.list_artifacts(run_id, path):
        found += files_of(client, run_id, one.path) if one.is_dir else [one.path]
    return found


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_search_without_a_server_is_told_whole_later_also_from_where_it_was_moved(
    tmp_path: Path, cluster: dict[str, str]
) -> None:
    (tmp_path / "here").mkdir()
    project = SmallProject(tmp_path / "here")
    call = ("--offline", "true", "--register", "false", "--trials", "3", "--epochs", "2", "--scheduler", "none")
    project.run("tune", "--name", "s", *call, **cluster)
    server = TrackingServer(tmp_path)
    try:
        server.start()
        check_once(project, server.proxy.uri, trials=3)
    finally:
        server.close()
    project.root.rename(tmp_path / "there")
    moved = Moved(tmp_path / "there")
    check_once(moved, f"sqlite:///{moved.root}/mlflow.db", trials=3)


def test_a_search_of_which_its_store_was_never_told_hands_its_model_on(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    searched(tmp_path)
    (tmp_path / "artifacts/searches/hand/manifest.json").unlink()
    call = ("tune", "--name", "hand", "--resume", "true", "--trials", "1", "--epochs", "3", "--register", "false")
    output = " ".join(project.call(*call).split())
    assert "MLflow holds nothing of this search yet; run `vaeforge sync hand`" in output
    for place in ("searches/hand", "tune"):
        assert json.loads((tmp_path / f"artifacts/{place}/manifest.json").read_text())["mlflow"]["run_id"] is None
