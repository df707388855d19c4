"""Worker, one rank of a worker group, for the whole search: takes a trial, trains it, reports, takes the next one.

Ray Train runs `worker_main.py` on every rank (started by `worker_groups.py`). Rank 0 talks to the dispatcher and
broadcasts what it hears: every `broadcast_from_main` and `gather` must be reached by all ranks, or the group hangs.
An error that all ranks meet alike (a full disk, a bad checkpoint, anything in a group of one) ends the trial and keeps
the group; any other one ends the worker, the group is restarted, and the trial is leased again. Where a rank holds more
memory than it may after a trial, all ranks return and the group is started anew: allocators give back little, and what
leaks stays until the process ends.
"""

import ctypes
import gc
import os
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Protocol

import psutil
import ray
import torch

from vaeforge.config.experiment import Experiment
from vaeforge.errors import CheckpointError
from vaeforge.ledger.checkpoint_places import trial_folder
from vaeforge.ledger.events import WorkerProcess
from vaeforge.provenance import machine
from vaeforge.search.dispatch.data_transfer import DataHandle, open_data
from vaeforge.search.dispatch.heartbeat import Heartbeat
from vaeforge.search.dispatch.liveness import Pulse
from vaeforge.search.dispatch.types import STORAGE, Lease, NoTask, Task, TrialReport
from vaeforge.search.space.space import Space
from vaeforge.search.space.trial_experiment import experiment_for, trial_seed
from vaeforge.training.distributed import RayProcessGroup
from vaeforge.training.loop import EpochReport, fit
from vaeforge.training.out_of_memory import is_out_of_memory

STORAGE_SECONDS = 10.0  # after which a storage that failed may answer again; short enough to be no hang


@dataclass(frozen=True)
class WorkerConfig:
    """What every rank of every worker group is told.

    Attributes:
        dispatcher: the actor's handle.
        checkpoints: path or URL under which those of the search lie.
        data: where the training data are.
        space: says what a trial's parameters mean, and for how many epochs it trains.
        experiment: the base that a trial's parameters change.
        seed: of the search.
        memory_limit: bytes that a rank may hold between two trials; none: its share of the node's memory.
        lanes: trials that a group of one rank trains at once; auto: as many as a few steps show to be best.
        trials: of the search, at most.
    """

    dispatcher: Any
    checkpoints: str
    data: DataHandle
    space: Space
    experiment: Experiment
    seed: int
    memory_limit: int | None = None
    lanes: int | Literal["auto"] = 1
    trials: int = 1


class Worker(Protocol):
    """What takes tasks and trains."""

    def next_task(self) -> Task | NoTask: ...

    def train(self, task: Task) -> None: ...


def serve(worker: Worker, ranks: RayProcessGroup, limit: int) -> None:
    """All ranks: one task after the other, until the group is no longer needed or a rank holds over `limit` bytes."""
    memory = TrialMemory(limit)
    while True:
        task = ranks.broadcast_from_main(worker.next_task, Task | NoTask)
        if task == "end":
            return
        if isinstance(task, Task):
            worker.train(task)
            if any(ranks.gather(memory.settle(), bool)):  # every rank sees the same answers
                return


class GroupWorker:
    """One rank between the dispatcher and `fit`.

    Attributes:
        settings: what every rank is told.
        ranks: its group.
        dispatcher: the actor's handle.
        data: of the search.
    """

    def __init__(self, settings: WorkerConfig, number: int, ranks: RayProcessGroup):
        self.settings, self.number, self.ranks = settings, number, ranks
        self.dispatcher = settings.dispatcher
        self.data = open_data(settings.data)
        self.processes = ranks.gather(_this_process(), WorkerProcess)
        self.generation = -1

    def next_task(self, known: tuple[int, ...] = (), lanes: int = 1) -> Task | NoTask:
        """Rank 0: the dispatcher's next task; registers first where the dispatcher does not know this generation.

        Args:
            known: trials that this group trains now.
            lanes: that it has.
        """
        if self.generation < 0:
            self.generation = ray.get(self.dispatcher.register.remote(self.number, self.processes))
        call = self.dispatcher.next_task.remote(self.number, self.generation, known, lanes)
        task: Task | NoTask = ray.get(call)
        if task == "register":
            self.generation = -1
        return task

    def train(self, task: Task) -> None:
        """All ranks: train one lease to its end, to a stop, or to an error that all ranks share."""
        lease = task.lease
        try:
            with Heartbeat(partial(self._beat, lease)) as heartbeat:
                for report in self._timed(self._fit(task, heartbeat), task.notes):
                    heartbeat.wait()
                    if self.ranks.broadcast_from_main(partial(self._report, lease, report), str) != "continue":
                        return
        except Exception as error:
            cause = cause_of(error)
            if self.ranks.group.world_size > 1 and cause not in STORAGE:
                raise
            text = traceback.format_exc()
            self.ranks.broadcast_from_main(lambda: ray.get(self.dispatcher.crash.remote(lease, cause, text)), None)
            if cause in STORAGE:
                time.sleep(STORAGE_SECONDS)

    def _fit(self, task: Task, heartbeat: Heartbeat) -> Iterator[EpochReport]:
        experiment, folder = self.experiment_of(task)
        return fit(experiment, self.data, self.ranks.group, folder, task.checkpoints, heartbeat.step, task.inherited)

    def experiment_of(self, task: Task) -> tuple[Experiment, str]:
        """What a task trains, and where its checkpoints go."""
        settings, number = self.settings, task.lease.trial
        experiment = experiment_for(settings.space, settings.experiment, task.params, trial_seed(settings.seed, number))
        return experiment, trial_folder(settings.checkpoints, number)

    def _timed(self, reports: Iterator[EpochReport], notes: tuple[str, ...]) -> Iterator[TrialReport]:
        """Reports whose `seconds` are all the time spent inside `fit` for that epoch; `notes` come with the first."""
        while True:
            started = time.monotonic()
            report = next(reports, None)
            if report is None:
                return
            told = trial_report(report)
            yield replace(told, seconds=time.monotonic() - started, notes=(*notes, *told.notes))
            notes = ()

    def _report(self, lease: Lease, report: TrialReport) -> str:
        """Rank 0: hand a report over and wait as long as the dispatcher holds the reply."""
        reply = str(ray.get(self.dispatcher.report.remote(lease, report)))
        while reply == "wait":
            reply = str(ray.get(self.dispatcher.reply.remote(lease, report.epoch)))
        return reply

    def _beat(self, lease: Lease, pulse: Pulse) -> None:
        """Say that this rank lives, and how its training gets on, without waiting for an answer."""
        self.dispatcher.beat.remote(lease, self.ranks.group.rank, pulse)


def trial_report(report: EpochReport) -> TrialReport:
    """An epoch as the dispatcher is told of it."""
    return TrialReport(**vars(report))


def held_bytes() -> int:
    """Memory of this process that no other one shares: mapped data and Ray's object store are not its own."""
    memory = psutil.Process().memory_info()
    return int(memory.rss - memory.shared)


class TrialMemory:
    """Memory of this process from trial to trial: given back after each, and held against the `limit` in bytes."""

    def __init__(self, limit: int):
        self._limit, self._settled = limit, False

    def settle(self) -> bool:
        """After a trial; whether the process still holds more than it may."""
        release_memory()
        if not self._settled:  # modules are loaded by now, and looking through them after each trial takes 0.25 s
            self._settled = True
            gc.freeze()
        return held_bytes() > self._limit


def release_memory() -> None:
    """Give back what the last trial has freed: to the system, and the GPU's to others that share it."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # the GNU C library has it, others do not
    if trim is not None:
        trim(0)
    torch.cuda.empty_cache()


def cause_of(error: Exception) -> str:
    """One word for what failed: oom, disk, checkpoint or crash."""
    if is_out_of_memory(error):
        return "oom"
    if isinstance(error, CheckpointError):
        return "disk" if "could not be written" in str(error) else "checkpoint"
    return "disk" if isinstance(error, OSError) else "crash"


def _this_process() -> WorkerProcess:
    """Enough to recognise this process again: process ids are reused."""
    node = ray.get_runtime_context().get_node_id()
    return WorkerProcess(os.getpid(), psutil.Process().create_time(), node, machine())
