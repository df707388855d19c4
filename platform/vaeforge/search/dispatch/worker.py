"""What each rank of a host runs for the whole search: take a trial, train it, report, take the next one.

Rank 0 talks to the broker and broadcasts what it hears. An error that all ranks agree on (a full disk, a bad
checkpoint, anything in a group of one) ends the trial and keeps the host; any other one ends the worker, Ray Train
restarts the group, and the trial is leased again. Where a rank holds more memory than it may after a trial, all ranks
return and the host is started anew: allocators give back little, and what leaks stays until the process ends.
"""

import ctypes
import gc
import os
import time
import traceback
from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol

import psutil
import ray
import torch

from vaeforge.config.experiment import Experiment
from vaeforge.errors import CheckpointError
from vaeforge.provenance import machine
from vaeforge.search.dispatch.checkpoint_retention import trial_folder
from vaeforge.search.dispatch.data_transfer import open_shipment
from vaeforge.search.dispatch.dispatcher_actor import checkpoint_event
from vaeforge.search.dispatch.resources import default_memory_limit
from vaeforge.search.dispatch.types import Lease
from vaeforge.search.space.space import Space, experiment_for, parse_space, trial_seed
from vaeforge.train.checkpoint import Checkpoint
from vaeforge.train.distributed import RayProcessGroup
from vaeforge.train.loop import EpochReport, fit

PULSE_SECONDS = 5.0


def host(config: dict[str, Any]) -> None:
    """The loop of one rank.

    `config` holds: host (number), broker (handle), checkpoints (path or URL under which those of the search lie),
    shipment (of the data), space (content), space_source, experiment (the base, as plain values), seed (of the
    search), threads (of this rank), gpus (whether to train on one), memory_limit (bytes that a rank may hold between
    two trials; none for its part of the node's).
    """
    torch.set_num_threads(min(config["threads"], os.cpu_count() or 1))
    ranks = RayProcessGroup(config["gpus"])
    serve(_Worker(config, ranks), ranks, config["memory_limit"] or default_memory_limit(config["threads"]))
    ranks.close()


class Worker(Protocol):
    """What takes orders and trains."""

    def take(self) -> dict[str, Any]: ...

    def train(self, order: dict[str, Any]) -> None: ...


def serve(worker: Worker, ranks: RayProcessGroup, limit: int) -> None:
    """All ranks: one order after the other, until the search or this host ends, or a rank holds over `limit` bytes."""
    settled = False
    while True:
        order = ranks.broadcast_from_main(worker.take)
        if order["kind"] == "end":
            return
        if order["kind"] == "lease":
            worker.train(order)
            release_memory()
            if not settled:  # modules are loaded by now, and looking through them after each trial takes 0.25 s
                settled = True
                gc.freeze()
            if any(ranks.gather(held_bytes() > limit)):  # every rank sees the same answers
                return


class _Worker:
    """One rank between the broker and `fit`."""

    def __init__(self, config: dict[str, Any], ranks: RayProcessGroup):
        self.config, self.ranks, self.broker = config, ranks, config["broker"]
        self.number: int = config["host"]
        self.space: Space = parse_space(config["space"], config["space_source"])
        self.base = Experiment.model_validate(config["experiment"])
        self.data = open_shipment(config["shipment"])
        self.processes = ranks.gather(_this_process())
        self.generation = -1
        self.pulsed = 0.0

    def take(self) -> dict[str, Any]:
        """Rank 0: the broker's next order; registers first where the broker does not know this generation."""
        if self.generation < 0:
            self.generation = ray.get(self.broker.register.remote(self.number, self.processes))
        order: dict[str, Any] = ray.get(self.broker.take.remote(self.number, self.generation))
        if order["kind"] == "again":
            self.generation = -1
        return order

    def train(self, order: dict[str, Any]) -> None:
        """All ranks: train one lease to its end, to a stop, or to an error that all ranks share."""
        lease: Lease = order["lease"]
        try:
            for report in self._timed(self._fit(order)):
                if self.ranks.broadcast_from_main(partial(self._report, lease, report)) != "go":
                    return
        except Exception as error:
            cause = cause_of(error)
            if self.ranks.group.world_size > 1 and cause != "checkpoint" and cause != "disk":
                raise
            text = traceback.format_exc()
            self.ranks.broadcast_from_main(lambda: ray.get(self.broker.crash.remote(lease, cause, text)))

    def _fit(self, order: dict[str, Any]) -> Iterator[EpochReport]:
        number = order["lease"].trial
        experiment = experiment_for(self.space, self.base, order["params"], trial_seed(self.config["seed"], number))
        folder = trial_folder(self.config["checkpoints"], number)
        checkpoints = [Checkpoint(**checkpoint) for checkpoint in order["checkpoints"]]
        return fit(experiment, self.data, self.ranks.group, folder, checkpoints, self._pulse, order["inherited"])

    def _timed(self, reports: Iterator[EpochReport]) -> Iterator[dict[str, Any]]:
        """Reports as the ledger holds them; `seconds` is all the time spent inside `fit` for that epoch."""
        while True:
            started = time.monotonic()
            report = next(reports, None)
            if report is None:
                return
            yield {
                "epoch": report.epoch,
                "metrics": report.metrics,
                "value": report.value,
                "outcome": report.outcome,
                "seconds": time.monotonic() - started,
                "checkpoint": checkpoint_event(report.checkpoint),
                "best": checkpoint_event(report.best),
                "notes": list(report.notes),
            }

    def _report(self, lease: Lease, report: dict[str, Any]) -> str:
        """Rank 0: hand a report over and wait as long as the broker holds the reply."""
        reply = str(ray.get(self.broker.report.remote(lease, report)))
        while reply == "hold":
            reply = str(ray.get(self.broker.reply.remote(lease, report["epoch"])))
        return reply

    def _pulse(self) -> None:
        """Rank 0, after each step: a sign of progress, now and then, without waiting for an answer."""
        now = time.monotonic()
        if self.ranks.group.is_main and now - self.pulsed > PULSE_SECONDS:
            self.pulsed = now
            self.broker.pulse.remote(self.number, self.generation)


def held_bytes() -> int:
    """Memory of this process that no other one shares: mapped data and Ray's object store are not its own."""
    memory = psutil.Process().memory_info()
    return int(memory.rss - memory.shared)


def release_memory() -> None:
    """Give back what the last trial has freed: to the system, and the GPU's to others that share it."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # the GNU C library has it, others do not
    if trim is not None:
        trim(0)
    torch.cuda.empty_cache()


def cause_of(error: Exception) -> str:
    """One word for what failed: oom, disk, checkpoint or crash."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) or "can't allocate memory" in str(error):
        return "oom"
    if isinstance(error, CheckpointError):
        return "disk" if "could not be written" in str(error) else "checkpoint"
    return "disk" if isinstance(error, OSError) else "crash"


def _this_process() -> dict[str, Any]:
    """Enough to recognise this process again: process ids are reused."""
    return {
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),
        "node": ray.get_runtime_context().get_node_id(),
        "machine": machine(),
    }
