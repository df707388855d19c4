"""Text tables that are scored: read as an import reads them, with or without a line of names."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from score_contracts import contract
from vaeforge.errors import DataError
from vaeforge.package.contract import Contract
from vaeforge.score.map_table import MapFile
from vaeforge.score.tables import TableFile
from vaeforge.serve.request_parsing import read_numbers

VALUES = np.array([[0.5, -1.25, 3.0], [2.0, 4.5, -0.5], [1.0, 0.0, 7.25]])


def values(path: Path, taken: Contract) -> NDArray[np.float64]:
    return np.concatenate([np.hstack([rows.x, rows.condition]) for rows in TableFile(path, taken).rows(0, 2)])


def written(path: Path, delimiter: str = ",", decimal: str = ".", header: str = "", end: str = "") -> Path:
    lines = [delimiter.join(f"{value}".replace(".", decimal) for value in row) + end for row in VALUES]
    path.write_text("\n".join([*([header] if header else []), *lines]) + "\n")
    return path


@pytest.mark.parametrize(
    ("delimiter", "decimal", "header", "end"),
    [
        (",", ".", "", ""),  # the first line is a sample, not names
        (",", ".", "a,b,c", ""),
        (",", ".", "a,b,c", ","),
        (",", ".", "a,b,c,", ","),
        (";", ",", "a;b;c", ""),
        ("\t", ".", '"a,1"\t"b"\tc', ""),
        (" ", ".", "# TR=2", ""),
    ],
)
def test_texts_are_read_as_they_are_written(
    tmp_path: Path, delimiter: str, decimal: str, header: str, end: str
) -> None:
    path = written(tmp_path / "series.csv", delimiter, decimal, header, end)
    np.testing.assert_array_equal(values(path, contract("series")), VALUES)


def test_a_later_session_goes_on_at_its_row(tmp_path: Path) -> None:
    path = written(tmp_path / "series.csv")
    rows = list(TableFile(path, contract("series")).rows(2, 5))
    assert [(part.names, part.x.tolist()) for part in rows] == [(["2"], [VALUES[2].tolist()])]


def test_points_need_names(tmp_path: Path) -> None:
    points = contract("points", condition=("x", "y"), channels=("chol",), event_shape=(1,))
    path = written(tmp_path / "points.csv", ";", ",", "chol;X;y")
    np.testing.assert_array_equal(values(path, points), VALUES)
    with pytest.raises(DataError, match="has the columns column 1, column 2, column 3, and lacks x, y, chol"):
        TableFile(written(tmp_path / "points.csv"), points)


def test_maps_of_a_text_with_decimal_commas(tmp_path: Path) -> None:
    maps = contract("points", family="lipid", prepare={"log1p": False, "scaling": "minmax"})
    path = written(tmp_path / "maps.csv", ";", ",", "x;chol;SM 18:0")
    (rows,) = MapFile(path, maps).rows(0, 5)
    # chol -1.25, 4.5, 0 and SM 3, -0.5, 7.25, each scaled to its own range
    assert rows.names == ["chol", "SM 18:0"]
    np.testing.assert_allclose(rows.x, [[0, 1, 1.25 / 5.75], [3.5 / 7.75, 0, 1]], rtol=1e-6)


def test_null_in_a_request_is_a_missing_value_to_a_model_that_takes_them() -> None:
    body = b'{"inputs": {"x": [[1.5, null, 2], [null, 0, 3]]}}'
    taken = read_numbers(body, contract("series", missing=True), 8)
    np.testing.assert_array_equal(taken.x, np.array([[1.5, np.nan, 2], [np.nan, 0, 3]], dtype=np.float32))
    with pytest.raises(DataError, match="2 of 6 values are NaN or infinite"):
        read_numbers(body, contract("series"), 8)
    with pytest.raises(DataError, match="sample 1 has no value"):
        read_numbers(b'{"inputs": {"x": [[1, 2, 3], [null, null, null]]}}', contract("series", missing=True), 8)
