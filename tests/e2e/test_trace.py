"""From a model back to its commit and data, and from those to the model again, through the command line."""

import json
import shutil
from pathlib import Path

import pytest

from project import ROOT, EmptyProject, SampleProject, command_line
from traced import call, commit, copy_code, dvc, repository, searched
from vaeforge.data.dvc_location import Kept, where_kept
from vaeforge.paths import Project
from vaeforge.registry.checkout import bring_data, check_out
from vaeforge_models.families import families

SHORT = (
    "training.steps_per_epoch=6 training.batch_size=16 training.evaluation_samples=1 gates.min_active_units=0 "
    "diffusion.steps=10 diffusion.validation_interval=10"
)
MANIFEST = "artifacts/searches/hand/manifest.json"


@pytest.mark.long
def test_a_model_is_made_again_from_its_commit_its_changes_and_dvcs_cache(tmp_path: Path) -> None:
    """The tree was dirty, has moved on since, and the data are gone from it."""
    root = repository(tmp_path / "project", with_dvc=True, with_code=True)
    params = root / "params.yaml"
    params.write_text(params.read_text().replace("width: 4", "width: 8"))
    model = searched(root)
    params.write_text(params.read_text().replace("seed: 3", "seed: 9"))
    (root / "platform/vaeforge/seeds.py").write_text("raise SystemExit('this is not the code of the model')\n")
    commit(root, "later")
    shutil.rmtree(root / "data/endoscopy")
    before = call(root, "git", "status", "--porcelain")

    project = EmptyProject(root)
    output = project.run("trace", MANIFEST, "--reproduce", "true")
    assert "the commit's own code" in output
    assert "checked out from DVC's cache" in output
    assert "reproduced; the training's state is equal to the last byte" in output
    assert call(root, "git", "status", "--porcelain") == before
    assert not (root / "data/endoscopy").exists()

    content = json.loads((root / MANIFEST).read_text())
    content["metrics"]["val/nelbo"] += 1e-6
    (root / "altered.json").write_text(json.dumps(content))
    shutil.copy(root / "artifacts/searches/hand/code.patch", root / "code.patch")
    output = project.run("trace", "altered.json", "--reproduce", "true", code=2)
    assert "not reproduced" in output and "val/nelbo" in output
    assert model.lineage.git.dirty


@pytest.mark.slow
def test_a_trace_through_the_command_line(tmp_path: Path) -> None:
    root = repository(tmp_path / "project", with_dvc=True)
    searched(root, epochs=1)
    project = EmptyProject(root)
    content = json.loads(command_line(root, "trace", MANIFEST, "--json", "true").stdout)
    assert content["differs"] == []
    (trial,) = content["chain"]["origins"]
    (search,) = trial["origins"]
    data = search["origins"][2]
    assert [link["state"] for link in data["origins"]] == ["verified", "verified"]
    assert "DVC's cache" in data["origins"][0]["detail"]
    next((root / "data/endoscopy/normal").iterdir()).unlink()
    assert "differs: of the files in" in project.call("trace", MANIFEST, code=2)
    dvc(root, "checkout", "--quiet", "--force")
    project.run("trace", MANIFEST)
    assert "without --reproduce true" in project.call("trace", MANIFEST, "--keep", "true", code=2)


@pytest.mark.slow
def test_data_come_from_the_remote_where_the_cache_has_not_all(tmp_path: Path) -> None:
    root = repository(tmp_path / "project", with_dvc=True)
    dvc(root, "remote", "add", "--default", "store", str(tmp_path / "store"))
    commit(root, "remote")
    dvc(root, "push", "--quiet")
    model = searched(root, epochs=1)
    assert where_kept(root, model.lineage.data_hash, "endoscopy") == Kept("cache")
    shutil.rmtree(root / ".dvc/cache")
    shutil.rmtree(root / "data")
    assert where_kept(root, model.lineage.data_hash, "endoscopy") == Kept("remote")
    check_out(root, tmp_path / "checkout", model.lineage.git.commit, None)
    assert bring_data(Project(root), tmp_path / "checkout", model) == "data: pulled from DVC's remote"
    shutil.rmtree(root / ".dvc/cache")
    shutil.rmtree(tmp_path / "store")
    kept = where_kept(root, model.lineage.data_hash, "endoscopy")
    assert kept.place is None and kept.problem


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("family", sorted(families()))
def test_a_registered_model_of_every_family_is_made_again(family: str, cluster: dict[str, str], tmp_path: Path) -> None:
    project = SampleProject(tmp_path, family)
    copy_code(tmp_path)
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    ignored = "/artifacts/\n/data\n/mlflow.db*\n/mlruns/\n/output.log\n__pycache__/\n"
    (tmp_path / ".gitignore").write_text(ignored)
    call(tmp_path, "git", "init", "--quiet", "--initial-branch=main")
    dvc(tmp_path, "init", "--quiet")
    dvc(tmp_path, "add", "--quiet", "data")
    commit(tmp_path, "first")
    call_ = ("tune", "--family", family, "--name", "short", "--trials", "2", "--epochs", "2", "--set", SHORT)
    project.run(*call_, **cluster)

    model = f"models:/vaeforge-{family}@champion"
    output = project.run("trace", model, "--json", "true")
    content = json.loads(output[output.index("{\n") :])  # the project's output holds warnings of libraries, too
    assert content["differs"] == []
    found, waiting = {}, [content["chain"]]
    while waiting:
        link = waiting.pop()
        found[link["kind"]] = link["state"]
        waiting += link["origins"]
    assert found == dict.fromkeys(found, "verified")
    assert {"version", "run", "trial", "search", "space", "commit", "packages", "dvc", "source"} <= set(found)

    shutil.rmtree(tmp_path / "data" / family)
    output = project.run("trace", model, "--reproduce", "true")
    assert "checked out from DVC's cache" in output
    assert "reproduced; the training's state is equal to the last byte" in output
