"""Missing values of whole maps, from a file to a score: kept, in no likelihood and no metric, as pandas tells."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas
import pytest
import torch

from packaged_sample import packaged, prepared_model
from project import command_line
from samples import SMALL
from scoring import scores_of
from vaeforge.evaluation.tasks.maps.evaluation import evaluate
from vaeforge.package.contract import read_contract

pytestmark = pytest.mark.usefixtures("undrawn")

POINTS, CHANNELS = 240, 9
MODEL = {f"model__{key}": value for key, value in SMALL["lipid"].items()} | {"prepare__reading": "maps"}
NAMES = [f"PC {30 + 2 * number}:1" for number in range(CHANNELS)]


def table() -> pandas.DataFrame:
    """Smooth maps, an eighth of whose cells is empty: most points lack a value; point 5 has one in a single map."""
    rng = np.random.default_rng(0)
    places = pandas.DataFrame(rng.uniform(0, 10, (POINTS, 3)).round(3), columns=["x", "y", "z"])
    values = np.sin(places.to_numpy() @ rng.normal(0, 0.3, (3, CHANNELS))) + rng.normal(3, 0.1, (POINTS, CHANNELS))
    values[rng.random(values.shape) < 0.125] = np.nan
    values[5, 1:] = np.nan
    return places.join(pandas.DataFrame(values.astype(np.float32), columns=NAMES))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("maps")
    (folder / "params.yaml").write_text("family: lipid\nlipid:\n  prepare: {reading: maps}\n")
    table().to_csv(folder / "brain.csv", index=False)
    for command in (("import", "brain.csv", "--family", "lipid"), ("prepare", "--family", "lipid")):
        done = command_line(folder, *command)
        assert done.code == 0, done.stderr
    return folder


def prepared(root: Path) -> dict[str, Any]:
    folder = root / "artifacts/prepared/lipid"
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    with np.load(folder / "constants.npz") as constants:
        found["constants"] = dict(constants)
    return found | {part: np.load(folder / f"{part}.npy") for part in ("train", "validation", "test")}


@pytest.mark.slow
def test_no_point_is_lost_and_maps_are_scaled_by_what_is_there(root: Path) -> None:
    found = prepared(root)
    units = found["info"]["units"]
    # point 5 is nobody's where its one map does not train
    kept = table()[NAMES] if NAMES[0] in units["train"] else table()[NAMES].drop(index=5)
    assert table()[NAMES].isna().any(axis=1).mean() > 0.5  # they would have been refused, as too many points lack some
    assert found["counts"]["points"] == len(kept)
    assert found["counts"]["missing_values"] == int(kept.isna().sum().sum())
    scaled = (kept - kept.mean()) / kept.std(ddof=0)
    for part in ("train", "validation", "test"):
        np.testing.assert_allclose(found[part], scaled[units[part]].T, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found["constants"]["fill"], scaled[units["train"]].mean(axis=1), rtol=1e-3, atol=1e-5)


@pytest.mark.long
def test_the_same_table_is_scored_by_what_is_there(root: Path) -> None:
    """By hand: the graph gets the mean of the training maps; the error is the mean over the cells that are there."""
    package = packaged(root, "lipid", **MODEL)
    assert read_contract(package / "contract.json").missing
    kept = table() if len(prepared(root)["train"][0]) == POINTS else table().drop(index=5)
    kept.to_csv(root / "kept.csv", index=False)
    done = command_line(root, "score", str(package), "kept.csv", "--output", "scored")
    assert done.code == 0, done.stdout + done.stderr
    found = scores_of(root / "scored")
    assert found["item"].tolist() == NAMES
    x = ((kept[NAMES] - kept[NAMES].mean()) / kept[NAMES].std(ddof=0)).to_numpy(np.float32).T
    filled = np.where(np.isnan(x), prepared(root)["constants"]["fill"], x)
    session = onnxruntime.InferenceSession(package / "model.onnx")
    named = dict(zip((one.name for one in session.get_outputs()), session.run(None, {"x": filled}), strict=True))
    np.testing.assert_allclose(found["score"], np.nanmean((x - named["reconstruction"]) ** 2, axis=1), rtol=1e-3)


@pytest.mark.slow
def test_metrics_are_of_what_is_there(root: Path) -> None:
    trained = prepared_model(root, "lipid", **MODEL)[2]
    metrics = evaluate(trained).metrics
    assert np.isfinite(list(metrics.values())).all()
    x = torch.tensor(np.array(trained.prepared.test.x))
    with torch.no_grad():
        condition = torch.zeros(len(x), 0)
        found = trained.model.mean(trained.model.decode(trained.model.encode(x, condition).mu, condition)).numpy()
    pairs = [(own, answer, np.isfinite(own)) for own, answer in zip(x.numpy(), found, strict=True)]
    correlations = [np.corrcoef(own[known], answer[known])[0, 1] for own, answer, known in pairs]
    assert metrics["test/pearson"] == pytest.approx(np.mean(correlations), rel=1e-4)
