"""What is recorded of a model's origin, what a trace says of each link, and when a reproduction holds."""

import json
import shutil
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console, RenderableType

from traced import call, commit, repository, searched
from vaeforge.errors import DataError, RegistryError
from vaeforge.paths import Project, read_json, sha256_of, write_json
from vaeforge.provenance import code_hash, machine
from vaeforge.registry.checkout import bring_data, check_out, code_environment
from vaeforge.registry.lineage import version_tags
from vaeforge.registry.reproduce import ELSEWHERE, RANKS, compare, reproduce, tolerance_for
from vaeforge.registry.resolve_model import Subject, find_subject, patch_of
from vaeforge.registry.retrain import Conditions, conditions_of, retrain
from vaeforge.registry.trace import Link, trace
from vaeforge.registry.trace_view import reproduction_table, trace_tree

KINDS = ["run", "trial", "search", "space", "commit", "changes", "code", "packages", "data", "dvc", "source"]
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a finished search, made of a clean tree."""
    root = repository(tmp_path_factory.mktemp("clean") / "project")
    searched(root)
    return root


@pytest.fixture
def root(clean: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(clean, tmp_path / "project", symlinks=True))


def manifest_of(root: Path) -> Path:
    return root / "artifacts/searches/hand/manifest.json"


def subject_of(root: Path, **changed: Any) -> Subject:
    """The search's winner, with keys of its manifest changed."""
    path = manifest_of(root)
    return Subject("it", {**read_json(path, ""), **changed}, path.parent)


def follow(root: Path, subject: Subject | None = None) -> dict[str, Link]:
    chain = trace(subject or subject_of(root), Project(root), f"sqlite:///{root}/mlflow.db")
    return {link.kind: link for link in chain.all()}


def states(links: Mapping[str, Link]) -> dict[str, str]:
    return {kind: link.state for kind, link in links.items()}


def shown(thing: RenderableType) -> str:
    text = StringIO()
    Console(width=300, file=text).print(thing)
    return text.getvalue()


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_search_records_what_made_it(clean: Path) -> None:
    winner = read_json(manifest_of(clean), "")
    assert winner["git"] == {
        "commit": call(clean, "git", "rev-parse", "HEAD"),
        "dirty": False,
        "diff_sha256": None,
        "patch": None,
    }
    assert winner["lock_sha256"] == sha256_of(clean / "requirements.lock")
    assert winner["space"]["family"] == "endoscopy"
    assert (winner["source"]["folder"], winner["source"]["files"]) == ("data/endoscopy", 80)
    conditions = {"workers": 1, "threads": 1, "device": "cpu", "inherited_from": None, "machine": machine()}
    assert winner["training"] == conditions


def test_the_changes_of_a_dirty_tree_are_kept_beside_the_ledger(tmp_path: Path) -> None:
    root = repository(tmp_path / "project")
    rewrite(root / "params.yaml", "width: 4", "width: 8")
    winner = searched(root, epochs=1)
    folder = root / "artifacts/searches/hand"
    assert winner["git"]["dirty"] and winner["git"]["patch"] == "code.patch"
    assert winner["git"]["diff_sha256"] == sha256_of(folder / "code.patch")
    assert "+  model: {width: 8" in (folder / "code.patch").read_text()
    links = follow(root)
    assert states(links)["changes"] == "verified"
    (folder / "code.patch").write_text("another")
    assert states(follow(root))["changes"] == "missing"
    with pytest.raises(RegistryError, match=r"files differed from the commit.*code\.patch"):
        reproduce(subject_of(root), Project(root), False, QUIET)


def test_a_project_without_git_is_searched_and_traced_all_the_same(tmp_path: Path) -> None:
    root = repository(tmp_path / "project")
    shutil.rmtree(root / ".git")
    winner = searched(root, epochs=1)
    assert winner["git"] == {"commit": None, "dirty": None, "diff_sha256": None, "patch": None}
    links = follow(root)
    assert (states(links)["commit"], states(links)["changes"]) == ("unknown", "unknown")
    with pytest.raises(RegistryError, match="in no git repository"):
        reproduce(subject_of(root), Project(root), False, QUIET)


def test_every_link_of_a_fresh_search_is_verified(clean: Path) -> None:
    links = follow(clean)
    assert list(links) == KINDS
    untracked = {"run": "unknown", "dvc": "unknown"}
    assert states(links) == {**dict.fromkeys(KINDS, "verified"), **untracked}


def test_a_trace_is_plain_json_and_a_tree(clean: Path) -> None:
    chain = trace(subject_of(clean), Project(clean), f"sqlite:///{clean}/mlflow.db")
    content = json.loads(json.dumps(chain.plain()))
    (trial,) = content["origins"]
    assert set(trial) == {"kind", "name", "state", "detail", "origins"}
    (search,) = trial["origins"]
    assert [link["kind"] for link in search["origins"]] == ["space", "commit", "data"]
    text = shown(trace_tree(chain))
    assert all(f"{kind} " in text for kind in KINDS)
    assert call(clean, "git", "rev-parse", "HEAD") in text


def test_looking_makes_no_database(clean: Path) -> None:
    subject = subject_of(clean, mlflow={"run_id": "a" * 32})
    assert states(follow(clean, subject))["run"] == "missing"
    assert not (clean / "mlflow.db").exists()


def test_data_that_were_changed_differ(root: Path) -> None:
    path = next((root / "data/endoscopy/normal").iterdir())
    path.write_bytes(path.read_bytes() + b"0")
    assert states(follow(root))["data"] == "differs"


def test_data_that_are_gone_are_missing(root: Path) -> None:
    shutil.rmtree(root / "data")
    found = states(follow(root))
    assert (found["data"], found["source"]) == ("missing", "missing")


def test_an_altered_checkpoint_differs(root: Path) -> None:
    path = root / read_json(manifest_of(root), "")["checkpoint"]["path"]
    path.write_bytes(path.read_bytes()[:-1])
    assert states(follow(root))["trial"] == "differs"
    path.unlink()
    assert follow(root)["trial"].detail.endswith("whose file is not here")


def test_a_checkpoint_that_the_ledger_does_not_know_differs(clean: Path) -> None:
    checkpoint = {**subject_of(clean).winner["checkpoint"], "sha256": "0" * 64}
    assert states(follow(clean, subject_of(clean, checkpoint=checkpoint)))["trial"] == "differs"


@pytest.mark.parametrize("key", ["configuration_hash", "data_identity", "code_hash"])
def test_a_ledger_that_says_otherwise_differs(clean: Path, key: str) -> None:
    link = follow(clean, subject_of(clean, **{key: "0" * 64}))["search"]
    assert link.state == "differs" and key in link.detail


def test_a_ledger_that_is_gone_is_missing(root: Path) -> None:
    subject = subject_of(root)
    (root / "artifacts/searches/hand/ledger.jsonl").unlink()
    found = states(follow(root, subject))
    assert (found["search"], found["trial"], found["space"]) == ("missing", "missing", "verified")


def test_a_space_of_another_hash_differs(clean: Path) -> None:
    assert states(follow(clean, subject_of(clean, space={"family": "endoscopy"})))["space"] == "differs"


def test_a_commit_that_is_not_here_is_missing(clean: Path) -> None:
    git = {"commit": "0" * 40, "dirty": False}
    assert states(follow(clean, subject_of(clean, git=git)))["commit"] == "missing"


def test_packages_are_found_in_the_commit_when_the_lock_has_moved_on(root: Path) -> None:
    (root / "requirements.lock").write_text("numpy==2\n")
    link = follow(root)["packages"]
    assert link.state == "verified" and "of the commit" in link.detail
    assert states(follow(root, subject_of(root, lock_sha256="0" * 64)))["packages"] == "missing"


def test_code_that_is_neither_here_nor_in_the_commit_is_missing(clean: Path) -> None:
    assert states(follow(clean, subject_of(clean, code_hash="0" * 64)))["code"] == "missing"


def test_a_versions_tags_are_compared_with_its_manifest(clean: Path) -> None:
    subject = subject_of(clean)
    tags = version_tags(subject.winner, "r", "g")
    version: Any = SimpleNamespace(name="vaeforge-endoscopy", version="3", run_id="r", tags=tags)
    chain = trace(Subject("it", subject.winner, subject.folder, version), Project(clean), "sqlite:////nowhere.db")
    assert (chain.kind, chain.name, chain.state) == ("version", "vaeforge-endoscopy version 3", "verified")
    assert chain.origins[0].name == "r"
    tags["vaeforge.commit"] = "0" * 40
    chain = trace(Subject("it", subject.winner, subject.folder, version), Project(clean), "sqlite:////nowhere.db")
    assert chain.state == "differs" and "vaeforge.commit" in chain.detail


@pytest.mark.slow
def test_a_run_is_compared_by_its_curve(clean: Path, tmp_path: Path) -> None:
    from vaeforge.track.store import open_store

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client, winner = open_store(uri), subject_of(clean).winner
    run = client.create_run("0").info.run_id
    subject = subject_of(clean, mlflow={"run_id": run})
    project = Project(clean)
    assert trace(subject, project, uri).state == "at hand"
    client.log_metric(run, "val/nelbo", winner["metrics"]["val/nelbo"], step=winner["checkpoint"]["epoch"])
    assert trace(subject, project, uri).state == "verified"
    other = subject_of(clean, mlflow={"run_id": run}, metrics={"val/nelbo": 1.0})
    assert trace(other, project, uri).state == "differs"
    client.delete_run(run)
    assert trace(subject, project, uri).state == "missing"
    assert trace(subject_of(clean, mlflow={"run_id": "0" * 32}), project, uri).state == "missing"


def test_a_model_is_named_by_its_manifest_its_folder_or_an_exports_folder(root: Path) -> None:
    project, winner = Project(root), subject_of(root).winner
    export = root / "artifacts/searches/hand/export"
    write_json(export / "manifest.json", {"step": "export", "search": "hand", "checkpoint": winner["checkpoint"]})
    for path in (manifest_of(root), manifest_of(root).parent, export, export / "manifest.json"):
        assert find_subject(str(path), project, "").winner == winner
    downloaded = root / "download"
    write_json(downloaded / "extra_files" / "winner.json", dict(winner))
    assert find_subject(str(downloaded), project, "").winner == winner
    write_json(export / "manifest.json", {"step": "export", "search": "hand", "checkpoint": {"sha256": "0" * 64}})
    with pytest.raises(RegistryError, match="run the step again"):
        find_subject(str(export), project, "")
    with pytest.raises(RegistryError, match=r"got '.*nothing', must be models:/NAME@ALIAS"):
        find_subject(str(root / "nothing"), project, "")
    write_json(root / "other.json", {"step": "tune"})
    with pytest.raises(RegistryError, match="it lacks family, experiment"):
        find_subject(str(root / "other.json"), project, "")


def test_the_patch_travels_with_a_version(tmp_path: Path) -> None:
    root = repository(tmp_path / "project")
    rewrite(root / "params.yaml", "width: 4", "width: 8")
    winner = searched(root, epochs=1)
    (tmp_path / "version").mkdir()
    patch = root / "artifacts/searches/hand/code.patch"
    content = patch.read_bytes()
    patch.rename(tmp_path / "version" / "code.patch")
    assert patch_of(Subject("it", winner, tmp_path / "version"), Project(root)) == content


def test_training_again_gives_the_same_bytes(root: Path) -> None:
    winner = subject_of(root).winner
    found = retrain(Project(root), winner, QUIET)
    assert found["metrics"] == winner["metrics"]
    assert found["checkpoint_sha256"] == winner["checkpoint"]["sha256"]
    assert found["best_epoch"] == found["epoch"] == winner["checkpoint"]["epoch"]
    assert tolerance_for(conditions_of(winner), found).relative == 0.0
    assert all(row.holds for row in compare(winner, found, 0.0))


def test_training_again_on_other_data_is_refused(root: Path) -> None:
    with pytest.raises(DataError, match="data identity is"):
        retrain(Project(root), subject_of(root, data_identity="0" * 64).winner, QUIET)


def test_another_seed_is_not_a_reproduction(root: Path) -> None:
    winner = json.loads(manifest_of(root).read_text())
    winner["experiment"]["training"]["seed"] += 1
    found = retrain(Project(root), winner, QUIET)
    rows = list(compare(winner, found, ELSEWHERE))
    assert not all(row.holds for row in rows)
    assert found["checkpoint_sha256"] != winner["checkpoint"]["sha256"]


def test_what_one_training_cannot_give_is_refused(clean: Path) -> None:
    training = subject_of(clean).winner["training"]
    inherited = subject_of(clean, training={**training, "inherited_from": 2})
    with pytest.raises(RegistryError, match="weights of trial 2"):
        reproduce(inherited, Project(clean), False, QUIET)
    with pytest.raises(RegistryError, match="does not say on how many threads"):
        conditions_of({key: value for key, value in inherited.winner.items() if key != "training"})


@pytest.mark.parametrize(
    ("changed", "relative", "why"),
    [
        ({}, 0.0, "same kind of machine"),
        ({"workers": 2}, RANKS, "2 ranks"),
        ({"device": "cuda"}, ELSEWHERE, "GPU"),
        ({"threads": None}, ELSEWHERE, "threads changed"),
        ({"threads": 4}, ELSEWHERE, "4 threads trained it, and 1 did now"),
        ({"machine": None}, ELSEWHERE, "not recorded"),
        ({"machine": {"cpu": "A", "cores": 64}}, 0.0, "same kind"),
        ({"machine": {"cpu": "B", "cores": 2}}, ELSEWHERE, "cpu was B, is A"),
    ],
)
def test_how_exact_a_reproduction_must_be(changed: dict[str, Any], relative: float, why: str) -> None:
    here = {"cpu": "A", "cores": 2}
    conditions = Conditions(
        **{"workers": 1, "threads": 1, "device": "cpu", "inherited_from": None, "machine": here} | changed
    )
    tolerance = tolerance_for(conditions, {"threads": 1, "machine": here})
    assert tolerance.relative == relative
    assert why in tolerance.why


def test_metrics_are_compared_one_by_one() -> None:
    recorded = {"a": -100.0, "b": 2.0, "c": None, "d": 1.0, "f": None}
    found = {"a": -100.09, "b": 2.1, "c": float("nan"), "e": 1.0, "f": 1.0}
    winner = {"checkpoint": {"epoch": 3}, "metrics": recorded}
    rows = {row.metric: row for row in compare(winner, {"epoch": 3, "metrics": found}, 1e-3)}
    assert {name: row.holds for name, row in rows.items()} == {
        "epoch": True, "a": True, "b": False, "c": True, "d": False, "e": False, "f": False,
    }  # fmt: skip
    assert rows["a"].allowed == pytest.approx(0.1) and rows["a"].difference == pytest.approx(0.09)


def test_a_checkout_is_the_commit_and_the_users_tree_is_left_alone(root: Path, tmp_path: Path) -> None:
    first = call(root, "git", "rev-parse", "HEAD")
    before = (root / "params.yaml").read_text()
    rewrite(root / "params.yaml", "seed: 3", "seed: 4")
    commit(root, "second")
    call(root, "git", "branch", "--quiet", "other")
    rewrite(root / "params.yaml", "seed: 4", "seed: 5")
    state = call(root, "git", "status", "--porcelain"), call(root, "git", "worktree", "list")
    check_out(root, tmp_path / "checkout", first, None)
    assert (tmp_path / "checkout/params.yaml").read_text() == before
    assert (call(root, "git", "status", "--porcelain"), call(root, "git", "worktree", "list")) == state
    with pytest.raises(RegistryError, match="failed"):
        check_out(root, tmp_path / "another", "0" * 40, None)


def test_the_code_is_the_commits_own_or_the_same_or_refused(clean: Path, tmp_path: Path) -> None:
    environment, whose = code_environment(clean, code_hash())
    assert "the commit does not hold vaeforge" in whose
    assert environment["PYTHONPATH"]
    with pytest.raises(RegistryError, match="code: 000000000000 is recorded, but the commit holds no vaeforge"):
        code_environment(clean, "0" * 64)


def test_data_that_dvc_does_not_have_are_linked_and_that_is_said(root: Path, tmp_path: Path) -> None:
    winner = subject_of(root).winner
    check_out(root, tmp_path / "checkout", winner["git"]["commit"], None)
    told = bring_data(Project(root), tmp_path / "checkout", winner)
    assert "linked from" in told and "not what DVC tracks" in told
    assert (tmp_path / "checkout/data/endoscopy").resolve() == root / "data/endoscopy"


def test_data_that_nobody_has_are_named(root: Path, tmp_path: Path) -> None:
    winner = subject_of(root).winner
    check_out(root, tmp_path / "checkout", winner["git"]["commit"], None)
    next((root / "data/endoscopy/normal").iterdir()).unlink()
    with pytest.raises(DataError, match="has not the data identity"):
        bring_data(Project(root), tmp_path / "checkout", winner)


def test_a_failed_reproduction_shows_what_it_compared() -> None:
    from vaeforge.registry.reproduce import Reproduction, Tolerance

    winner = {"checkpoint": {"epoch": 3}, "metrics": {"val/nelbo": -100.0}}
    rows = tuple(compare(winner, {"epoch": 3, "metrics": {"val/nelbo": -50.0}}, 0.0))
    done = Reproduction(rows, Tolerance(0.0, ""), False, "", "", None)
    assert not done.reproduced
    text = shown(reproduction_table(done))
    assert all(word in text for word in ("val/nelbo", "-100", "-50", "50"))
