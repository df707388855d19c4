"""Series whose files share a name, texts with two rows of names or one of units, CIFTI: read, or how to mend them."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas
import pytest

from project import Called, command_line

pytestmark = pytest.mark.usefixtures("undrawn")

NAMES = ["V1", "V2", "M1"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text("family: fmri\nfmri: {}\n")
    (tmp_path / "runs").mkdir()
    return tmp_path


def values(seed: int, steps: int = 12) -> pandas.DataFrame:
    return pandas.DataFrame(np.random.default_rng(seed).normal(size=(steps, 3)).round(4), columns=NAMES)


def write(path: Path, seed: int, *lines: str) -> None:
    """A CSV with names, then some lines, then numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = values(seed).to_csv(index=False).splitlines()
    path.write_text("\n".join([text[0], *lines, *text[1:]]) + "\n")


def call(root: Path, *options: str) -> Called:
    return command_line(root, "import", "runs", "--family", "fmri", *options)


def imported(root: Path, *options: str) -> tuple[dict[str, np.ndarray], str]:
    """The series by name, and what was said."""
    done = call(root, *options)
    assert done.code == 0, done.stderr
    with np.load(root / "data/fmri/runs/timeseries.npz") as archive:
        return {name: archive[name] for name in archive.files}, " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["mm,mm,s"], "line 2 holds words (mm, mm, s), must hold numbers: remove it if it is a second row of names"),
        (["Vis,Vis,SomMot"], "line 2 holds words (Vis, Vis, SomMot)"),
        (["Vis,Vis,SomMot", "%,%,%"], "line 2 holds words (Vis, Vis, SomMot)"),
        (["1,2,3"], "line 2 holds whole numbers (1, 2, 3, …) over values that are none: remove it if they are labels"),
        (["1,2,3", "%,%,%"], "line 3 holds words (%, %, %)"),
    ],
)
def test_a_second_row_of_names_or_units_is_refused_with_its_line(root: Path, lines: list[str], message: str) -> None:
    for person in range(5):
        write(root / f"runs/sub-{person}.csv", person, *lines)
    done = call(root)
    said = " ".join(done.stderr.split())
    assert done.code == 2 and message in said and "sub-0.csv" in said and not (root / "data").exists()


def test_one_file_with_units_is_left_out_with_its_line(root: Path) -> None:
    for person in range(5):
        write(root / f"runs/sub-{person}.csv", person, *(["mm,mm,s"] if person == 3 else []))
    found, said = imported(root)
    assert sorted(found) == ["sub-0", "sub-1", "sub-2", "sub-4"] and "1 quarantined" in said
    with (root / "data/fmri/runs/.import/quarantine.csv").open(newline="") as file:
        ((item, reason),) = csv.reader(list(file)[1:])
    assert item == "sub-3.csv" and reason.startswith("line 2 holds words (mm, mm, s)")


def test_values_that_begin_with_missing_or_round_ones_are_no_names(root: Path) -> None:
    write(root / "runs/sub-0.csv", 0, ",,", "NA,NaN,n/a", "1,2,0.5")
    write(root / "runs/sub-1.csv", 1, "1,1,0")
    found, _ = imported(root)
    expected = np.vstack([[[1, 2, 0.5]], values(0).to_numpy()]).astype(np.float32)
    np.testing.assert_array_equal(found["sub-0"], expected)  # two timepoints without any value are left out
    assert found["sub-1"].shape == (13, 3) and found["sub-1"][0].tolist() == [1, 1, 0]


def test_a_text_of_names_alone_is_refused(root: Path) -> None:
    (root / "runs/sub-0.csv").write_text("V1,V2,M1\n")
    done = call(root)
    assert done.code == 2 and "sub-0.csv" in done.stderr and "Traceback" not in done.stderr


def test_a_column_of_words_is_named(root: Path) -> None:
    for person in range(3):
        table = values(person).assign(network="rest")
        table.to_csv(root / f"runs/sub-{person}.csv", index=False)
    done = call(root)
    assert done.code == 2
    assert "column 'network' holds words ('rest'), must be numbers; remove it" in " ".join(done.stderr.split())


def test_files_that_share_a_name_are_called_as_their_folders(root: Path) -> None:
    for person in range(1, 6):
        (root / f"runs/sub-0{person}").mkdir()
        np.savetxt(root / f"runs/sub-0{person}/dr_stage1.txt", values(person))
    found, said = imported(root)
    assert sorted(found) == [f"sub-0{person}" for person in range(1, 6)]
    for person in range(1, 6):
        np.testing.assert_array_equal(found[f"sub-0{person}"], values(person).to_numpy().astype(np.float32))
    assert "5 series are named by their folders, as files share a name: sub-01 (sub-01/dr_stage1.txt)" in said


def test_folders_that_differ_name_runs_and_people_stay_groups(root: Path) -> None:
    for person in range(1, 6):
        for session in (1, 2):
            folder = root / f"runs/sub-0{person}/ses-{session}/func"
            folder.mkdir(parents=True)
            for run in (1, 2):
                np.savetxt(folder / f"run-{run}.txt", values(100 * person + 10 * session + run))
    found, said = imported(root)
    assert sorted(found)[:4] == [f"sub-01_ses-{session}_run-{run}" for session in (1, 2) for run in (1, 2)]
    assert len(found) == 20 and "20 series are 5 groups" in said
    assert command_line(root, "prepare", "--family", "fmri").code == 0
    units = json.loads((root / "artifacts/prepared/fmri/manifest.json").read_text())["info"]["units"]
    people = [{name[:6] for name in names} for names in units.values()]
    assert sum(map(len, people)) == 5 == len(set.union(*people))


def test_people_of_one_name_at_two_sites_keep_their_names(root: Path) -> None:
    for site, first in (("bonn", 0), ("jena", 5)):
        for person in range(2):
            write(root / f"runs/{site}/sub-{person}.csv", first + person)
    assert sorted(imported(root, "--groups", "none")[0]) == ["bonn_sub-0", "bonn_sub-1", "jena_sub-0", "jena_sub-1"]


def test_columns_in_another_order_are_refused(root: Path) -> None:
    for person in range(4):
        columns = ["V1", "M1", "V2"] if person == 2 else NAMES
        values(person)[columns].to_csv(root / f"runs/sub-{person}.csv", index=False)
    done = call(root, "--yes", "true")
    said = " ".join(done.stderr.split())
    assert done.code == 2 and not (root / "data").exists()
    assert "sub-2.csv has the columns of sub-0.csv in another order (voxel 1 from 0 is 'M1', not 'V2')" in said


def test_other_names_are_asked_about_and_yes_takes_them_in_order(root: Path) -> None:
    for person in range(4):
        names = {name: f"{name}_{person}" for name in NAMES} if person == 2 else {}
        values(person).rename(columns=names).to_csv(root / f"runs/sub-{person}.csv", index=False)
    done = call(root)
    said = " ".join(done.stderr.split())
    assert done.code == 2 and "columns of 1 series are called otherwise than those of sub-0.csv" in said
    assert "first 'V1_2' in sub-2.csv, which is 'V1' there" in said and not (root / "data").exists()
    found, _ = imported(root, "--yes", "true")
    np.testing.assert_array_equal(found["sub-2"], values(2).to_numpy().astype(np.float32))


def test_a_column_that_one_file_lacks_is_named(root: Path) -> None:
    for person in range(4):
        values(person)[NAMES[person == 2 :]].to_csv(root / f"runs/sub-{person}.csv", index=False)
    done = call(root, "--transposed", "false")
    said = " ".join(done.stderr.split())
    assert done.code == 2 and "2 different numbers of voxels" in said and "'V1' is not in sub-2.csv" in said
