"""What every evaluation promises; a new one is picked up by itself."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metric_names import not_given, undocumented
from samples import random_arrays, random_prepared, small_experiment
from vaeforge.diffuse.step import latents_of
from vaeforge.errors import ConfigError
from vaeforge.evaluation.common_metrics import common_result
from vaeforge.evaluation.comparison import MODEL
from vaeforge.evaluation.results import EvaluationResult
from vaeforge.evaluation.step import write_result
from vaeforge.evaluation.tasks import task_named, task_names
from vaeforge.trained import TrainedModel
from vaeforge.training.checkpoint import load
from vaeforge.training.diffuse import fit_diffusion
from vaeforge.training.loop import fit
from vaeforge_models.diffusion import DiffusionSettings
from vaeforge_models.families import families
from vaeforge_models.family import Family
from vaeforge_models.vae import build_seeded

ROOT = Path(__file__).parents[2]
# Metrics that the samples here have not what it takes for: masks, and whole maps. The units' tests have both.
ELSEWHERE = {"anomaly": {"test/pixel_auroc", "test/pro"}, "maps": {"test/hidden_points"}}


@pytest.fixture(scope="module", params=sorted(families()))
def family(request: pytest.FixtureRequest) -> Family:
    return families()[request.param]


@pytest.fixture(scope="module")
def trained(family: Family, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    folder = tmp_path_factory.mktemp(family.name)
    experiment = small_experiment(family, folder)
    (*_, last) = fit(experiment, random_arrays(family, 40, 16), folder=folder)
    assert last.checkpoint is not None
    model = build_seeded(family.build, experiment.model, family.example, seed=0)
    model.load_state_dict(load(last.checkpoint)["model"])
    found = TrainedModel(model.eval(), random_prepared(family, folder, 40, 16, 24), experiment)
    if not family.diffusion:
        return found
    quick = {"steps": 5, "validation_interval": 5, "timesteps": 50, "sampling_steps": 5, "width": 0.125}
    settings = DiffusionSettings.model_validate(experiment.diffusion.model_dump() | quick)
    latents = [latents_of(found, part) for part in (found.prepared.train, found.prepared.validation)]
    return TrainedModel(found.model, found.prepared, experiment, fit_diffusion(*latents, settings, seed=0).model)


@pytest.fixture(scope="module")
def result(trained: TrainedModel) -> EvaluationResult:
    return common_result(trained).joined(task_named(trained.experiment.definition.task).evaluate(trained))


def test_file_and_task_have_the_same_name() -> None:
    assert all(task_named(name).name == name for name in task_names())


@pytest.mark.parametrize("name", task_names())
def test_a_model_card_has_something_to_say(name: str) -> None:
    task = task_named(name)
    assert task.intended_use and task.limits and all(limit.endswith(".") for limit in task.limits)


def test_tasks_are_known_without_torch() -> None:
    program = (
        "import sys; from vaeforge.evaluation.tasks import task_named, task_names; "
        "[task_named(name) for name in task_names()]; assert not {'torch', 'matplotlib'} & set(sys.modules)"
    )
    environment = {"PYTHONPATH": f"{ROOT / 'platform'}:{ROOT / 'models'}", "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


def test_a_task_that_is_not_there_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'anomaly'"):
        task_named("anomalie")


@pytest.mark.slow
def test_metrics_are_finite_numbers_under_test_and_val(result: EvaluationResult) -> None:
    assert result.metrics
    for name, value in result.metrics.items():
        assert name.startswith(("test/", "val/")), name
        assert isinstance(value, float) and np.isfinite(value), name


@pytest.mark.slow
def test_every_metric_is_on_the_page_of_metrics(result: EvaluationResult) -> None:
    assert undocumented(result.metrics) == []


@pytest.mark.slow
def test_every_metric_on_the_page_is_given(trained: TrainedModel, result: EvaluationResult) -> None:
    task = trained.experiment.definition.task
    assert set(not_given(task, result.metrics)) == ELSEWHERE.get(task, set())


@pytest.mark.slow
def test_the_model_stands_beside_training_mean_and_untrained_model(result: EvaluationResult) -> None:
    for metric in {row.metric for row in result.rows}:
        names = [row.name for row in result.rows if row.metric == metric]
        assert MODEL in names, metric
        assert len(names) == len(set(names)), metric
    mse = [row.name for row in result.rows if row.metric == "MSE"]
    assert {"training mean", "untrained VAE"} <= set(mse)


@pytest.mark.slow
@pytest.mark.usefixtures("rendered")
def test_everything_is_written(result: EvaluationResult, tmp_path: Path) -> None:
    write_result(result, tmp_path)
    for figure in (tmp_path / "figures").iterdir():
        with Image.open(figure) as opened:
            assert min(opened.size) > 100, figure
    for kind in ("curves", "figures"):
        assert list((tmp_path / kind).iterdir()), kind
    assert (tmp_path / "comparison.csv").stat().st_size > 100
