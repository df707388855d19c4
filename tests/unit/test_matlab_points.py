"""MATLAB's variables as tables of points, of both versions: what is a column, what is left out and said."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.file_format import TableRequest, format_of
from vaeforge.data.table import Table

RNG = np.random.default_rng(0)
X, Y, A = RNG.normal(size=(3, 7, 1))
PLACES, VALUES = RNG.normal(size=(7, 3)), RNG.normal(size=(7, 2))


def save(path: Path, variables: dict[str, Any], new: bool) -> None:
    if not new:
        scipy.io.savemat(path, variables)
        return
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in variables.items():
            file[name] = np.asarray(values, dtype=np.float64).T
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as opened:
        opened.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def read(path: Path) -> Table:
    found = format_of(path)
    assert found is not None and found.table is not None
    return found.table(path, TableRequest())


@pytest.mark.parametrize("new", [False, True])
def test_vectors_are_columns_whichever_way_they_lie(new: bool, tmp_path: Path) -> None:
    save(tmp_path / "a.mat", {"x": X, "y": Y.T, "a": A, "spacing": np.ones((1, 3)), "scale": np.ones((1, 1))}, new)
    table = read(tmp_path / "a.mat")
    assert {name: column.shape for name, column in table.columns.items()} == {"x": (7,), "y": (7,), "a": (7,)}
    np.testing.assert_array_equal(table.columns["y"], Y[:, 0])
    assert table.notes == ("variables scale; spacing have no number for each point; left out",)


@pytest.mark.parametrize("new", [False, True])
def test_coordinates_and_values_are_matrices(new: bool, tmp_path: Path) -> None:
    save(tmp_path / "a.mat", {"coordinates": PLACES, "values": VALUES}, new)
    columns = read(tmp_path / "a.mat").columns
    assert list(columns) == ["x", "y", "z", "channel_0", "channel_1"]
    np.testing.assert_array_equal(columns["z"], PLACES[:, 2])
    np.testing.assert_array_equal(columns["channel_1"], VALUES[:, 1])


def test_a_file_without_numbers_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.mat", {"name": "text"}, new=False)
    with pytest.raises(DamagedFileError, match="holds no variable of numbers"):
        read(tmp_path / "a.mat")
