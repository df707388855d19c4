"""A data set appears whole or not at all, is replaced only when asked, and DVC's answer is told as it is."""

import errno
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from PIL import Image

from vaeforge.errors import ConfigError, DataError
from vaeforge.importing import measured_images
from vaeforge.importing.import_options import ImportOptions, ImportResult
from vaeforge.importing.staging import only_import
from vaeforge.importing.step import run_import
from vaeforge.paths import Project

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return frames(tmp_path / "frames", 3)


def frames(folder: Path, count: int, first: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    for number in range(first, first + count):
        Image.new("L", (4, 4), number).save(folder / f"{number}.png")
    return folder


def take(project: Project, source: Path, **options: Any) -> ImportResult:
    return run_import(source, "speckle", "frames", project, ImportOptions(**options))


def names(project: Project) -> list[str]:
    """Everything in the family's folder, hidden or not."""
    return sorted(path.name for path in project.data("speckle").iterdir())


def test_a_name_that_exists_is_refused_unless_it_is_to_be_replaced(project: Project, source: Path) -> None:
    take(project, source)
    shutil.rmtree(source)
    frames(source, 2, first=100)
    with pytest.raises(DataError, match="speckle/frames: exists already; give another --name, or --replace true"):
        take(project, source)
    assert (project.data("speckle") / "frames/0.png").is_file()
    result = take(project, source, replace=True)
    assert sorted(path.name for path in result.folder.glob("*.png")) == ["100.png", "101.png"]
    assert names(project) == ["frames"]


def test_other_data_sets_of_the_family_are_said(project: Project, source: Path) -> None:
    assert take(project, source).notes == []
    (note,) = take(project, source, name="second").changes
    assert "also holds frames" in note


@pytest.mark.parametrize("existing", [False, True])
def test_a_rename_that_fails_changes_nothing(
    project: Project, source: Path, monkeypatch: pytest.MonkeyPatch, existing: bool
) -> None:
    if existing:
        take(project, source)
        frames(source, 1, first=50)
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.suffix == ".importing":
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(DataError, match=r"could not be imported .*No space left.*nothing was changed"):
        take(project, source, replace=True)
    if existing:
        assert names(project) == ["frames"]
        assert len(list((project.data("speckle") / "frames").glob("*.png"))) == 3
    else:
        assert not project.data("speckle").exists()


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_writing_that_fails_half_way_leaves_nothing(
    project: Project, source: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    written: list[Path] = []

    def failing(pixels: Any, path: Path) -> None:
        if written:
            raise failure
        written.append(path)
        path.write_bytes(b"half")

    monkeypatch.setattr(measured_images, "write_pixels", failing)
    with pytest.raises((DataError, KeyboardInterrupt)):
        take(project, source)
    assert written[0].parent.name == ".frames.importing"
    assert not project.data("speckle").exists()


def test_what_a_killed_import_left_is_tidied_up(project: Project, source: Path) -> None:
    family = project.data("speckle")
    for name in (".frames.importing", ".frames.unpacked", ".lost.replaced", ".kept.replaced", "kept"):
        (family / name).mkdir(parents=True)
        (family / name / "file").write_text(name)
    take(project, source)
    # killed between two renames: the old data set goes back; killed after them: it is removed
    assert names(project) == ["frames", "kept", "lost"]
    assert (family / "lost/file").read_text() == ".lost.replaced"
    assert (family / "kept/file").read_text() == "kept"


def test_a_picture_that_changes_between_check_and_copy_is_refused(
    project: Project, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode, seen = measured_images.decode, []

    def changing(path: Path, content: BinaryIO | None = None) -> Any:
        seen.append(path)
        found = decode(path, content)
        return found if len(seen) <= 3 else replace(found, pixels=np.zeros_like(found.pixels) + 9)

    monkeypatch.setattr(measured_images, "decode", changing)
    with pytest.raises(DataError, match=r"0\.png: changed while it was read"):
        take(project, source)
    assert not project.data("speckle").exists()


def test_two_imports_at_once_are_refused(project: Project, source: Path) -> None:
    with (
        only_import(project.artifacts / "import.lock"),
        pytest.raises(DataError, match="another import runs in this project"),
    ):
        take(project, source)
    take(project, source)


def test_a_source_that_overlaps_with_its_destination_is_refused(project: Project) -> None:
    project.data("speckle").mkdir(parents=True)
    inside = frames(project.data("speckle") / "mine", 3)
    for source in (inside, project.data("speckle"), project.root):
        with pytest.raises(DataError, match="overlaps with"):
            take(project, source, name="mine")
    assert names(project) == ["mine"]


@pytest.mark.parametrize("name", [".hidden", "a/b", "..", "x" * 101, "tab\tbed", " padded "])
def test_names_that_cannot_be_a_folder_are_refused(project: Project, source: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="--name: got"):
        take(project, source, name=name)


def test_unknown_kinds_get_the_nearest(project: Project, source: Path) -> None:
    with pytest.raises(ConfigError, match=r"kind: got 'frame', must be one of .*did you mean 'frames'"):
        run_import(source, "speckle", "frame", project, ImportOptions())


def test_without_dvc_the_data_are_left_untracked(project: Project, source: Path) -> None:
    result = take(project, source)
    assert not result.tracked
    assert "has no .dvc; run `dvc init` if need be, then `dvc add data`" in result.tracking
    assert take(project, source, replace=True, track=False).tracking == "left untracked, as was asked"
    (project.root / ".dvc").mkdir()
    assert "has no data.dvc" in take(project, source, replace=True).tracking


def test_a_failing_dvc_is_told_with_its_reason_and_the_data_stay(project: Project, source: Path) -> None:
    (project.root / ".dvc").mkdir(parents=True)
    (project.root / "data.dvc").write_text("outs: [{path: data, broken: true}]\n")
    result = take(project, source)
    assert not result.tracked
    assert "`dvc add data/speckle/frames` failed (" in result.tracking
    assert "ERROR" in result.tracking
    assert (result.folder / "0.png").is_file()


def test_dvc_that_cannot_be_started_is_told(project: Project, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project.root / ".dvc").mkdir(parents=True)
    (project.root / "data.dvc").write_text("outs: []\n")

    def missing(*arguments: Any, **options: Any) -> Any:
        raise FileNotFoundError(errno.ENOENT, "No such file")

    monkeypatch.setattr(subprocess, "run", missing)
    assert "dvc could not be started" in take(project, source).tracking
