"""Files that no reader takes are refused with what to do, wherever they turn up."""

import io
import os
from pathlib import Path

import pytest

from project import command_line
from vaeforge.data.decoding import is_counted_slowly, pixels_in
from vaeforge.data.file_format import file_formats, unread
from vaeforge.data.foreign_formats import INSTEAD, VENDOR, ZARR, folder_problem
from vaeforge.errors import DataError
from vaeforge.importing.parsed_source import ImportLog
from vaeforge.importing.walk_source import walk
from vaeforge.score.files import find

pytestmark = pytest.mark.usefixtures("undrawn")

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


def test_a_folder_that_is_one_item_is_told_once(tmp_path: Path) -> None:
    store = tmp_path / "set/normal/cells.ome.zarr"
    for chunk in range(20):
        (store / f"0/{chunk}").mkdir(parents=True)
        (store / f"0/{chunk}/0").write_bytes(b"chunk")
    (tmp_path / "set/slide.d").mkdir()
    (tmp_path / "set/slide.d/analysis.tdf").write_bytes(b"frames")
    (tmp_path / "set/group.d").mkdir()  # a name like any other
    (tmp_path / "set/group.d/a.png").write_bytes(b"a picture")
    log = ImportLog()
    files, _ = walk(tmp_path / "set", log)
    assert [path.name for path in files] == ["a.png"]
    told = {item.item: item.reason for item in log.quarantined}
    assert told == {
        "slide.d": f"it is a folder of a format that is not read (.d); {VENDOR}",
        "normal/cells.ome.zarr": f"it is a folder of a format that is not read (.zarr); {ZARR}",
    }
    for source in (store, tmp_path / "set/slide.d"):
        with pytest.raises(DataError, match="a folder of a format that is not read"):
            walk(source, ImportLog())
    with pytest.raises(DataError, match=r"give a folder or a file with some; cells\.ome\.zarr: it is a folder"):
        find(store)
    with pytest.raises(DataError, match=r"cells\.ome\.zarr: it is a folder"):
        find(store.parent)
    assert folder_problem(tmp_path / "set") is None


def test_the_name_of_an_upload_is_no_file_to_look_into(tmp_path: Path) -> None:
    """A pipe of that name would be waited for."""
    for suffix in ("mat", "h5", "dcm", "imzml"):
        os.mkfifo(tmp_path / f"a.{suffix}")
        with pytest.raises(DataError):
            pixels_in(tmp_path / f"a.{suffix}", io.BytesIO(b"nothing"))
        assert is_counted_slowly(tmp_path / f"a.{suffix}", io.BytesIO(b"nothing")) == (suffix == "dcm")
