"""The data identity changes with what changes the arrays, and with nothing else."""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from vaeforge.data import data_hash
from vaeforge.data.data_hash import data_identity, dvc_hash, list_files
from vaeforge.data.layouts.pictures.settings import PictureSettings
from vaeforge.errors import DataError

KNOWN = "0123456789abcdef0123456789abcdef.dir"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, content in (("normal/a.png", b"a"), ("normal/b.png", b"b"), ("polyps/c.png", b"c")):
        path = tmp_path / "data/endoscopy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path


def identity(root: Path, **settings: float) -> str:
    return data_identity(list_files(root / "data/endoscopy"), PictureSettings().model_copy(update=settings))


def put_under_dvc(root: Path) -> None:
    """What `dvc add data` leaves: a pointer, and the listing of the folder in the cache."""
    (root / "data.dvc").write_text(f"outs:\n- md5: {KNOWN}\n  path: data\n")
    listing = [
        {"md5": hashlib.md5(path.read_bytes()).hexdigest(), "relpath": path.relative_to(root / "data").as_posix()}
        for path in (root / "data").rglob("*.png")
    ]
    cached = root / ".dvc/cache/files/md5" / KNOWN[:2] / KNOWN[2:]
    cached.parent.mkdir(parents=True)
    cached.write_text(json.dumps(listing))


def test_the_listing_is_sorted_and_holds_dvcs_own_checksum(root: Path) -> None:
    listing = list_files(root / "data/endoscopy")
    assert [path for path, _ in listing] == ["normal/a.png", "normal/b.png", "polyps/c.png"]
    assert listing[0][1] == "0cc175b9c0f1b6a831c399e269772661"  # md5 of "a"


def test_another_family_changes_nothing(root: Path) -> None:
    before = identity(root)
    (root / "data/cilia").mkdir()
    (root / "data/cilia/x.png").write_bytes(b"x")
    assert identity(root) == before


def test_content_names_and_settings_count(root: Path) -> None:
    found = {identity(root), identity(root, stride=16), identity(root, seed=1), identity(root, test=0.4)}
    folder = root / "data/endoscopy"
    (folder / "normal/a.png").rename(folder / "normal/d.png")
    found.add(identity(root))
    (folder / "normal/d.png").write_bytes(b"A")
    found.add(identity(root))
    assert len(found) == 6


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no files; run `dvc pull`"):
        list_files(tmp_path / "empty")


def test_no_dvc_hash_where_data_are_not_under_dvc(root: Path) -> None:
    assert dvc_hash(root, "endoscopy", list_files(root / "data/endoscopy")) is None


def test_the_dvc_hash_of_what_was_added(root: Path) -> None:
    put_under_dvc(root)
    assert dvc_hash(root, "endoscopy", list_files(root / "data/endoscopy")) == KNOWN


@pytest.mark.parametrize("change", ["normal/a.png", "normal/new.png"])
def test_no_dvc_hash_for_data_that_were_changed_since(root: Path, change: str) -> None:
    put_under_dvc(root)
    (root / "data/endoscopy" / change).write_bytes(b"changed")
    assert dvc_hash(root, "endoscopy", list_files(root / "data/endoscopy")) is None


def test_a_change_in_another_family_keeps_the_dvc_hash(root: Path) -> None:
    (root / "data/cilia").mkdir()
    (root / "data/cilia/x.png").write_bytes(b"x")
    put_under_dvc(root)
    (root / "data/cilia/x.png").unlink()
    assert dvc_hash(root, "endoscopy", list_files(root / "data/endoscopy")) == KNOWN


def test_without_a_listing_in_the_cache_the_pointer_is_believed(root: Path) -> None:
    (root / "data.dvc").write_text(f"outs:\n- md5: {KNOWN}\n  path: data\n")
    assert dvc_hash(root, "endoscopy", list_files(root / "data/endoscopy")) == KNOWN


def test_a_file_is_read_once_until_it_is_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, changed = root / "data/endoscopy", root / "data/endoscopy/normal/b.png"
    seen, read = list[str](), data_hash._read

    def counted(path: Path) -> str:
        seen.append(path.name)
        return read(path)

    monkeypatch.setattr(data_hash, "_read", counted)
    list_files(folder)
    list_files(folder)
    assert sorted(seen) == ["a.png", "a.png", "b.png", "b.png", "c.png", "c.png"]  # written just now
    monkeypatch.setattr(data_hash, "SETTLED", 0)  # as if these files had been there for long
    first = list_files(folder)
    seen.clear()
    assert list_files(folder) == first and seen == []
    before = changed.stat()
    time.sleep(0.02)  # longer than the steps in which file systems count
    changed.write_bytes(b"B")
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))  # of the same size, and dated as before
    assert dict(list_files(folder))["normal/b.png"] == hashlib.md5(b"B").hexdigest() and seen == ["b.png"]
