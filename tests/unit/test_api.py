"""The Python interface: what is exported, what importing it costs, and its tables and models."""

import inspect
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_search_reports import Search
from test_search_reports import full as full

import vaeforge
from scoring import torch_scores, untrained, write_bundle

EXPORTED = {
    "Evaluation", "History", "Model", "Scores", "SearchResult", "TrainedModel", "VaeforgeError", "__version__",
    "evaluate", "export", "load", "load_trained", "train", "tune", "write_report",
}  # fmt: skip
HEAVY = ("torch", "ray", "mlflow", "pandas", "numpy", "onnxruntime", "optuna", "pydantic", "rich")
ROOT = Path(__file__).parents[2]


def test_exactly_the_interface_is_exported() -> None:
    assert set(vaeforge.__all__) == EXPORTED and sorted(vaeforge.__all__) == vaeforge.__all__
    assert set(dir(vaeforge)) >= EXPORTED
    for name in EXPORTED - {"__version__"}:
        assert inspect.getdoc(getattr(vaeforge, name)), name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = vaeforge.nothing


def test_every_argument_is_documented() -> None:
    steps = (vaeforge.tune, vaeforge.train, vaeforge.evaluate, vaeforge.export, vaeforge.write_report)
    for function in (*steps, vaeforge.load):
        text = inspect.getdoc(function) or ""
        for name in inspect.signature(function).parameters:
            assert f"\n    {name}: " in text, f"{function.__name__}: {name}"


def test_the_page_names_what_is_exported() -> None:
    text = (ROOT / "docs/python.md").read_text()
    for name in EXPORTED - {"Scores", "__version__"}:
        assert name in text, name


@pytest.mark.slow
def test_importing_it_imports_nothing_heavy() -> None:
    program = (
        "import sys, vaeforge; "
        f"assert not [name for name in {HEAVY} if name in sys.modules]; "
        # whatever is imported later, what is exported stays what it is
        "import vaeforge.training.lr_schedule, vaeforge.evaluation.intervals; "
        "assert callable(vaeforge.train) and callable(vaeforge.evaluate)"
    )
    environment = {"PYTHONPATH": f"{ROOT / 'platform'}:{ROOT / 'models'}", "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


def test_a_history_is_two_tables(full: Search) -> None:
    history = vaeforge.History("s", full.project.root)
    trials, epochs = history.trials(), history.epochs()
    assert trials.index.tolist() == [0, 1, 2, 3, 4, 5] and trials.index.name == "trial"
    assert trials.loc[0, ["state", "value", "epoch", "val/nelbo", "model.latent_dim"]].tolist() == [
        *("completed", 8.0, 2, 8.0, 12)
    ]
    assert trials.loc[4, "beta.value"] == 0.6  # inherited
    assert trials["repeat_of"].dropna().to_dict() == {5: 0}
    assert epochs.loc[(1, 2), "decision"] == "stop" and epochs.loc[(3, 1), "value"] == 13.0
    assert epochs["val/nelbo"].notna().all() and len(epochs) == 10
    assert history.best_trial == 0
    assert trials["lanes"].tolist() == [1] * 6 and (epochs["lanes"] == 1).all()


def test_a_history_counts_lanes_and_what_each_cost(tmp_path: Path) -> None:
    search = Search(tmp_path)
    search.submit(0)
    search.report_beside(0, 1)
    search.report_beside(0, 2, 1, 2)
    history = vaeforge.History("s", tmp_path)
    assert history.trials().loc[0, ["lanes", "core_seconds", "gpu_seconds"]].tolist() == [3, 6.0, 2.5]
    assert history.epochs()["lanes"].tolist() == [1, 3]


def test_the_history_of_a_search_that_has_just_begun_is_empty(tmp_path: Path) -> None:
    search = Search(tmp_path)
    history = vaeforge.History("s", tmp_path)
    assert history.best_trial is None and history.trials().empty and history.epochs().empty
    assert "value" in history.trials() and "decision" in history.epochs()
    with pytest.raises(vaeforge.VaeforgeError, match="search 'other': not found"):
        vaeforge.History("other", search.project.root)


@pytest.mark.slow
def test_an_exported_model_scores_and_reconstructs(tmp_path: Path) -> None:
    torch_model = untrained("endoscopy")
    write_bundle(tmp_path / "model", "endoscopy", torch_model, threshold=0.03)
    model = vaeforge.load(tmp_path / "model", tmp_path)
    x = np.random.default_rng(0).integers(0, 256, (5, *model.event_shape), dtype=np.uint8)
    scores = model.score(x, batch=2)
    np.testing.assert_allclose(scores.score, torch_scores(torch_model, x), rtol=1e-4)
    assert scores.is_anomaly.tolist() == (scores.score > 0.03).tolist()
    assert scores.mu.shape == (5, model.latent_dim) and scores.rate.shape == (5,)
    assert model.reconstruct(x, batch=2).shape == x.shape
    np.testing.assert_allclose(model.score(x[3]).score, scores.score[3:4], rtol=1e-4)
    assert (model.family, model.classes, model.threshold) == ("endoscopy", (), 0.03)
    with pytest.raises(vaeforge.VaeforgeError, match=r"x: got shape \[5, 3, 8, 8\]"):
        model.score(x[..., :8, :8])


@pytest.mark.slow
def test_a_class_is_named(tmp_path: Path) -> None:
    write_bundle(tmp_path / "model", "cilia", untrained("cilia"))
    model = vaeforge.load(tmp_path / "model", tmp_path)
    x = np.zeros((2, *model.event_shape), dtype=np.uint8)
    assert model.classes == ("round", "flat", "long")
    one, other = model.score(x, "round").score[0], model.score(x, ["flat", "long"]).score[0]
    assert math.isfinite(one) and one != other
    with pytest.raises(vaeforge.VaeforgeError, match="did you mean 'round'"):
        model.score(x, "rund")


def test_what_cannot_be_is_refused_before_anything_starts(tmp_path: Path) -> None:
    def message(**wrong: Any) -> str:
        with pytest.raises(vaeforge.VaeforgeError) as refused:
            vaeforge.tune(tmp_path, offline=True, **wrong)
        return str(refused.value)

    assert message(trials=0) == "command line: search.trials: got 0, must be >= 1"
    assert "model.latent_dims: unknown key; did you mean 'latent_dim'" in message(settings={"model.latent_dims": 3})
    assert "tune_spaces/endoscopy.yaml: cannot be read" in message()
    with pytest.raises(vaeforge.VaeforgeError, match="vaeforge tune"):
        vaeforge.evaluate("tune", tmp_path)
    assert not (tmp_path / "artifacts").exists()
