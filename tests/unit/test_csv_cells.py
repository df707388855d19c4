"""Names that a spreadsheet would take for formulas, in every CSV that people open; readers get them back."""

import csv
import re
from pathlib import Path

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from project import command_line
from vaeforge.csv_cells import plain_cell

NAME = '=HYPERLINK("x","a")'
UNMARK = re.compile("^'(?='*[=+@\\-\t\r\n\uff1d\uff0b\uff0d\uff20])")


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        *(("=1+1", "'=1+1"), ("+a", "'+a"), ("-a", "'-a"), ("@SUM(A1)", "'@SUM(A1)"), ("\tx", "'\tx"), ("'=a", "''=a")),
        *(("-1.5", "-1.5"), ("+3", "+3"), ("-inf", "-inf"), ("sub-01", "sub-01"), ("'a", "'a"), ("", "")),
    ],
)
def test_only_what_a_spreadsheet_would_compute_is_marked(text: str, cell: str) -> None:
    assert plain_cell(text) == cell


@given(st.text(st.sampled_from("=+-@'a1\t "), max_size=6))
def test_a_reader_gets_every_name_back(text: str) -> None:
    assert UNMARK.sub("", plain_cell(text)) == text


def test_values_that_are_no_texts_stay() -> None:
    assert plain_cell(-1.5) == -1.5 and plain_cell(None) is None


@pytest.mark.usefixtures("undrawn")
def test_tables_of_an_import_hold_no_formulas(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    values = np.random.default_rng(0).normal(size=(3, 20, 5))
    np.savez(tmp_path / "set/runs.npz", **{"=1+1": values[0], "two": values[1], "-3": values[2]})
    (tmp_path / "set" / f"{NAME}.xyz").write_text("no series")
    done = command_line(tmp_path, "import", "set", "--family", "fmri", "--track", "false")
    assert done.code == 0, done.stderr
    report = tmp_path / "artifacts/import/fmri/set"
    subjects = pandas.read_csv(report / "statistics.csv", dtype={"subject": str})["subject"]
    assert subjects.tolist() == ["'=1+1", "two", "-3"]
    assert subjects.str.removeprefix("'").tolist() == ["=1+1", "two", "-3"]
    with (report / "quarantine.csv").open(newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == [f"'{NAME}.xyz"]
