"""What is recorded of a model's origin, what a trace says of each link, and when a reproduction holds."""

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console, RenderableType

from manifest_samples import model_manifest, model_of
from traced import call, commit, repository, searched
from vaeforge.errors import DataError, RegistryError
from vaeforge.manifests.trained_model import TrainingConditions
from vaeforge.paths import Project, read_json, sha256_of, write_json
from vaeforge.provenance import Machine, PatchedGitState, code_hash, machine
from vaeforge.records import record_from, to_json
from vaeforge.registry.checkout import bring_data, check_out, code_environment
from vaeforge.registry.lineage import version_tags
from vaeforge.registry.reproduce import ELSEWHERE, LANES, RANKS, compare, reproduce, show_patch, tolerance_for
from vaeforge.registry.resolve_model import Patch, TracedModel, patch_of, resolve_model
from vaeforge.registry.retrain import RetrainedModel, conditions_of, retrain
from vaeforge.registry.tables import reproduction_table, trace_tree
from vaeforge.registry.tags import FILES
from vaeforge.registry.trace import trace
from vaeforge.registry.trace_link import TraceLink

KINDS = ["run", "trial", "search", "space", "commit", "changes", "code", "packages", "data", "dvc", "source"]
QUIET = Console(quiet=True)
HERE = Machine("A", "x86_64", "AVX2", 2, "3.11", "2", "2", None)


def retrained(metrics: Mapping[str, float]) -> RetrainedModel:
    """What a training to epoch 3 on this machine with one thread found."""
    return RetrainedModel(3, metrics, "0" * 64, 3, 1, "cpu", HERE)


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


def traced_model(root: Path, **changed: Any) -> TracedModel:
    """The search's best model, with keys of its manifest changed."""
    path = manifest_of(root)
    return TracedModel("it", model_of({**read_json(path, ""), **changed}), path.parent)


def follow(root: Path, model: TracedModel | None = None) -> dict[str, TraceLink]:
    chain = trace(model or traced_model(root), Project(root), f"sqlite:///{root}/mlflow.db")
    return {link.kind: link for link in chain.all()}


def states(links: Mapping[str, TraceLink]) -> dict[str, str]:
    return {kind: link.state for kind, link in links.items()}


def shown(thing: RenderableType) -> str:
    text = StringIO()
    Console(width=300, file=text).print(thing)
    return text.getvalue()


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.slow
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
    conditions = {"workers": 1, "threads": 1, "device": "cpu", "inherited_from": None, "machine": to_json(machine())}
    assert winner["training"] == conditions


@pytest.mark.slow
def test_the_changes_of_a_dirty_tree_are_kept_beside_the_ledger(tmp_path: Path) -> None:
    root = repository(tmp_path / "project")
    rewrite(root / "params.yaml", "width: 4", "width: 8")
    git = searched(root, epochs=1).lineage.git
    folder = root / "artifacts/searches/hand"
    assert git.dirty and git.patch == "code.patch"
    assert git.diff_sha256 == sha256_of(folder / "code.patch")
    assert "+  model: {width: 8" in (folder / "code.patch").read_text()
    links = follow(root)
    assert states(links)["changes"] == "verified"
    (folder / "code.patch").write_text("another")
    assert states(follow(root))["changes"] == "missing"
    with pytest.raises(RegistryError, match=r"files differed from the commit.*code\.patch"):
        reproduce(traced_model(root), Project(root), False, QUIET)


@pytest.mark.slow
def test_a_project_without_git_is_searched_and_traced_all_the_same(tmp_path: Path) -> None:
    root = repository(tmp_path / "project")
    shutil.rmtree(root / ".git")
    assert searched(root, epochs=1).lineage.git == PatchedGitState(None, None)
    links = follow(root)
    assert (states(links)["commit"], states(links)["changes"]) == ("unknown", "unknown")
    with pytest.raises(RegistryError, match="in no git repository"):
        reproduce(traced_model(root), Project(root), False, QUIET)


def test_every_link_of_a_fresh_search_is_verified(clean: Path) -> None:
    links = follow(clean)
    assert list(links) == KINDS
    untracked = {"run": "unknown", "dvc": "unknown"}
    assert states(links) == {**dict.fromkeys(KINDS, "verified"), **untracked}


def test_a_trace_is_plain_json_and_a_tree(clean: Path) -> None:
    chain = trace(traced_model(clean), Project(clean), f"sqlite:///{clean}/mlflow.db")
    content = json.loads(json.dumps(to_json(chain)))
    (trial,) = content["origins"]
    assert set(trial) == {"kind", "name", "state", "detail", "origins"}
    (search,) = trial["origins"]
    assert [link["kind"] for link in search["origins"]] == ["space", "commit", "data"]
    text = shown(trace_tree(chain))
    assert all(f"{kind} " in text for kind in KINDS)
    assert call(clean, "git", "rev-parse", "HEAD") in text


def test_looking_makes_no_database(clean: Path) -> None:
    model = traced_model(clean, mlflow={"run_id": "a" * 32})
    assert states(follow(clean, model))["run"] == "missing"
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
    assert follow(root)["trial"].detail.endswith("the checkpoint's file is not here")


def test_a_checkpoint_that_the_ledger_does_not_know_differs(clean: Path) -> None:
    checkpoint = {**read_json(manifest_of(clean), "")["checkpoint"], "sha256": "0" * 64}
    assert states(follow(clean, traced_model(clean, checkpoint=checkpoint)))["trial"] == "differs"


@pytest.mark.parametrize("key", ["configuration_hash", "data_identity", "code_hash"])
def test_a_ledger_that_says_otherwise_differs(clean: Path, key: str) -> None:
    link = follow(clean, traced_model(clean, **{key: "0" * 64}))["search"]
    assert link.state == "differs" and key in link.detail


def test_a_ledger_that_is_gone_is_missing(root: Path) -> None:
    model = traced_model(root)
    (root / "artifacts/searches/hand/ledger.jsonl").unlink()
    found = states(follow(root, model))
    assert (found["search"], found["trial"], found["space"]) == ("missing", "missing", "verified")


def test_a_space_of_another_hash_differs(clean: Path) -> None:
    assert states(follow(clean, traced_model(clean, space={"family": "endoscopy"})))["space"] == "differs"


def test_a_commit_that_is_not_here_is_missing(clean: Path) -> None:
    git = {"commit": "0" * 40, "dirty": False}
    assert states(follow(clean, traced_model(clean, git=git)))["commit"] == "missing"


def test_packages_are_found_in_the_commit_when_the_lock_has_moved_on(root: Path) -> None:
    (root / "requirements.lock").write_text("numpy==2\n")
    link = follow(root)["packages"]
    assert link.state == "verified" and "of the commit" in link.detail
    assert states(follow(root, traced_model(root, lock_sha256="0" * 64)))["packages"] == "missing"


def test_code_that_is_neither_here_nor_in_the_commit_is_missing(clean: Path) -> None:
    assert states(follow(clean, traced_model(clean, code_hash="0" * 64)))["code"] == "missing"


def test_a_versions_tags_are_compared_with_its_manifest(clean: Path) -> None:
    model = traced_model(clean)
    tags = version_tags(model.manifest, "r", "g") | {FILES: "f"}
    version: Any = SimpleNamespace(name="vaeforge-endoscopy", version="3", run_id="r", tags=tags)
    chain = trace(replace(model, version=version), Project(clean), "sqlite:////nowhere.db")
    assert (chain.kind, chain.name, chain.state) == ("version", "vaeforge-endoscopy version 3", "verified")
    assert chain.origins[0].name == "r"
    tags["vaeforge.commit"] = "0" * 40
    chain = trace(replace(model, version=version), Project(clean), "sqlite:////nowhere.db")
    assert chain.state == "differs" and "vaeforge.commit" in chain.detail


@pytest.mark.slow
def test_a_run_is_compared_by_its_curve(clean: Path, tmp_path: Path) -> None:
    from vaeforge.track.store import open_store

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client, manifest = open_store(uri), traced_model(clean).manifest
    run = client.create_run("0").info.run_id
    model = traced_model(clean, mlflow={"run_id": run})
    project = Project(clean)
    assert trace(model, project, uri).state == "at hand"
    client.log_metric(run, "val/nelbo", manifest.metrics["val/nelbo"], step=manifest.checkpoint.epoch)
    assert trace(model, project, uri).state == "verified"
    other = traced_model(clean, mlflow={"run_id": run}, metrics={"val/nelbo": 1.0})
    assert trace(other, project, uri).state == "differs"
    client.delete_run(run)
    assert trace(model, project, uri).state == "missing"
    assert trace(traced_model(clean, mlflow={"run_id": "0" * 32}), project, uri).state == "missing"


def test_a_model_is_named_by_its_manifest_its_folder_or_an_exports_folder(root: Path) -> None:
    project, manifest = Project(root), traced_model(root).manifest
    export = root / "artifacts/searches/hand/export"
    write_json(
        export / "manifest.json", {"step": "export", "search": "hand", "checkpoint": to_json(manifest.checkpoint)}
    )
    for path in (manifest_of(root), manifest_of(root).parent, export, export / "manifest.json"):
        assert resolve_model(str(path), project, "").manifest == manifest
    downloaded = root / "download"
    write_json(downloaded / "extra_files" / "winner.json", to_json(manifest))
    assert resolve_model(str(downloaded), project, "").manifest == manifest
    other = {**to_json(manifest.checkpoint), "sha256": "0" * 64}
    write_json(export / "manifest.json", {"step": "export", "search": "hand", "checkpoint": other})
    with pytest.raises(RegistryError, match="run the step again"):
        resolve_model(str(export), project, "")
    with pytest.raises(RegistryError, match=r"got '.*nothing', must be models:/NAME@ALIAS"):
        resolve_model(str(root / "nothing"), project, "")
    write_json(root / "other.json", {"step": "tune"})
    with pytest.raises(RegistryError, match="it lacks family, checkpoint"):
        resolve_model(str(root / "other.json"), project, "")


def test_the_patch_travels_with_a_version(tmp_path: Path) -> None:
    root = repository(tmp_path / "project")
    rewrite(root / "params.yaml", "width: 4", "width: 8")
    manifest = searched(root, epochs=1)
    (tmp_path / "version").mkdir()
    patch = root / "artifacts/searches/hand/code.patch"
    content = patch.read_bytes()
    kept = patch_of(TracedModel("it", manifest, tmp_path / "version"), Project(root))
    assert kept == Patch(content, patch, own=True)
    patch.rename(tmp_path / "version" / "code.patch")
    model = TracedModel("it", manifest, tmp_path / "version")
    assert patch_of(model, Project(root)) == Patch(content, tmp_path / "version/code.patch", own=False)
    text = StringIO()
    with pytest.raises(
        RegistryError, match=r"question: run code that is changed by .*version/code\.patch.*--trust true"
    ):
        reproduce(model, Project(root), False, Console(file=text, width=300))
    assert "+  model: {width: 8" in text.getvalue()
    with pytest.raises(RegistryError, match=r"code: .* is recorded, but the commit holds"):  # on to the next step
        reproduce(
            replace(model, manifest=model_of({**to_json(manifest), "code_hash": "0" * 64})),
            Project(root),
            False,
            QUIET,
            True,
        )


def test_a_patch_that_is_shown_cannot_speak_to_the_terminal() -> None:
    text = StringIO()
    patch = Patch(b"+a = '\x1b[2J[bold]'\n" + b"+\n" * 300, Path("code.patch"), own=False)
    show_patch(patch, Console(file=text, width=300, force_terminal=True))
    assert "\x1b[2J" not in text.getvalue() and r"+a = '\x1b[2J[bold]'" in text.getvalue()
    assert "… 101 lines more in code.patch" in text.getvalue()


def test_training_again_gives_the_same_bytes(root: Path) -> None:
    manifest = traced_model(root).manifest
    found = retrain(Project(root), manifest, QUIET)
    assert found.metrics == manifest.metrics
    assert found.checkpoint_sha256 == manifest.checkpoint.sha256
    assert found.best_epoch == found.epoch == manifest.checkpoint.epoch
    assert tolerance_for(conditions_of(manifest), found).relative == 0.0
    assert all(row.holds for row in compare(manifest, found, 0.0))
    content = json.loads(json.dumps(to_json(found)))
    assert record_from(RetrainedModel, content, "", "", "") == found


def test_training_again_on_other_data_is_refused(root: Path) -> None:
    with pytest.raises(DataError, match="data identity is"):
        retrain(Project(root), traced_model(root, data_identity="0" * 64).manifest, QUIET)


def test_another_seed_is_not_a_reproduction(root: Path) -> None:
    content = json.loads(manifest_of(root).read_text())
    content["experiment"]["training"]["seed"] += 1
    manifest = model_of(content)
    found = retrain(Project(root), manifest, QUIET)
    rows = list(compare(manifest, found, ELSEWHERE))
    assert not all(row.holds for row in rows)
    assert found.checkpoint_sha256 != manifest.checkpoint.sha256


def test_what_one_training_cannot_give_is_refused(clean: Path) -> None:
    training = read_json(manifest_of(clean), "")["training"]
    inherited = traced_model(clean, training={**training, "inherited_from": 2})
    with pytest.raises(RegistryError, match="weights of trial 2"):
        reproduce(inherited, Project(clean), False, QUIET)
    with pytest.raises(RegistryError, match="does not say on how many threads"):
        conditions_of(replace(inherited.manifest, training=None))


@pytest.mark.parametrize(
    ("changed", "relative", "why"),
    [
        ({}, 0.0, "same kind of machine"),
        ({"workers": 2}, RANKS, "2 ranks"),
        ({"lanes": 4}, LANES, "one of up to 4 lanes"),
        ({"device": "cuda"}, ELSEWHERE, "GPU"),
        ({"threads": None}, ELSEWHERE, "threads changed"),
        ({"threads": 4}, ELSEWHERE, "4 threads trained it, and 1 did now"),
        ({"machine": None}, ELSEWHERE, "not recorded"),
        ({"machine": replace(HERE, cores=64)}, 0.0, "same kind"),
        ({"machine": replace(HERE, cpu="B")}, ELSEWHERE, "cpu was B, is A"),
    ],
)
def test_how_exact_a_reproduction_must_be(changed: dict[str, Any], relative: float, why: str) -> None:
    conditions = replace(TrainingConditions(1, 1, "cpu", None, HERE), **changed)
    tolerance = tolerance_for(conditions, retrained({}))
    assert tolerance.relative == relative
    assert why in tolerance.why


def test_metrics_are_compared_one_by_one() -> None:
    recorded = {"a": -100.0, "b": 2.0, "c": None, "d": 1.0, "f": None}
    found = {"a": -100.09, "b": 2.1, "c": float("nan"), "e": 1.0, "f": 1.0}
    rows = {row.metric: row for row in compare(model_manifest(metrics=recorded), retrained(found), 1e-3)}
    assert {name: row.holds for name, row in rows.items()} == {
        "epoch": True, "a": True, "b": False, "c": True, "d": False, "e": False, "f": False,
    }  # fmt: skip
    assert rows["a"].allowed == pytest.approx(0.1) and rows["a"].difference == pytest.approx(0.09)


def test_a_nelbo_near_zero_is_compared_in_nats_of_its_logarithm() -> None:
    """D = 1000: 500 (log(2 pi MSE) + 1) + rate is 2.6 nats here, of which a thousandth of the MSE is half a nat."""
    mse, rate = 0.0588, 0.5
    nelbo = 500 * (math.log(2 * math.pi * mse) + 1) + rate
    recorded = {"val/nelbo": nelbo, "val/mse": mse, "val/rate": rate}
    for factor, holds in ((1.0009, True), (1.0011, False)):
        found = {**recorded, "val/nelbo": 500 * (math.log(2 * math.pi * mse * factor) + 1) + rate}
        rows = {row.metric: row for row in compare(model_manifest(metrics=recorded), retrained(found), 1e-3)}
        assert rows["val/nelbo"].allowed == pytest.approx(0.5)
        assert rows["val/nelbo"].holds is holds
        assert rows["val/mse"].allowed == pytest.approx(1e-3 * mse)


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
    manifest = traced_model(root).manifest
    check_out(root, tmp_path / "checkout", manifest.lineage.git.commit, None)
    told = bring_data(Project(root), tmp_path / "checkout", manifest)
    assert "linked from" in told and "not what DVC tracks" in told
    assert (tmp_path / "checkout/data/endoscopy").resolve() == root / "data/endoscopy"


def test_data_that_nobody_has_are_named(root: Path, tmp_path: Path) -> None:
    manifest = traced_model(root).manifest
    check_out(root, tmp_path / "checkout", manifest.lineage.git.commit, None)
    next((root / "data/endoscopy/normal").iterdir()).unlink()
    with pytest.raises(DataError, match="has not the data identity"):
        bring_data(Project(root), tmp_path / "checkout", manifest)


def test_a_failed_reproduction_shows_what_it_compared() -> None:
    from vaeforge.registry.reproduce import Reproduction, Tolerance

    manifest = model_manifest(metrics={"val/nelbo": -100.0})
    rows = tuple(compare(manifest, retrained({"val/nelbo": -50.0}), 0.0))
    done = Reproduction(rows, Tolerance(0.0, ""), False, "", "", None)
    assert not done.reproduced
    text = shown(reproduction_table(done))
    assert all(word in text for word in ("val/nelbo", "-100", "-50", "50"))
