"""Forged contents of a ledger, a manifest, a version's tags or a database: a trace computes again, and finds each."""

import json
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from manifest_samples import model_of
from registered import register, untrained_model
from stores import new_database
from traced import repository, searched
from vaeforge.errors import RegistryError
from vaeforge.paths import Project, hash_of, read_json, sha256_of
from vaeforge.registry.fetch import fetch
from vaeforge.registry.resolve_model import TracedModel, resolve_model
from vaeforge.registry.tags import FILES
from vaeforge.registry.trace import trace
from vaeforge.registry.trace_link import TraceLink
from vaeforge.registry.version_links import evaluation_link
from vaeforge.track.store import open_store
from vaeforge_models.families import families

# MLflow warns while it is imported: of SQLAlchemy, and of its own type hints.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]

Lines = list[dict[str, Any]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a finished search."""
    root = repository(tmp_path_factory.mktemp("made") / "project")
    searched(root, epochs=2)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be forged."""
    return Path(shutil.copytree(made, tmp_path / "project", symlinks=True))


def forge(root: Path, change: Callable[[Lines, dict[str, Any]], None]) -> None:
    """Let `change` work on the lines of the ledger and on the manifest."""
    folder = root / "artifacts/searches/hand"
    lines, manifest = (folder / "ledger.jsonl").read_text().splitlines(), read_json(folder / "manifest.json", "")
    contents = [json.loads(line) for line in lines]
    change(contents, manifest)
    (folder / "ledger.jsonl").write_text("".join(json.dumps(line) + "\n" for line in contents))
    (folder / "manifest.json").write_text(json.dumps(manifest))


def differing(root: Path) -> dict[str, str]:
    """The links that differ, with what is said of each."""
    folder = root / "artifacts/searches/hand"
    model = TracedModel("it", model_of(read_json(folder / "manifest.json", "")), folder)
    chain = trace(model, Project(root), f"sqlite:///{root}/mlflow.db")
    return {link.kind: link.detail for link in chain.all() if link.state == "differs"}


def of_kind(lines: Lines, kind: str) -> Lines:
    return [line for line in lines if line["event"] == kind]


def better_value(lines: Lines, manifest: dict[str, Any]) -> None:
    of_kind(lines, "finished")[0]["value"] = -1e6


def better_value_of_an_epoch(lines: Lines, manifest: dict[str, Any]) -> None:
    of_kind(lines, "reported")[-1]["value"] = -1e6


def other_settings(lines: Lines, manifest: dict[str, Any]) -> None:
    lines[0]["settings"]["experiment"]["optimizer"]["lr"] = 0.5


def other_hash(lines: Lines, manifest: dict[str, Any]) -> None:
    lines[0]["configuration_hash"] = manifest["configuration_hash"] = "0" * 64


def other_space(lines: Lines, manifest: dict[str, Any]) -> None:
    lines[0]["space"]["objective"] = {"metric": "val/mse", "direction": "minimize"}


def another_space_in_both(lines: Lines, manifest: dict[str, Any]) -> None:
    other_space(lines, manifest)
    manifest["space"], manifest["space_hash"] = lines[0]["space"], hash_of(lines[0]["space"])


def other_parameters(lines: Lines, manifest: dict[str, Any]) -> None:
    manifest["params"]["beta.value"] = 0.9


def other_metrics(lines: Lines, manifest: dict[str, Any]) -> None:
    manifest["metrics"]["val/mse"] = 0.0


def no_metrics(lines: Lines, manifest: dict[str, Any]) -> None:
    del manifest["metrics"]["val/mse"]


def other_seed(lines: Lines, manifest: dict[str, Any]) -> None:
    manifest["experiment"]["training"]["seed"] += 1


def other_lock(lines: Lines, manifest: dict[str, Any]) -> None:
    manifest["lock_sha256"] = None


def no_hash(lines: Lines, manifest: dict[str, Any]) -> None:
    manifest["configuration_hash"] = None


@pytest.mark.parametrize(
    ("change", "kind", "told"),
    [
        (better_value, "search", r"value -1000000\.0 of trial 0 is the val/nelbo of none of its epochs"),
        (better_value_of_an_epoch, "search", r"value -1000000\.0 of trial 0"),
        (other_settings, "search", "have the configuration hash"),
        (other_hash, "search", "have the configuration hash"),
        (other_space, "space", "its content in the ledger"),
        (another_space_in_both, "search", "have the configuration hash"),
        (other_parameters, "trial", "its parameters are"),
        (other_metrics, "trial", r"val/mse is .* in the ledger, not 0\.0"),
        (no_metrics, "trial", "val/mse is .* in the ledger, not None"),
        (other_seed, "trial", "its training settings are"),
        (other_lock, "search", "lock_sha256 is"),
        (no_hash, "search", "configuration_hash is"),
    ],
)
def test_what_was_forged_differs(
    root: Path, change: Callable[[Lines, dict[str, Any]], None], kind: str, told: str
) -> None:
    assert differing(root) == {}
    forge(root, change)
    found = differing(root)
    assert kind in found and re.search(told, found[kind]), found


def test_a_damaged_line_of_the_ledger_differs(root: Path) -> None:
    path = root / "artifacts/searches/hand/ledger.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], lines[2][:20] + b"\n", *lines[2:]]))
    assert "1 line(s) of its ledger are damaged" in differing(root)["search"]


class Registered:
    """A registered version in a database of its own."""

    def __init__(self, family: str, root: Path):
        self.project, manifest = untrained_model(family, root)
        self.uri = new_database(root)
        done = register(self.project, manifest, self.uri)
        self.reference = f"models:/{done.model}/{done.version}"
        self.model, self.version, self.client = done.model, done.version, open_store(self.uri)

    def links(self) -> dict[str, TraceLink]:
        chain = trace(resolve_model(self.reference, self.project, self.uri), self.project, self.uri)
        return {link.kind: link for link in chain.all()}


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Registered:
    return Registered("endoscopy", tmp_path_factory.mktemp("registered"))


@pytest.mark.long
@pytest.mark.parametrize("family", sorted(families()))
def test_test_metrics_of_every_family_follow_from_their_evidence(family: str, tmp_path: Path) -> None:
    links = Registered(family, tmp_path).links()
    assert (links["version"].state, links["evaluation"].state) == ("verified", "verified"), links["evaluation"].detail


@pytest.fixture
def tags(registered: Registered) -> Iterator[dict[str, str]]:
    """The version's tags; they are as they were again afterwards."""
    before = dict(registered.client.get_model_version(registered.model, registered.version).tags)
    yield before
    for key, value in before.items():
        registered.client.set_model_version_tag(registered.model, registered.version, key, value)


@pytest.mark.parametrize("key", ["vaeforge.trial", "vaeforge.configuration_hash", "vaeforge.val_nelbo"])
def test_a_tag_that_is_missing_differs(registered: Registered, tags: dict[str, str], key: str) -> None:
    registered.client.delete_model_version_tag(registered.model, registered.version, key)
    link = registered.links()["version"]
    assert link.state == "differs"
    assert link.detail.startswith(f"tag {key} is missing, its manifest says {tags[key]}; versions of older builds lack")


def test_the_hash_of_the_files_cannot_be_taken_away(registered: Registered, tags: dict[str, str]) -> None:
    assert FILES in tags
    registered.client.delete_model_version_tag(registered.model, registered.version, FILES)
    with pytest.raises(RegistryError, match=rf"the version's tag {re.escape(FILES)} says None"):
        registered.links()


def test_a_number_in_the_database_that_was_changed_differs(registered: Registered, tags: dict[str, str]) -> None:
    registered.client.set_model_version_tag(registered.model, registered.version, "vaeforge.test_nll", "-1e6")
    assert "tag vaeforge.test_nll is -1000000, but evidence.npz gives" in registered.links()["evaluation"].detail
    registered.client.set_model_version_tag(
        registered.model, registered.version, "vaeforge.test_nll", tags["vaeforge.test_nll"]
    )
    assert registered.links()["evaluation"].state == "verified"
    path = registered.uri.removeprefix("sqlite:///")
    with sqlite3.connect(path) as database:
        for table in ("metrics", "latest_metrics"):
            changed = database.execute(f"UPDATE {table} SET value = 1.5 WHERE key = 'test/nelbo'").rowcount
            assert changed == 1, table
    database.close()
    link = registered.links()["evaluation"]
    assert link.state == "differs" and link.detail.startswith("test/nelbo is 1.5 in run"), link.detail


@pytest.fixture
def taken(registered: Registered, tmp_path: Path) -> TracedModel:
    """The version with its files in a folder of its own, to be forged behind all hashes."""
    model = resolve_model(registered.reference, registered.project, registered.uri)
    folder = Path(shutil.copytree(model.folder, tmp_path / "files"))
    return TracedModel(model.name, model.manifest, folder, model.version)


def forged_evaluation(model: TracedModel, **metrics: float) -> None:
    path = model.folder / "evaluate_manifest.json"
    content = read_json(path, "")
    content["metrics"] |= metrics
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("test/nelbo", -1e6, "test/nelbo is -1000000.0, but evidence.npz gives"),
        ("test/auroc", 1.0, "test/auroc is 1.0, but evidence.npz gives"),
        ("val/threshold", 1e6, "contract.json: its threshold is"),
    ],
)
def test_metrics_of_an_evaluation_that_were_changed_differ(
    registered: Registered, taken: TracedModel, name: str, value: float, told: str
) -> None:
    assert taken.version is not None
    forged_evaluation(taken, **{name: value})
    link = evaluation_link(taken, taken.version, registered.uri)
    assert link.state == "differs" and told in link.detail, link.detail


def test_a_threshold_that_was_changed_in_a_downloaded_folder_is_refused(registered: Registered, tmp_path: Path) -> None:
    kept = resolve_model(registered.reference, registered.project, registered.uri).folder.parent
    folder = Path(shutil.copytree(kept, tmp_path / "version"))
    assert fetch(str(folder), registered.project, registered.uri).bundle.contract.threshold > 0
    path = folder / "extra_files/contract.json"
    path.write_text(json.dumps(read_json(path, "") | {"threshold": 1e9}))
    with pytest.raises(RegistryError, match=r"SHA-256 of contract.json is .* but files.json says"):
        fetch(str(folder), registered.project, registered.uri)


def test_evidence_that_was_changed_differs(registered: Registered, taken: TracedModel) -> None:
    assert taken.version is not None
    path = taken.folder / "evidence.npz"
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **arrays | {"nll": arrays["nll"] - 100})
    link = evaluation_link(taken, taken.version, registered.uri)
    assert link.state == "differs" and link.detail.startswith(f"SHA-256 of evidence.npz is {sha256_of(path)}")
