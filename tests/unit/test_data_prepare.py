"""Preparing: written whole or not at all, repeated only when something changed, and never repaired in silence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samples import write_two_classes
from vaeforge.config.experiment import Experiment
from vaeforge.config.loader import load
from vaeforge.data.prepare import ensure_prepared, prepare, prepared_summary, pull
from vaeforge.data.prepared import load_prepared, read_prepared_manifest
from vaeforge.errors import ConfigError, DataError
from vaeforge.paths import Project, sha256_of
from vaeforge.provenance import GitState
from vaeforge.records import to_json

ROOT = Path(__file__).parents[2]
SMALL = {"size": 16, "margin": 8, "stride": 8}
MakeExperiment = Callable[..., Experiment]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    write_two_classes(tmp_path, 30)
    return Project(tmp_path)


@pytest.fixture
def experiment(make_experiment: MakeExperiment) -> Experiment:
    return make_experiment(prepare=SMALL)


def written(project: Project) -> dict[str, int]:
    """When each prepared file was written."""
    return {path.name: path.stat().st_mtime_ns for path in project.prepared("endoscopy").iterdir() if path.is_file()}


def test_what_is_prepared(project: Project, experiment: Experiment) -> None:
    prepared = prepare(project, experiment)
    assert (prepared.train.x.shape, prepared.train.x.dtype) == ((10, 3, 24, 24), np.uint8)
    assert prepared.validation.x.shape == (4, 3, 16, 16)
    assert prepared.test.x.shape == (12, 3, 16, 16)
    assert prepared.event_shape == (3, 16, 16)
    assert prepared.test_labels.tolist() == [0] * 6 + [1] * 6
    assert len(set(prepared.test_groups.tolist())) == 12
    assert isinstance(prepared.train.x, np.memmap)


def test_the_manifest_says_where_everything_comes_from(project: Project, experiment: Experiment) -> None:
    manifest = prepare(project, experiment).manifest
    assert read_prepared_manifest(project.prepared("endoscopy")) == manifest
    assert to_json(manifest) == json.loads((project.prepared("endoscopy") / "manifest.json").read_text())
    assert manifest.step == "prepare" and manifest.family == "endoscopy"
    assert manifest.configuration == experiment.prepare.model_dump(mode="json")
    assert manifest.data_source == "data/endoscopy"
    assert manifest.data_hash is None
    assert manifest.git == GitState(None, None)
    assert manifest.event_shape == (3, 16, 16)
    assert manifest.counts["test_anomalous"] == 6
    arrays = manifest.arrays
    values = {f"{part}{kind}.npy" for part in ("train", "validation", "test") for kind in ("", "_condition")}
    assert set(arrays) == values | {"test_labels.npy", "test_groups.npy", "constants.npz"}
    for name, entry in arrays.items():
        assert entry.sha256 == sha256_of(project.prepared("endoscopy") / name)


def test_preparing_twice_gives_the_same_files(project: Project, experiment: Experiment) -> None:
    first = prepare(project, experiment).manifest.arrays
    assert prepare(project, experiment).manifest.arrays == first


def test_what_is_prepared_already_is_not_written_again(project: Project, experiment: Experiment) -> None:
    ensure_prepared(project, experiment)
    before = written(project)
    ensure_prepared(project, experiment)
    assert written(project) == before


def test_other_settings_prepare_again(
    project: Project, experiment: Experiment, make_experiment: MakeExperiment
) -> None:
    ensure_prepared(project, experiment)
    assert ensure_prepared(project, make_experiment(prepare=SMALL | {"margin": 0})).train.x.shape[2:] == (16, 16)


def test_other_data_prepare_again(project: Project, experiment: Experiment) -> None:
    before = ensure_prepared(project, experiment).manifest
    Image.new("RGB", (30, 30), (99, 99, 99)).save(project.data("endoscopy") / "normal/new.png")
    after = ensure_prepared(project, experiment).manifest
    assert after.data_identity != before.data_identity
    assert after.counts["train"] == 11


@pytest.mark.parametrize("name", ["train", "validation", "test", "test_labels", "test_groups"])
def test_an_altered_array_is_an_error_and_not_repaired(project: Project, experiment: Experiment, name: str) -> None:
    expected = ensure_prepared(project, experiment).manifest.arrays[f"{name}.npy"].sha256
    path = project.prepared("endoscopy") / f"{name}.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    wanted = rf"{name}\.npy: SHA-256 is {sha256_of(path)}, must be {expected}.*run `vaeforge prepare` again"
    for read in (lambda: ensure_prepared(project, experiment), lambda: load_prepared(path.parent)):
        with pytest.raises(DataError, match=wanted):
            read()
    assert path.read_bytes() == content


def test_preparing_again_mends_an_altered_array(project: Project, experiment: Experiment) -> None:
    arrays = prepare(project, experiment).manifest.arrays
    (project.prepared("endoscopy") / "test.npy").write_bytes(b"")
    assert prepare(project, experiment).manifest.arrays == arrays


def test_altered_arrays_of_other_settings_are_no_obstacle(
    project: Project, experiment: Experiment, make_experiment: MakeExperiment
) -> None:
    ensure_prepared(project, experiment)
    (project.prepared("endoscopy") / "train.npy").write_bytes(b"")
    assert len(ensure_prepared(project, make_experiment(prepare=SMALL | {"seed": 1})).train) == 10


def test_a_missing_array_is_an_error(project: Project, experiment: Experiment) -> None:
    (ensure_prepared(project, experiment).folder / "test.npy").unlink()
    with pytest.raises(DataError, match=r"test\.npy: not found"):
        ensure_prepared(project, experiment)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"arrays": 3}'])
def test_a_damaged_manifest_is_an_error(project: Project, experiment: Experiment, text: str) -> None:
    ensure_prepared(project, experiment)
    (project.prepared("endoscopy") / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.json: (not valid JSON|is no manifest of prepared data)"):
        ensure_prepared(project, experiment)


def test_a_failure_leaves_what_was_there(
    project: Project, experiment: Experiment, make_experiment: MakeExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = prepare(project, experiment)

    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    for asked in (experiment, make_experiment(prepare=SMALL | {"margin": 0})):
        with monkeypatch.context() as patched, pytest.raises(OSError, match="No space"):
            patched.setattr(np.lib.format, "write_array_header_1_0", full)
            prepare(project, asked)
    assert load_prepared(before.folder).manifest == load_prepared(project.prepared("endoscopy")).manifest
    assert [path.name for path in before.folder.parent.iterdir() if path.is_dir()] == [before.folder.name]


def test_shares_that_leave_nothing_to_train_on_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"validation 0\.5 and test 0\.5 leave nothing"):
        load(tmp_path, "endoscopy", None, {"prepare.validation": 0.5, "prepare.test": 0.5})


def test_an_annotated_image_too_small_for_its_patches_names_the_empty_splits(
    tmp_path: Path, experiment: Experiment
) -> None:
    folder = tmp_path / "data/endoscopy/tissue"
    folder.mkdir(parents=True)
    Image.new("RGB", (30, 30)).save(folder / "image.png")
    Image.new("L", (30, 30), 2).save(folder / "labels.png")
    with pytest.raises(DataError, match="nothing for train, validation, test_normal, test_anomalous"):
        prepare(Project(tmp_path), experiment)


def test_absent_data_without_dvc(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data/endoscopy: not there, and .* has no data\.dvc"):
        pull(Project(tmp_path), "endoscopy")


def test_absent_data_in_an_exported_copy(tmp_path: Path) -> None:
    shutil.copy(ROOT / "data.dvc", tmp_path)
    with pytest.raises(DataError, match=r"data\.dvc lists it, but .* is no DVC repository .* exported copy"):
        pull(Project(tmp_path), "endoscopy")


def copy_of_dvc(root: Path) -> None:
    """The project's DVC files, remote included, in a folder that git does not know."""
    shutil.copytree(ROOT / ".dvc/remote", root / ".dvc/remote")
    config = (ROOT / ".dvc/config").read_text()
    (root / ".dvc/config").write_text(config.replace("[core]", "[core]\n    no_scm = true"))
    shutil.copy(ROOT / "data.dvc", root)


@pytest.mark.slow
def test_absent_data_are_pulled_from_the_remote_that_comes_with_the_project(
    tmp_path: Path, make_experiment: MakeExperiment
) -> None:
    copy_of_dvc(tmp_path)
    prepared = ensure_prepared(Project(tmp_path), make_experiment())
    assert prepared.event_shape == (3, 96, 96)
    assert prepared.manifest.data_hash in (ROOT / "data.dvc").read_text()
    assert (tmp_path / "data/endoscopy/skin/ATTRIBUTION.md").is_file()


def test_a_failing_pull_says_why(tmp_path: Path) -> None:
    copy_of_dvc(tmp_path)
    shutil.rmtree(tmp_path / ".dvc/remote")
    wanted = r"data/endoscopy: not there and could not be pulled \(.*failed to pull data.*\); run `dvc pull`"
    with pytest.raises(DataError, match=wanted):
        pull(Project(tmp_path), "endoscopy")


def test_an_altered_remote_is_refused(tmp_path: Path) -> None:
    copy_of_dvc(tmp_path)
    files = [path for path in (tmp_path / ".dvc/remote").rglob("*") if path.is_file() and path.suffix != ".dir"]
    for path in files:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.chmod(0o644)
        path.write_bytes(content)
    with pytest.raises(DataError, match="could not be pulled"):
        pull(Project(tmp_path), "endoscopy")
    assert not (tmp_path / "data/endoscopy").exists()


def test_what_was_prepared_is_said_in_a_sentence() -> None:
    counts = {"train": 260, "validation": 80, "test_normal": 60, "test_anomalous": 60, "quarantined": 0}
    said = "Prepared at 96 x 96: 260 train, 80 validation, 60 + 60 test (normal + anomalous); no file skipped"
    assert prepared_summary((3, 96, 96), counts) == said
    alone = prepared_summary((3, 96, 96), counts | {"test_anomalous": 0})
    missing = "there is no AUROC, AUPRC, pixel AUROC, precision or recall"
    assert f"60 test, all normal (without anomalous samples in the test {missing}); no file skipped" in alone
    series = prepared_summary((77,), {"train": 5, "validation": 2, "test": 3, "quarantined": 1})
    assert series.startswith("Prepared at 77: 5 train, 2 validation, 3 test; 1 skipped")
