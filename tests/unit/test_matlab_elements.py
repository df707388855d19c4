"""The walk over the elements of a `.mat` file: what scipy reads passes, tags that no file has do not."""

import io
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from vaeforge.data.matlab_elements import DEEPEST, ElementError, require_elements

REAL = sorted((Path(scipy.io.__file__).parent / "matlab/tests/data").glob("*.mat"))


def read_by_scipy(path: Path) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            scipy.io.loadmat(path)
        except Exception:
            return False
    return True


def written(compressed: bool) -> bytes:
    cells = np.empty(2, dtype=object)
    cells[:] = [np.arange(3.0), "text"]
    file = io.BytesIO()
    scipy.io.savemat(file, {"a": np.eye(300), "b": cells, "c": {"d": 1, "e": [2, 3]}}, do_compression=compressed)
    return file.getvalue()


def test_whatever_scipy_reads_passes() -> None:
    sound = [path for path in REAL if read_by_scipy(path)]
    assert len(sound) > 80
    for path in sound:
        require_elements(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_cells_structs_and_large_variables_pass(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(written(compressed))
    require_elements(path)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
def test_a_file_that_ends_too_early_is_said(tmp_path: Path, compressed: bool, share: float) -> None:
    path, content = tmp_path / "a.mat", written(compressed)
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ElementError, match="bytes"):
        require_elements(path)


@pytest.mark.parametrize(
    ("element", "problem"),
    [
        (struct.pack("<II", 263, 0), "type 263, which there is not"),
        (struct.pack("<II", 1, 8) + bytes(8), "type 1 in place of a variable"),
        (struct.pack("<II", 14, 8) + struct.pack("<II", 15, 0), "compressed element within"),
        (struct.pack("<II", 14, 16) + struct.pack("<II", 6, 4000) + bytes(8), "4000 bytes in a variable with 8 left"),
    ],
)
def test_what_no_file_has_is_named(tmp_path: Path, element: bytes, problem: str) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(written(False)[:128] + element)
    with pytest.raises(ElementError, match=problem):
        require_elements(path)


def test_matrices_within_each_other_have_an_end(tmp_path: Path) -> None:
    content = b""
    for _ in range(DEEPEST + 1):
        content = struct.pack("<II", 14, len(content)) + content
    path = tmp_path / "a.mat"
    path.write_bytes(written(False)[:128] + content)
    with pytest.raises(ElementError, match="deep"):
        require_elements(path)
