"""Files of whose headers something is not so: one sentence, nothing of other files read, nothing made of that size."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
import scipy.io
from nibabel.gifti import GiftiDataArray, GiftiImage

from format_files import SERIES, VOLUME, WRITERS, read_all
from vaeforge.data import announced_size
from vaeforge.data.announced_size import SMALL, require_memory, require_room
from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.file_format import FORMATS, format_of
from vaeforge.data.volume_file import canonical, open_nifti
from vaeforge.errors import DataError

ENCODED = "GIFTI_ENCODING_B64GZ"


def read(path: Path) -> list[Any]:
    found = format_of(path)
    assert found is not None
    return read_all(found, path)


def tiny(name: str, folder: Path) -> Path:
    path = folder / f"a{FORMATS.named(name).suffixes[0]}"
    WRITERS[name](path)
    return path


def replaced(path: Path, old: bytes, new: bytes) -> Path:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    return path


def gifti(folder: Path) -> Path:
    arrays = [GiftiDataArray(row, intent="NIFTI_INTENT_TIME_SERIES", encoding=ENCODED) for row in SERIES]
    nibabel.save(GiftiImage(darrays=arrays), folder / "a.func.gii")
    return folder / "a.func.gii"


@pytest.mark.parametrize("word", [b"ExternalFileBinary", b"External", b"GIFTI_ENCODING_EXTBIN", b"&#69;xternal"])
def test_gifti_opens_no_other_file_whatever_the_encoding_is_called(tmp_path: Path, word: bytes) -> None:
    SERIES[0].tofile(tmp_path / "values.bin")
    path = replaced(gifti(tmp_path), b'"GZipBase64Binary"', b'"%s" ExternalFileName="values.bin"' % word)
    path.write_bytes(path.read_bytes().replace(b'ExternalFileName=""', b""))
    with pytest.raises(DamagedFileError, match="keeps its values in another file"):
        read(path)


def test_gifti_that_holds_more_than_it_announces_is_not_unpacked(tmp_path: Path) -> None:
    with pytest.raises(DamagedFileError, match=r"an array announces \[2\] and holds more"):
        read(replaced(gifti(tmp_path), b'Dim0="4"', b'Dim0="2"'))


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'Dimensionality="1"', b'Dimensionality="2"'), (b'Dim0="4"', b'Dim0="-4"'), (b'Dim0="4"', b'Dim0="5"')],
)
def test_gifti_of_other_shapes_is_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    with pytest.raises(DamagedFileError, match=r"a\.func\.gii: (cannot be read as GIFTI|an array announces)"):
        read(replaced(gifti(tmp_path), old, new))


def test_gifti_without_values_is_refused(tmp_path: Path) -> None:
    path = gifti(tmp_path)
    content = path.read_bytes()
    begin, end = content.index(b"<Data>"), content.index(b"</Data>") + len(b"</Data>")
    path.write_bytes(content[:begin] + content[end:])
    with pytest.raises(DamagedFileError, match=r"a\.func\.gii: "):
        read(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b'IndexCount="4"', b'IndexCount="9"', "its axes tell of 9 brainordinates, its values are of 4"),
        # far beyond what any time is: nothing of that size is computed
        (b'SeriesExponent="0"', b'SeriesExponent="99"', "its times are multiplied by 10 to the power of 99"),
        (b"<Matrix>", b"<Matrlx>", "cannot be read as CIFTI"),
        (b'IndexCount="4"', b'IndexCount="x"', "cannot be read as CIFTI"),
    ],
)
def test_cifti_whose_axes_do_not_fit_is_refused(tmp_path: Path, old: bytes, new: bytes, said: str) -> None:
    path = tiny("cifti", tmp_path)
    content = path.read_bytes()
    changed = content.replace(old, new)
    if len(changed) > len(content):  # the text is padded with zeros, which take up the difference
        place = changed.index(b"</CIFTI>") + len(b"</CIFTI>")
        more = len(changed) - len(content)
        assert changed[place : place + more] == b"\0" * more
        changed = changed[:place] + changed[place + more :]
    path.write_bytes(changed)
    with pytest.raises(DamagedFileError, match=said):
        read(path)


@pytest.mark.filterwarnings("ignore")  # nibabel leaves the file open where it raises
@pytest.mark.parametrize("side", [0, -1, 2**30])
def test_mgh_of_other_sides_is_refused(tmp_path: Path, side: int) -> None:
    path = tiny("mgh", tmp_path)
    content = bytearray(path.read_bytes())
    content[4:8] = side.to_bytes(4, "big", signed=True)
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"a\.mgh: (cannot be read as MGH|announces)"):
        read(path)


def test_an_affine_that_leaves_an_axis_out_is_refused(tmp_path: Path) -> None:
    path = tiny("nifti", tmp_path)
    content = bytearray(path.read_bytes())
    content[312:328] = bytes(16)  # srow_z
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"its axes cannot be told .* mend its affine"):
        canonical(open_nifti(path), path)


def test_variables_of_matlab_that_share_a_name_are_refused(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"one": SERIES, "two": SERIES[:2]})
    replaced(tmp_path / "a.mat", b"two", b"one")
    with pytest.raises(DamagedFileError, match="variables that share a name"):
        read(tmp_path / "a.mat")


def test_a_data_set_that_holds_none_of_its_many_values_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("one", (30_000_000,), np.float64, chunks=(1000,))
    assert (tmp_path / "a.h5").stat().st_size < 10_000
    with pytest.raises(DamagedFileError, match=r"one announces \(30000000,\), more than"):
        read(tmp_path / "a.h5")
    with h5py.File(tmp_path / "small.h5", "w") as file:
        file.create_dataset("one", (3, 4), np.float64, fillvalue=2.0)
    np.testing.assert_array_equal(read(tmp_path / "small.h5")[0], np.full((3, 4), 2.0))


@pytest.mark.parametrize("attribute", ["_index", "column-order"])
def test_anndata_reads_columns_of_its_own_frames_alone(tmp_path: Path, attribute: str) -> None:
    path = tiny("anndata", tmp_path)
    with h5py.File(path, "r+") as file:
        file["elsewhere"] = list(map(str, range(8)))
        file["obs"].attrs[attribute] = "/elsewhere" if attribute == "_index" else ["/elsewhere"]
    with pytest.raises(DamagedFileError, match="obs has no /elsewhere, which it names"):
        read(path)


def test_categories_that_lie_in_another_file_are_refused(tmp_path: Path) -> None:
    path = tiny("anndata", tmp_path)
    (tmp_path / "other.bin").write_bytes(b"abcdefgh")
    with h5py.File(path, "r+") as file:
        outside = file.create_dataset("outside", (8,), "S1", external=[(str(tmp_path / "other.bin"), 0, 8)])
        file["obs/who"] = np.arange(8)
        file["obs/who"].attrs["categories"] = outside.ref  # as anndata 0.7 has it
        file["obs"].attrs["column-order"] = ["who"]
    with pytest.raises(DataError, match="outside lies in another file"):
        read(path)


@pytest.mark.parametrize("change", [lambda file: file.pop("X"), lambda file: file["obs"].attrs.pop("_index")])
def test_anndata_that_lacks_something_is_refused(tmp_path: Path, change: Callable[[Any], Any]) -> None:
    path = tiny("anndata", tmp_path)
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(DataError, match=r"a\.h5ad: "):
        read(path)


def test_sizes_are_held_against_the_file_and_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    require_room("a", "", VOLUME.shape, 4, VOLUME.nbytes)
    for shape in ((3, 3), (-1, -1), (2**20, 2**20)):
        with pytest.raises(DamagedFileError, match="a: x announces"):
            require_room("a", "x", shape, 4, 35)
    monkeypatch.setattr(announced_size, "job_memory", lambda: 2 * SMALL)
    require_memory("a", 2 * SMALL)
    with pytest.raises(DataError, match=r"a: takes 0\.8 GiB at once, and this job may hold 0\.5 GiB"):
        require_memory("a", 3 * SMALL)
