"""A registry behind a gateway that answers 504 for what was done or is done later, and processes that fetch at once."""

import shutil
from pathlib import Path

import pytest

from contenders import CONTEXT, fetch_together, verdict
from registered import register, untrained_model
from vaeforge.chaos.tracking_server import TrackingServer
from vaeforge.errors import RegistryError
from vaeforge.paths import Project
from vaeforge.registry.audit import trail
from vaeforge.registry.promote import promote, rollback
from vaeforge.registry.versions import champion_of
from vaeforge.track.store import open_store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


@pytest.fixture(scope="module")
def project(tracking_server: TrackingServer, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose model was registered through a gateway that gave up waiting for the new version."""
    project, model = untrained_model("endoscopy", tmp_path_factory.mktemp("project"))
    tracking_server.proxy.mode, tracking_server.proxy.only = "504", "model-versions/create"
    try:
        register(project, model, tracking_server.proxy.uri)
    finally:
        tracking_server.proxy.mode = "pass"
    assert tracking_server.proxy.refused == 1
    return project


@pytest.mark.long
def test_a_version_whose_answer_was_lost_is_not_made_twice(project: Project, tracking_server: TrackingServer) -> None:
    client = open_store(tracking_server.proxy.uri)
    (version,) = client.search_model_versions("name='vaeforge-endoscopy'")
    assert version.tags["vaeforge.verdict"].startswith("champion: ")


@pytest.mark.long
def test_processes_that_fetch_one_version_at_once_all_get_it(project: Project, tracking_server: TrackingServer) -> None:
    shutil.rmtree(project.artifacts / "models", ignore_errors=True)
    gate, failures = CONTEXT.Barrier(4), CONTEXT.Queue()
    arguments = (tracking_server.proxy.uri, project.root, gate, failures)
    processes = [CONTEXT.Process(target=fetch_together, args=arguments) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(240)
    assert [failures.get(timeout=5) for _ in range(0 if failures.empty() else 1)] == []
    assert [process.exitcode for process in processes] == [0] * 4
    names = [path.name for path in (project.artifacts / "models/vaeforge-endoscopy").iterdir()]
    assert sorted(name for name in names if not name.endswith(".lock")) == ["1"]


def test_a_promotion_that_lands_after_a_later_one_is_taken_back(tracking_server: TrackingServer) -> None:
    direct, behind, name = open_store(tracking_server.database), open_store(tracking_server.proxy.uri), "vaeforge-lipid"
    direct.create_registered_model(name)
    for _ in range(3):
        direct.create_model_version(name, "s3://nowhere/none")
    promote(direct, name, "1", None, "anna@lab", "the first", verdict())
    tracking_server.proxy.mode, tracking_server.proxy.only = "late", "registered-models/alias"
    try:
        with pytest.raises(RegistryError, match="cannot be changed"):
            promote(behind, name, "2", "1", "bert@lab", "through the gateway", verdict())
    finally:
        tracking_server.proxy.mode = "pass"
    assert len(tracking_server.proxy.late) == 1  # asked once, and not again by itself
    promote(direct, name, "3", "1", "carl@lab", "meanwhile", verdict())
    tracking_server.proxy.release.set()
    tracking_server.proxy.late[0].join(60)
    assert champion_of(direct, name) == "2"  # what nobody decided
    assert rollback(direct, name, "dora@lab", "back to the one before version 3") == "1"
    entries = [(one.state, one.who, one.before, one.after) for one in trail(direct, name)]
    assert ("not carried out", "bert@lab", "1", "2") in entries
    assert ("done", "carl@lab", "3", "3") in entries  # restored
    assert entries[-1] == ("done", "dora@lab", "3", "1")


def test_a_promotion_whose_answer_was_lost_is_one(tracking_server: TrackingServer, tmp_path: Path) -> None:
    direct, name = open_store(tracking_server.database), "vaeforge-fmri"
    direct.create_registered_model(name)
    direct.create_model_version(name, "s3://nowhere/none")
    tracking_server.proxy.mode, tracking_server.proxy.only = "504", "registered-models/alias"
    try:
        promote(open_store(tracking_server.proxy.uri), name, "1", None, "anna@lab", "through the gateway", verdict())
    finally:
        tracking_server.proxy.mode = "pass"
    assert champion_of(direct, name) == "1"
    assert [one.state for one in trail(direct, name)] == ["intent", "done"]
