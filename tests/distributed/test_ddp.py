"""Several ranks learn what one process learns, on sizes that nothing divides."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

import steps
from samples import SMALL, random_arrays
from vaeforge.config.experiment import Experiment
from vaeforge.config.loader import load
from vaeforge.samples import Samples
from vaeforge.training.batches import Batch, centre_crop
from vaeforge.training.gradient_step import StepNumber
from vaeforge.training.loop import TrainingData, fit, untrained
from vaeforge.training.process_group import ProcessGroup
from vaeforge.training.train_step import TrainStep
from vaeforge_models.families import families

CPU = torch.device("cpu")


def _rank(rank: int, world: int, store: str, experiment: Any, arrays: Any, job: Any, out: str) -> None:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    torch.save(job(experiment, arrays, ProcessGroup(rank, world, CPU)), f"{out}.{rank}")
    dist.destroy_process_group()


def on_ranks(world: int, experiment: Any, arrays: Any, job: Any, folder: Path) -> list[Any]:
    """What `job` returns on each of `world` gloo ranks."""
    arguments = (world, str(folder / f"store{world}"), experiment, arrays, job, str(folder / "out"))
    mp.spawn(_rank, arguments, nprocs=world)
    return [torch.load(f"{folder / 'out'}.{rank}", weights_only=True) for rank in range(world)]


def gradients(
    cases: dict[str, tuple[Experiment, TrainingData]], _: Any, group: ProcessGroup
) -> dict[str, dict[str, torch.Tensor]]:
    """For each case: the gradient of one step over 23 samples with given noise, its loss, and running statistics."""
    found = {}
    for name, (experiment, arrays) in cases.items():
        model = untrained(experiment, arrays.spec)
        model.train()
        train_step = TrainStep(experiment, model, group, len(arrays.train))
        generator = torch.Generator().manual_seed(5)
        batches = []
        for part in np.array_split(np.arange(len(arrays.train)), experiment.training.accumulate):
            mine = part[group.shard(len(part))]
            eps = torch.randn(len(part), model.latent_dim, generator=generator)[group.shard(len(part))]
            raw, condition = arrays.train.tensors(mine)
            batches.append(Batch(centre_crop(raw, arrays.spec.event_shape), condition, eps, len(part)))
        terms, _ = train_step.step(batches, StepNumber(1, 5, key=7))
        kept = {key: p.grad.clone() for key, p in model.named_parameters() if p.grad is not None}
        buffers = {key: b.double() for key, b in model.named_buffers()}
        state = torch.tensor(list(train_step.schedule_state.values()), dtype=torch.float64)
        found[name] = {**kept, **buffers, "terms": terms, "state": state}
    return found


def cases(folder: Path) -> dict[str, tuple[Experiment, TrainingData]]:
    """Every family, and on the smallest every loss that is not a sum over samples; clipping off."""
    loose = {"optimizer.clip_norm": 1e12}
    found = {}
    for name, family in families().items():
        small = {f"model.{key}": value for key, value in SMALL[name].items()}
        experiment = load(folder, name, None, loose | small).experiment
        found[name] = (experiment, random_arrays(family))
    arrays = random_arrays(families()["endoscopy"])
    variants: dict[str, dict[str, Any]] = {
        "free bits": {"beta.schedule": "free_bits"},
        "capacity": {"beta.schedule": "capacity"},
        "geco": {"beta.schedule": "geco", "beta.tolerance": 100.0},
        "pi": {"beta.schedule": "pi"},
        "total correlation": {"training.total_correlation": 6.0},
        "normalised": {"training.normalised_beta": True},
        "accumulated": {"training.accumulate": 3},
    }
    for name, overrides in variants.items():
        found[name] = (load(folder, "endoscopy", None, loose | overrides).experiment, arrays)
    for likelihood in ("squared_error", "calibrated"):
        for family in ("lipid", "fmri"):
            given = loose | {"model.likelihood": likelihood}
            experiment = load(folder, family, None, given).experiment
            found[f"missing values, {family}, {likelihood}"] = (experiment, with_missing_values(family))
    return found


def with_missing_values(family: str) -> TrainingData:
    """Points or series of which every sample misses another number of values."""
    arrays = random_arrays(families()[family])
    x = np.array(arrays.train.x)
    x[:, 1:][np.random.default_rng(0).random((len(x), x.shape[1] - 1)) < 0.4] = np.nan
    fill = torch.from_numpy(np.nanmean(x, axis=0))
    spec = replace(arrays.spec, constants={**arrays.spec.constants, "fill": fill})
    return replace(arrays, train=Samples(x, arrays.train.condition), spec=spec)


def accumulated(cases: dict[str, steps.Case], _: Any, group: ProcessGroup) -> dict[str, dict[str, torch.Tensor]]:
    """What one step in three micro-batches follows, in float64."""
    torch.set_default_dtype(torch.float64)
    try:
        parts = steps.PARTS if group.world_size > 1 else (steps.SAMPLES,)
        return {name: steps.outcome(case, parts, group) for name, case in cases.items()}
    finally:
        torch.set_default_dtype(torch.float32)


def trained(experiment: Experiment, arrays: TrainingData, group: ProcessGroup) -> dict[str, Any]:
    """Metrics of each epoch of a whole training."""
    return {str(r.epoch): {**r.metrics, "value": r.value} for r in fit(experiment, arrays, group)}


Jobs = dict[str, tuple[Any, Any, Any]]  # by name: a job and what it is given


def done(jobs: Jobs, _: Any, group: ProcessGroup) -> dict[str, Any]:
    return {name: job(first, second, group) for name, (job, first, second) in jobs.items()}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Jobs:
    """What two ranks are asked, in one go: most of a test's time is that of starting them."""
    folder = tmp_path_factory.mktemp("jobs")
    under_dropout = {}
    for schedule in steps.SCHEDULES:
        under_dropout |= dict(list(steps.cases(folder, schedule, dropout=0.3).items())[::7])
    short = {"training.epochs": 2, "training.batch_size": 7, "training.evaluation_samples": 3, "model.latent_dim": 5}
    plain = load(folder, "endoscopy", None, short | {"model.width": 4, "training.steps_per_epoch": None}).experiment
    short |= {"training.epochs": 1, "training.steps_per_epoch": 4, "training.accumulate": 2}
    thinned = load(folder, "fmri", None, short | {"model.dropout": 0.5, "model.hidden": [16, 16]}).experiment
    return {
        "gradients": (gradients, cases(folder), None),
        "accumulated": (accumulated, under_dropout, None),
        # 22 samples in batches of 7 end in a batch of one, so that one rank has nothing in that step
        "training": (trained, plain, random_arrays(families()["endoscopy"], 22)),
        "training with dropout": (trained, thinned, random_arrays(families()["fmri"])),
    }


@pytest.fixture(scope="module")
def alone(jobs: Jobs) -> dict[str, Any]:
    return done(jobs, None, ProcessGroup())


@pytest.fixture(scope="module")
def two_ranks(jobs: Jobs, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return on_ranks(2, jobs, None, done, tmp_path_factory.mktemp("ranks"))


def assert_gradients_are_those(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for case, tensors in expected.items():
        assert set(found[case]) == set(tensors)
        for name, value in tensors.items():
            atol = 2e-4 * float(value.abs().max()) if value.numel() else 0.0
            torch.testing.assert_close(
                found[case][name], value, rtol=1e-3, atol=atol, msg=lambda text, at=f"{case} {name}": f"{at}: {text}"
            )


@pytest.mark.slow
def test_gradients_on_two_ranks_equal_those_of_one_process(
    alone: dict[str, Any], two_ranks: list[dict[str, Any]]
) -> None:
    for rank in two_ranks:
        assert_gradients_are_those(rank["gradients"], alone["gradients"])


@pytest.mark.long
def test_gradients_on_three_ranks_equal_those_of_one_process(jobs: Jobs, alone: dict[str, Any], tmp_path: Path) -> None:
    for rank in on_ranks(3, jobs["gradients"][1], None, gradients, tmp_path):
        assert_gradients_are_those(rank, alone["gradients"])


@pytest.mark.slow
def test_micro_batches_on_two_ranks_are_one_batch_on_one(
    alone: dict[str, Any], two_ranks: list[dict[str, Any]]
) -> None:
    """Every loss, with dropout: 9, 9 and 5 samples on two ranks each give the step of 23 samples in one process."""
    for rank in two_ranks:
        for case, expected in alone["accumulated"].items():
            assert max(steps.differences(rank["accumulated"][case], expected).values()) < 1e-9, case


@pytest.mark.slow
@pytest.mark.parametrize("job", ["training", "training with dropout"])
def test_a_training_on_two_ranks_follows_that_of_one(
    job: str, alone: dict[str, Any], two_ranks: list[dict[str, Any]]
) -> None:
    for rank in two_ranks:
        for epoch, metrics in alone[job].items():
            for name, value in metrics.items():
                assert rank[job][epoch][name] == pytest.approx(value, rel=2e-3), (epoch, name)


@pytest.mark.parametrize(("total", "world"), [(7, 2), (1, 2), (23, 3), (0, 2)])
def test_shares_cover_everything_once(total: int, world: int) -> None:
    parts = [list(range(total))[ProcessGroup(rank, world, CPU).shard(total)] for rank in range(world)]
    assert [item for part in parts for item in part] == list(range(total))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
