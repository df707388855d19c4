"""Bad input through the command line: one clear message, exit code 2, nothing started."""

import sys
from pathlib import Path

import pytest
from PIL import Image

from project import SmallProject

OFFLINE = ("--offline", "true", "--register", "false")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    project = SmallProject(tmp_path_factory.mktemp("refusals"))
    project.run("prepare")
    return project


def refused(project: SmallProject, *arguments: str, **environment: str) -> str:
    """The message of a refused call; nothing of Ray or of a search may have begun."""
    output = " ".join(project.call(*arguments, code=2, **environment).split())
    assert output.startswith("error:"), output
    searches = project.root / "artifacts/searches"
    assert not searches.exists() or not list(searches.glob("*/ledger.jsonl"))
    assert "ray" not in sys.modules or not sys.modules["ray"].is_initialized()
    return output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--family", "endoscpy"), "did you mean 'endoscopy'"),
        (("--set", "model.latent_dim=0"), "model.latent_dim: got 0, must be >= 1"),
        (("--workers", "64"), "64 CPUs"),
        (("--trials", "many"), "--trials: got 'many', must be a whole number"),
        (("--name", "a/b"), "--name: got 'a/b'"),
        (("--name", "x" * 101), "must be 1 to 100 characters"),
        (("--space", "missing.yaml"), "missing.yaml: cannot be read"),
        (("--device", "cuda"), "there is no GPU"),
        (("--name", "none", "--resume", "true"), "nothing to resume"),
        (("--register", "perhaps"), "must be true or false"),
        (
            ("--set", "training.batch_size=9999", "--set", "training.steps_per_epoch=null"),
            "batch_size",
        ),
    ],
)
def test_refused(project: SmallProject, arguments: tuple[str, ...], message: str) -> None:
    given = arguments if "--register" in arguments else (*arguments, *OFFLINE)
    assert message in refused(project, "tune", *given)


def test_a_space_that_names_nothing(project: SmallProject) -> None:
    space = project.root / "bad.yaml"
    space.write_text("family: endoscopy\nspace: {model.latnt: {int: [1, 2]}, optimizer.lr: {float: [2, 1]}}\n")
    assert "low is 2 and high is 1" in refused(project, "tune", "--space", "bad.yaml", *OFFLINE)
    space.write_text("family: endoscopy\nspace: {model.latnt: {int: [1, 2]}}\n")
    assert "did you mean 'latent_dim'" in refused(project, "tune", "--space", "bad.yaml", *OFFLINE)


def test_a_tracking_server_that_is_not_there(project: SmallProject) -> None:
    message = refused(project, "tune", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert "did not answer" in message and "--offline" in message


def test_a_corrupt_array(project: SmallProject) -> None:
    path = project.root / "artifacts/prepared/endoscopy/train.npy"
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    try:
        message = refused(project, "tune", *OFFLINE)
        assert "train.npy" in message and "SHA-256" in message
    finally:
        path.write_bytes(sound)


def test_data_that_are_not_there(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    (project.root / "data").rename(project.root / "elsewhere")
    assert "data/endoscopy: not there" in refused(project, "tune", *OFFLINE)


def test_the_sample_beside_own_pictures(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    skin = project.root / "data/endoscopy/skin"
    skin.mkdir()
    Image.new("RGB", (400, 200)).save(skin / "image.png")
    Image.new("L", (400, 200), 1).save(skin / "labels.png")
    assert "beside class folders" in refused(project, "prepare")


def test_steps_without_what_they_need(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    for step in ("evaluate", "export", "register"):
        assert "vaeforge tune" in refused(project, step)
    assert "search 'none': not found in" in refused(project, "sync", "--name", "none")
    assert "must be the name of one folder in" in refused(project, "sync", "--name", "../searches/none")


def test_balancing_classes_of_data_without_any_is_refused_before_anything_starts(project: SmallProject) -> None:
    output = project.run("tune", "--name", "balanced", "--set", "training.balance=true", code=2)
    assert "training.balance: got true, but the data have no classes" in output
    assert "Warning" not in output
    assert not project.events("balanced")
