"""A look at a source: what an import and a prepare would make of it, and what looks wrong; nothing below data/."""

import json
import re
from pathlib import Path

import numpy as np
import pandas
import pytest

from project import command_line
from vaeforge.importing.columns import Table
from vaeforge.importing.formats import points
from vaeforge.importing.import_options import ImportOptions
from vaeforge.importing.tables import read_table

pytestmark = pytest.mark.usefixtures("undrawn")

DONORS = [f"d{number}" for number in range(6)]
N = 600


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame(rng.normal(size=(N, 6)), columns=[*"xyz", "PC 34:1", "PC 36:2", "SM 18:0"])
    frame.assign(animal=np.repeat(DONORS, N // 6), grade=rng.integers(0, 3, N)).to_csv(tmp_path / "a.csv", index=False)
    return tmp_path / "a.csv"


def test_what_would_be_read_and_divided_is_said(tmp_path: Path, table: Path) -> None:
    called = command_line(tmp_path, "inspect", "a.csv", "--family", "lipid")
    assert called.code == 2  # import would ask
    said = called.stdout
    assert "a.csv: read as points for lipid: 600 points, 3 channels" in said
    assert "groups by column 'animal': 6 donors" in said
    assert "question: is column 'grade' a channel?" in said
    assert not (tmp_path / "data").exists()
    names = {path.name for path in (tmp_path / "artifacts/inspect/a").iterdir()}
    assert names >= {"places.png", "statistics.csv", "summary.csv", "left_out.csv"}


def test_it_counts_as_import_and_prepare_do(tmp_path: Path, table: Path) -> None:
    call = ("a.csv", "--family", "lipid", "--channels", "!grade")
    called = command_line(tmp_path, "inspect", *call, "--json", "true")
    assert called.code == 0
    found = json.loads(called.stdout)
    split = found["split"]
    assert (found["questions"], found["problems"]) == ([], [])
    # whole donors of 100 points
    assert [split[part] % 100 for part in ("train", "validation", "test")] == [0, 0, 0]
    assert sum(split[part] for part in ("train", "validation", "test")) == N
    assert split["test_groups"] * 100 == split["test"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y,z,a\n1,2,3,4\n2,3\n", "refused: .*line 3 has 2 cells"),
        ("x,y,z,a\n1,2,3,4.5\n2,2,3,5.25\n", "refused: .*block"),
    ],
)
def test_why_it_would_be_refused_is_said(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "b.csv").write_text(text)
    called = command_line(tmp_path, "inspect", "b.csv", "--family", "lipid")
    assert called.code == 2 and re.search(message, called.stdout)


def test_without_a_family_all_that_could_read_it_are_named(tmp_path: Path, table: Path) -> None:
    (tmp_path / "params.yaml").write_text("family: endoscopy\n")
    called = command_line(tmp_path, "inspect", "a.csv", "--json", "true")
    found = json.loads(called.stdout)
    assert called.code == 2 and found["family"] == "endoscopy" and found["problems"]
    # a text of numbers and words is no series either
    assert found["families"] == ["lipid (points: 600 points, 3 channels, 0 rows_dropped)"]
    said = command_line(tmp_path, "inspect", "a.csv").stdout
    assert "families that could read it: lipid (points: 600 points" in said and "say --family" in said
    assert "families that could" not in command_line(tmp_path, "inspect", "a.csv", "--family", "lipid").stdout


def test_a_matrix_may_be_series_or_points(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("family: endoscopy\n")
    frame = pandas.DataFrame(np.random.default_rng(0).normal(size=(30, 5)), columns=["x", "y", "z", "a", "b"])
    frame.to_csv(tmp_path / "b.csv", index=False)
    found = json.loads(command_line(tmp_path, "inspect", "b.csv", "--json", "true").stdout)["families"]
    assert [name.split(" ")[0] for name in found] == ["fmri", "lipid"]


def test_each_kind_reads_a_source_once(tmp_path: Path, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_text("family: lipid\n")
    seen = []

    def counted(path: Path, options: ImportOptions) -> Table:
        seen.append(path.name)
        return read_table(path, options)

    monkeypatch.setattr(points, "read_table", counted)
    found = json.loads(command_line(tmp_path, "inspect", "a.csv", "--json", "true").stdout)
    assert found["families"] == ["lipid (points: 600 points, 3 channels, 0 rows_dropped)"] and seen == ["a.csv"]
