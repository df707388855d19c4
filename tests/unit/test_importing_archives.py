"""Unpacking: nothing is written outside of the folder, unsafe archives are refused whole, nothing stays behind."""

import io
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vaeforge.errors import DataError
from vaeforge.importing import archives
from vaeforge.importing.import_options import ImportOptions, ImportResult, stem
from vaeforge.importing.step import run_import
from vaeforge.importing.zip_names import name_members
from vaeforge.paths import Project

pytestmark = pytest.mark.usefixtures("undrawn")


def picture(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (4, 4), number).save(file, format="PNG")
    return file.getvalue()


FILES = {f"{label}/{number}.png": picture(number) for number, label in enumerate(["a", "b"] * 3)}


def zipped(path: Path, files: dict[str, bytes], prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in files.items():
            packed.writestr(prefix + name, content)
    return path


def tarred(path: Path, files: dict[str, bytes], *extra: tarfile.TarInfo) -> Path:
    with tarfile.open(path, f"w:{path.suffix[1:] if path.suffix != '.tar' else ''}") as packed:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
        for info in extra:
            packed.addfile(info)
    return path


def take(archive: Path, kind: str = "classes", **options: Any) -> ImportResult:
    project = Project(archive.parent / "project")
    return run_import(archive, "cilia", kind, project, ImportOptions(**options))


def refused(archive: Path, message: str) -> None:
    """A refusal says `message`; nothing is anywhere but the archive, and what the test put beside it."""
    before = {path for path in archive.parent.rglob("*") if "project" not in path.parts}
    with pytest.raises(DataError, match=message):
        take(archive)
    assert {path for path in archive.parent.rglob("*") if "project" not in path.parts} == before
    assert not list((archive.parent / "project/data").rglob("*"))


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tar.gz", "set.tar.xz"])
@pytest.mark.parametrize("prefix", ["", "wrapper/"])
def test_archives_are_read_as_the_folder_in_them(tmp_path: Path, name: str, prefix: str) -> None:
    files = {prefix + path: content for path, content in FILES.items()}
    archive = zipped(tmp_path / name, files) if name.endswith("zip") else tarred(tmp_path / name, files)
    result = take(archive)
    assert (result.folder.name, result.counts) == ("set", {"images": 6, "classes": 2})
    assert [path.name for path in result.folder.parent.iterdir()] == ["set"]


def test_what_macos_adds_is_passed_over(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "set.zip", {**FILES, "__MACOSX/a/._0.png": b"fork", ".DS_Store": b"-"})
    assert take(archive).quarantined == 0


@pytest.mark.parametrize(
    "name", ["../outside.png", "a/../../outside.png", "/tmp/outside.png", "C:/x.png", "a\\..\\x.png"]
)
def test_paths_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    refused(zipped(tmp_path / "set.zip", {**FILES, name: b"x"}), r"1 unsafe member\(s\).*(\.\.|absolute)")
    refused(tarred(tmp_path / "set.tar", {**FILES, name: b"x"}), r"1 unsafe member\(s\).*(\.\.|absolute)")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("a/link.png")
    info.type, info.linkname = kind, "/etc/passwd"
    refused(tarred(tmp_path / "set.tar", FILES, info), r"a/link\.png' is a link or a device")


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "set.zip", FILES)
    with zipfile.ZipFile(archive, "a") as packed:
        info = zipfile.ZipInfo("a/link.png")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(info, "/etc/passwd")
    refused(archive, r"a/link\.png' is a link or a device")


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    refused(tarred(tmp_path / "set.tar", {**FILES, "./a/0.png": picture(99)}), r"1 name\(s\) occur twice.*a/0\.png")


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "set.zip", FILES)
    content = bytearray(archive.read_bytes())
    place = content.index(b"PK\x01\x02")
    content[place + 8] |= 1
    archive.write_bytes(content)
    refused(archive, "is encrypted")


def test_archives_larger_than_the_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "BYTES_LIMIT", 10_000)
    large = {**FILES, "a/zeros.png": bytes(20_000)}
    refused(zipped(tmp_path / "set.zip", large), "must be at most .* of 10000 bytes")
    refused(tarred(tmp_path / "set.tar.gz", large), "more than .* members or 10000 bytes")
    monkeypatch.setattr(archives, "MEMBERS_LIMIT", 5)
    refused(zipped(tmp_path / "set.zip", FILES), "must be at most 5 of")


def test_a_member_larger_than_it_says_is_cut_short(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "set.zip", {**FILES, "a/zeros.png": bytes(20_000)})
    content = bytearray(archive.read_bytes())
    place = content.rindex(b"PK\x01\x02")
    struct.pack_into("<I", content, place + 24, 100)  # the size in the directory
    archive.write_bytes(content)
    refused(archive, "cannot be unpacked")


def test_errors_name_the_archive_and_not_where_it_was_unpacked(tmp_path: Path) -> None:
    files = {name: content for name, content in FILES.items() if name != "b/5.png"}
    refused(zipped(tmp_path / "set.zip", files), r"/set\.zip: 1 class\(es\).* b has 2 usable of 2")


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tar.gz"])
def test_damaged_archives_are_refused(tmp_path: Path, name: str) -> None:
    archive = zipped(tmp_path / name, FILES) if name.endswith("zip") else tarred(tmp_path / name, FILES)
    whole = archive.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], np.random.default_rng(0).bytes(5000)):
        archive.write_bytes(damaged)
        refused(archive, "set.*: cannot be unpacked")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sub-01.nii.gz", "sub-01"),
        ("set.TAR.GZ", "set"),
        ("v1.2", "v1.2"),
        ("a.b.csv", "a.b"),
        (".png", ".png"),
        ("kvasir-dataset-v2.zip", "kvasir-dataset-v2"),
    ],
)
def test_a_name_loses_its_suffix(name: str, expected: str) -> None:
    assert stem(name) == expected


def named(path: Path, placeholder: str, raw: bytes) -> Path:
    """A zip of which one class has the name `raw`, in bytes, without the flag of UTF-8."""
    assert len(placeholder) == len(raw)
    content = zipped(path, {name.replace("a/", f"{placeholder}/"): data for name, data in FILES.items()}).read_bytes()
    path.write_bytes(content.replace(placeholder.encode() + b"/", raw + b"/"))
    return path


@pytest.mark.parametrize(("raw", "way"), [("Färbung".encode(), "UTF-8"), (b"F\x84rbung", "cp437")])
def test_names_without_their_encoding_are_read_and_told(tmp_path: Path, raw: bytes, way: str) -> None:
    """0x84 is ä in cp437, and no UTF-8."""
    result = take(named(tmp_path / "set.zip", "X" * len(raw), raw))
    assert {path.name for path in result.folder.iterdir() if path.is_dir()} == {"Färbung", "b", ".import"}
    assert any("3 name(s) in the zip" in note and f"Färbung/0.png ({way})" in note for note in result.notes)


@pytest.mark.parametrize(("about", "label"), [(b"F\x84rbung/0.png", "Größe"), (b"other", "Färbung")])
def test_the_extra_field_of_info_zip_names_a_member_if_it_is_of_that_name(about: bytes, label: str) -> None:
    """The field holds a version, the CRC-32 of the name in the header, and the name in UTF-8."""
    told = struct.pack("<BI", 1, zlib.crc32(about)) + "Größe/0.png".encode()
    info = zipfile.ZipInfo(b"F\x84rbung/0.png".decode("cp437"))
    info.extra = struct.pack("<HH", 0x5455, 1) + b"x" + struct.pack("<HH", 0x7075, len(told)) + told
    name_members([info])
    assert info.filename == f"{label}/0.png"


def test_a_name_in_the_extra_field_is_as_untrusted_as_any(tmp_path: Path) -> None:
    raw = b"F\x84rbung/0.png"
    told = struct.pack("<BI", 1, zlib.crc32(raw)) + b"../../evil.png"
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as packed:
        info = zipfile.ZipInfo("FXrbung/0.png")
        info.extra = struct.pack("<HH", 0x7075, len(told)) + told
        packed.writestr(info, picture(1))
    path.write_bytes(path.read_bytes().replace(b"FXrbung/0.png", raw))
    refused(path, r"evil\.png' has \.\. in its path")
