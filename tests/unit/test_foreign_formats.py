"""Files that no reader takes are refused with what to do, wherever they turn up."""

import io
import os
from pathlib import Path

import pytest

from project import command_line
from vaeforge.data.decoding import is_counted_slowly, pixels_in
from vaeforge.data.file_format import file_formats, unread
from vaeforge.data.foreign_formats import INSTEAD
from vaeforge.errors import DataError
from vaeforge.score.files import find

FAMILIES = {"endoscopy": ".czi", "cilia": ".avi", "speckle": ".ser", "fmri": ".nrrd", "lipid": ".raw"}


def test_what_is_read_is_not_among_them() -> None:
    assert not {*INSTEAD} & {suffix for one in file_formats() for suffix in one.suffixes}
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in INSTEAD)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_import_says_what_to_do(tmp_path: Path, family: str) -> None:
    for folder in ("normal", "other"):
        (tmp_path / "set" / folder).mkdir(parents=True)
        for number in range(3):
            (tmp_path / f"set/{folder}/x_{number}{FAMILIES[family].upper()}").write_bytes(b"nothing")
    (tmp_path / "set/normal/none.xyz").write_bytes(b"")
    done = command_line(tmp_path, "import", "set", "--family", family, "--track", "false")
    said = " ".join((done.stdout + done.stderr).split())
    assert done.code == 2 and INSTEAD[FAMILIES[family]] in said, said


def test_a_scoring_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.nd2").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"give a folder or a file with some; a\.nd2: export it as OME-TIFF"):
        find(tmp_path)
    assert unread(tmp_path / "a.xyz", "picture").endswith(".webp")


def test_the_name_of_an_upload_is_no_file_to_look_into(tmp_path: Path) -> None:
    """A pipe of that name would be waited for."""
    for suffix in ("mat", "h5", "dcm", "imzml"):
        os.mkfifo(tmp_path / f"a.{suffix}")
        with pytest.raises(DataError):
            pixels_in(tmp_path / f"a.{suffix}", io.BytesIO(b"nothing"))
        assert is_counted_slowly(tmp_path / f"a.{suffix}", io.BytesIO(b"nothing")) == (suffix == "dcm")
