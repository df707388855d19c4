"""Several ranks learn what one process learns, on sizes that nothing divides."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from samples import random_arrays, without_dropout
from vaeforge.config.experiment import Experiment
from vaeforge.config.loader import load
from vaeforge.training.batches import Batch, centre_crop
from vaeforge.training.loop import TrainingData, fit, untrained
from vaeforge.training.process_group import ProcessGroup
from vaeforge.training.train_step import StepNumber, TrainStep
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
        without_dropout(model)
        model.train()
        train_step = TrainStep(experiment, model, group, len(arrays.train))
        generator = torch.Generator().manual_seed(5)
        batches = []
        for part in np.array_split(np.arange(len(arrays.train)), experiment.training.accumulate):
            mine = part[group.shard(len(part))]
            eps = torch.randn(len(part), model.latent_dim, generator=generator)[group.shard(len(part))]
            raw, condition = arrays.train.tensors(mine)
            batches.append(Batch(centre_crop(raw, arrays.spec.event_shape), condition, eps, len(part)))
        terms, _ = train_step.step(batches, StepNumber(1, 5, seed=7))
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
        experiment = load(folder, name, None, loose).experiment
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
    return found


def trained(experiment: Experiment, arrays: TrainingData, group: ProcessGroup) -> dict[str, Any]:
    """Metrics of each epoch of a whole training."""
    return {str(r.epoch): {**r.metrics, "value": r.value} for r in fit(experiment, arrays, group)}


@pytest.mark.parametrize("world", [2, 3])
def test_gradients_equal_those_of_one_process(world: int, tmp_path: Path) -> None:
    given = cases(tmp_path)
    alone = gradients(given, None, ProcessGroup())
    for rank in on_ranks(world, given, None, gradients, tmp_path):
        for case, expected in alone.items():
            assert set(rank[case]) == set(expected)
            for name, value in expected.items():
                atol = 2e-4 * float(value.abs().max()) if value.numel() else 0.0
                torch.testing.assert_close(
                    rank[case][name], value, rtol=1e-3, atol=atol, msg=lambda text, at=f"{case} {name}": f"{at}: {text}"
                )


def test_a_training_on_two_ranks_follows_that_of_one(make_experiment: Any, make_arrays: Any, tmp_path: Path) -> None:
    """22 samples in batches of 7 end in a batch of one, so that one rank has nothing in that step."""
    experiment, arrays = make_experiment(training={"epochs": 2}), make_arrays(train=22, validation=11)
    alone = trained(experiment, arrays, ProcessGroup())
    for found in on_ranks(2, experiment, arrays, trained, tmp_path):
        for epoch, metrics in alone.items():
            for name, value in metrics.items():
                assert found[epoch][name] == pytest.approx(value, rel=2e-3), (epoch, name)


@pytest.mark.parametrize(("total", "world"), [(7, 2), (1, 2), (23, 3), (0, 2)])
def test_shares_cover_everything_once(total: int, world: int) -> None:
    parts = [list(range(total))[ProcessGroup(rank, world, CPU).shard(total)] for rank in range(world)]
    assert [item for part in parts for item in part] == list(range(total))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
