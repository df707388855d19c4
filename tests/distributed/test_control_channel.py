"""Control messages between ranks: typed, and never unpickled."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch.distributed as dist
import torch.multiprocessing as mp

from vaeforge.ledger.events import WorkerProcess
from vaeforge.provenance import machine
from vaeforge.search.dispatch.types import Lease, NoTask, Task
from vaeforge.training.checkpoint_files import Checkpoint
from vaeforge.training.control_channel import ControlChannel, ControlMessageError

CHECKPOINTS = (Checkpoint("s3://bucket/é/epoch-00002.pt", "a" * 64, 2), Checkpoint("/a/epoch-00001.pt", "b" * 64, 1))
PARAMS = {"model.latent_dim": 8, "optimizer.lr": 1e-3, "beta.schedule": "cyclical", "a": True, "hidden": [8, 16]}
TASK = Task(Lease(3, 1, 0, 2), PARAMS, CHECKPOINTS, inherited=True)


def _rank(rank: int, store: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    group = dist.new_group(backend="gloo")
    channel = ControlChannel(group)
    mine, process = rank == 0, WorkerProcess(rank + 10, 1.25, "n" * (rank + 1), machine())
    for value, kind in ((TASK, Task | NoTask), ("idle", Task | NoTask), ("stop", str), (None, None)):
        found: Any = channel.broadcast(value if mine else None, kind)
        assert found == value and type(found) is type(value)
    assert channel.gather(process, WorkerProcess) == [replace(process, pid=n + 10, node="n" * (n + 1)) for n in (0, 1)]
    assert channel.gather(not mine, bool) == [False, True]
    with pytest.raises(ControlMessageError, match="is no <class 'int'>"):
        channel.broadcast("three", int)
    # a peer that speaks torch's own protocol, which the receiver would unpickle
    if mine:
        dist.broadcast_object_list([TASK], src=0, group=group)
    else:
        with pytest.raises(ControlMessageError):
            channel.broadcast(None, Task | NoTask)
    dist.destroy_process_group()


@pytest.mark.slow
def test_what_a_rank_says_arrives_as_it_was_or_is_refused(tmp_path: Path) -> None:
    mp.start_processes(_rank, (str(tmp_path / "store"),), nprocs=2, start_method="fork")  # torch is there already
