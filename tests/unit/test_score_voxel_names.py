"""Names of voxels on the command line: texts and tables are scored by the names that the imported texts have."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from project import command_line
from scoring import imported, scored, torch_scores
from vaeforge.package.contract import read_contract
from vaeforge_models.vae import VAE

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]  # models are exported
NAMES = ["L_V1", "L_M1", "R_V1", "R_M1", "Thal", "Still"]
KEPT = NAMES[:-1]  # Still is the same at all timepoints
STEPS = 15


def regions(seed: int) -> pandas.DataFrame:
    values = np.random.default_rng(seed).normal(np.arange(6), 1, (STEPS, 6)).round(4).astype(np.float32)
    values[:, -1] = 0
    return pandas.DataFrame(values, columns=NAMES)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, VAE]:
    root = tmp_path_factory.mktemp("named")
    (root / "runs").mkdir()
    for person in range(5):
        regions(person).to_csv(root / f"runs/sub-{person}.csv", index=False)
    return root, imported(root, "fmri", "runs")[1]


def expected(model: VAE) -> Any:
    return torch_scores(model, regions(9)[KEPT].to_numpy())


def test_a_contract_has_the_names_of_the_voxels_that_are_kept(named: tuple[Path, VAE]) -> None:
    assert list(read_contract(named[0] / "bundle/contract.json").channels) == KEPT


@pytest.mark.parametrize(
    ("columns", "suffix"),
    [
        (NAMES, "csv"),
        (NAMES[::-1], "csv"),
        (NAMES[::-1], "parquet"),
        (KEPT[::-1], "tsv"),
        (["Still", *KEPT, "Cerebellum"], "csv"),
        ([name.lower() for name in NAMES], "csv"),
    ],
    ids=["as imported", "reversed", "reversed in parquet", "kept alone", "one more", "in another case"],
)
def test_columns_are_found_by_their_names(named: tuple[Path, VAE], columns: list[str], suffix: str) -> None:
    root, model = named
    table = regions(9).assign(Cerebellum=7.0)
    table.columns = [name.lower() if columns[0].islower() else name for name in table]
    name = f"{'-'.join(columns)}.{suffix}"
    if suffix == "parquet":
        table[columns].to_parquet(root / name)
    else:
        table[columns].to_csv(root / name, index=False, sep="," if suffix == "csv" else "\t")
    np.testing.assert_allclose(scored(root, name)["score"], expected(model), rtol=1e-4)


@pytest.mark.parametrize("form", ["none", "counted", "counted with row numbers"])
def test_columns_without_names_are_taken_in_order(named: tuple[Path, VAE], form: str) -> None:
    root, model = named
    path = root / f"{form.replace(' ', '-')}.csv"
    numbers = form.endswith("row numbers")
    pandas.DataFrame(regions(9).to_numpy()).to_csv(path, header=form != "none", index=numbers)
    np.testing.assert_allclose(scored(root, path.name)["score"], expected(model), rtol=1e-4)


def test_other_names_are_refused_with_the_way_on(named: tuple[Path, VAE]) -> None:
    root, _ = named
    regions(9).rename(columns={"L_M1": "LM1", "Thal": "Thalamus"}).to_csv(root / "other.csv", index=False)
    done = command_line(root, "score", "bundle", "other.csv", "--output", "other")
    assert done.code == 2 and "lacks L_M1, Thal" in done.stderr
    assert "rename them if they are the same voxels, or take the names away" in " ".join(done.stderr.split())


def test_a_name_that_occurs_twice_is_refused(named: tuple[Path, VAE]) -> None:
    root, _ = named
    table = pandas.concat([regions(9), regions(8)[["Thal"]]], axis=1)
    table.to_csv(root / "twice.csv", index=False)
    done = command_line(root, "score", "bundle", "twice.csv", "--output", "twice")
    assert done.code == 2 and "has two columns of the same name: Thal" in " ".join(done.stderr.split())


def test_arrays_have_no_names_and_are_scored_as_before(named: tuple[Path, VAE]) -> None:
    root, model = named
    np.save(root / "all.npy", regions(9).to_numpy())
    np.testing.assert_allclose(scored(root, "all.npy")["score"], expected(model), rtol=1e-4)


def test_names_that_the_user_did_not_hold_to_are_no_part_of_the_contract(tmp_path: Path) -> None:
    """Two sites call their voxels otherwise, and the import was told that they are the same."""
    (tmp_path / "runs").mkdir()
    for person in range(6):
        table = regions(person)[KEPT]
        table.columns = KEPT if person % 2 else [f"roi{place}" for place in range(5)]
        table.to_csv(tmp_path / f"runs/sub-{person}.csv", index=False)
    model = imported(tmp_path, "fmri", "runs", "--yes", "true")[1]
    assert json.loads((tmp_path / "bundle/contract.json").read_text())["channels"] == []
    regions(9)[KEPT].to_csv(tmp_path / "one.csv", index=False)
    np.testing.assert_allclose(scored(tmp_path, "one.csv")["score"], expected(model), rtol=1e-4)
