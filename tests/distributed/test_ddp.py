"""Several ranks learn what one process learns, on sizes that nothing divides."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from vaeforge.config import Experiment
from vaeforge.train.group import Group
from vaeforge.train.loop import Arrays, _Run, fit

CPU = torch.device("cpu")


def _rank(rank: int, world: int, store: str, experiment: Experiment, arrays: Arrays, job: Any, out: str) -> None:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    torch.save(job(experiment, arrays, Group(rank, world, CPU)), f"{out}.{rank}")
    dist.destroy_process_group()


def on_ranks(world: int, experiment: Experiment, arrays: Arrays, job: Any, folder: Path) -> list[Any]:
    """What `job` returns on each of `world` gloo ranks."""
    arguments = (world, str(folder / f"store{world}"), experiment, arrays, job, str(folder / "out"))
    mp.spawn(_rank, arguments, nprocs=world)  # type: ignore[no-untyped-call]
    return [torch.load(f"{folder / 'out'}.{rank}", weights_only=True) for rank in range(world)]


def gradients(experiment: Experiment, arrays: Arrays, group: Group) -> dict[str, torch.Tensor]:
    """The gradient of one step over a batch of 23 samples with given noise, before clipping."""
    run = _Run(experiment, arrays, group, None)
    generator = torch.Generator().manual_seed(5)
    raw = torch.from_numpy(arrays.train[:, :, :32, :32].copy())
    eps = torch.randn(len(raw), run.model.latent_dim, generator=generator)
    mine = group.share(len(raw))
    distortion, rate = run._terms(raw[mine], eps[mine])
    ((distortion + 0.7 * rate) * (group.world / len(raw))).backward()
    return {name: p.grad.clone() for name, p in run.model.named_parameters() if p.grad is not None}


def trained(experiment: Experiment, arrays: Arrays, group: Group) -> dict[str, Any]:
    """Metrics of each epoch of a whole training."""
    return {str(r.epoch): {**r.metrics, "value": r.value} for r in fit(experiment, arrays, group)}


@pytest.mark.parametrize("world", [2, 3])
def test_gradients_equal_those_of_one_process(
    world: int, make_experiment: Any, make_arrays: Any, tmp_path: Path
) -> None:
    experiment, arrays = make_experiment(), make_arrays(train=23)
    alone = gradients(experiment, arrays, Group())
    for found in on_ranks(world, experiment, arrays, gradients, tmp_path):
        assert set(found) == set(alone)
        for name, gradient in alone.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-4 * float(gradient.abs().max()))


def test_a_training_on_two_ranks_follows_that_of_one(make_experiment: Any, make_arrays: Any, tmp_path: Path) -> None:
    """22 samples in batches of 7 end in a batch of one, so that one rank has nothing in that step."""
    experiment, arrays = make_experiment(training={"epochs": 2}), make_arrays(train=22, validation=11)
    alone = trained(experiment, arrays, Group())
    for found in on_ranks(2, experiment, arrays, trained, tmp_path):
        for epoch, metrics in alone.items():
            for name, value in metrics.items():
                assert found[epoch][name] == pytest.approx(value, rel=2e-3), (epoch, name)


@pytest.mark.parametrize(("total", "world"), [(7, 2), (1, 2), (23, 3), (0, 2)])
def test_shares_cover_everything_once(total: int, world: int) -> None:
    parts = [list(range(total))[Group(rank, world, CPU).share(total)] for rank in range(world)]
    assert [item for part in parts for item in part] == list(range(total))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
