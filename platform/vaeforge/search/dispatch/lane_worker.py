"""A worker group of one rank that trains several trials at once, each under a lease of its own, as lanes of one stack.

All lanes end their epochs together. Then each has its own report, its own answer and its own checkpoint; a trial that
ended, was stopped, paused or lost its lease leaves, and the next one takes its place before the next epoch begins. One
that cannot be stacked waits until the stack is empty, and is trained alone.
"""

import time
import traceback
from collections import deque
from dataclasses import replace
from typing import Any, Literal

import ray

from vaeforge.config.experiment import Experiment
from vaeforge.search.dispatch.heartbeat import Heartbeat
from vaeforge.search.dispatch.lane_company import blamed
from vaeforge.search.dispatch.liveness import Pulse
from vaeforge.search.dispatch.types import STORAGE, Lease, NoTask, Task
from vaeforge.search.dispatch.worker import (
    STORAGE_SECONDS,
    GroupWorker,
    TrialMemory,
    cause_of,
    trial_report,
)
from vaeforge.training.lanes.lane_count import best_lanes
from vaeforge.training.lanes.padding import UnstackableError
from vaeforge.training.lanes.stack import LaneStack
from vaeforge.training.loop import EpochReport, ModelTraining


class LaneWorker:
    """See the module's docstring.

    Args:
        worker: asks for tasks, and trains what cannot be stacked.
        lanes: most trials at once; auto: as many as a few steps of the first trial show to be best.
        limit: bytes that the process may hold; above it no more trials are taken, and the group starts anew.
    """

    def __init__(self, worker: GroupWorker, lanes: int | Literal["auto"], limit: int):
        self._worker, self._memory, self._chosen = worker, TrialMemory(limit), lanes != "auto"
        self._lanes = 1 if lanes == "auto" else lanes
        space = worker.settings.space
        widest = [point.get("model.latent_dim", 0) for point in space.corner_points()]
        self._stack = LaneStack(worker.data, worker.ranks.group, self._lanes, max(widest, default=0))
        self._tasks: dict[int, Task] = {}
        self._alone: deque[Task] = deque()
        self._beginning: Lease | None = None  # of the trial whose training is being made
        self._full = self._outage = False
        self._why_alone: tuple[str, ...] = ()  # a note, where stacks cannot be had or fail

    def serve(self) -> None:
        """Train until the search needs the group no longer, or the process holds more than it may."""
        with Heartbeat(self._beat) as heartbeat:
            while True:
                if self._outage:  # of the storage, which may answer again
                    self._outage = False
                    heartbeat.wait()
                    time.sleep(STORAGE_SECONDS)
                ended = self._fill()
                if self._tasks:
                    self._train_epoch(heartbeat)
                elif self._alone:
                    heartbeat.wait()
                    self._worker.train(self._alone.popleft())
                elif ended or self._full:
                    return

    # which trials

    def _fill(self) -> bool:
        """Take trials until all lanes are used or none is to be had; whether the search needs the group no longer."""
        while len(self._tasks) < self._lanes and not self._alone and not self._full:
            task: Task | NoTask = self._worker.next_task(tuple(self._tasks), self._lanes)
            if isinstance(task, Task):
                self._begin(task)
            elif task != "register":
                return task == "end"
        return False

    def _begin(self, task: Task) -> None:
        """Make a lane's training, and take it up again where an earlier attempt has left it."""
        worker, self._beginning = self._worker, task.lease
        try:
            experiment, folder = worker.experiment_of(task)
            self._limit(task.most_lanes)
            note = self._why_alone if self._chosen else (self._choose(experiment, task.most_lanes),)
            if self._lanes == 1:
                self._alone.append(replace(task, notes=note))
                return
            training = ModelTraining(experiment, worker.data, worker.ranks.group, folder, stacked=True)
            if task.checkpoints:
                training.restore(task.checkpoints, task.inherited)
            training.notes += note
        except Exception as error:
            cause, why, most = blamed(len(self._tasks) + 1, cause_of(error), _text_of(error))
            self._limit(most)
            self._tell_failure(task.lease, cause, why, most)
            return
        finally:
            self._beginning = None
        self._tasks[task.lease.trial] = task
        self._stack.add(task.lease.trial, training)

    def _limit(self, most: int | None) -> None:
        """Have no more lanes than memory was found to have room for, by this process or the one before it."""
        if most is not None and most < self._lanes:
            self._lanes = self._stack.lanes = most

    def _choose(self, experiment: Experiment, most: int | None) -> str:
        """Measure how many lanes, of `most`, are best, once; what was found."""
        worker, self._chosen = self._worker, True
        trials = worker.settings.trials
        found = best_lanes(experiment, worker.data, worker.ranks.group, trials if most is None else min(trials, most))
        self._lanes = self._stack.lanes = found.lanes
        return found.note

    def _drop(self, trial: int) -> None:
        self._stack.remove(trial)
        del self._tasks[trial]
        self._full = self._memory.settle()

    # an epoch of all of them

    def _train_epoch(self, heartbeat: Heartbeat) -> None:
        try:
            found = self._stack.train_epoch(heartbeat.step)
        except Exception as error:
            self._give_up(error)
            return
        heartbeat.wait()
        if len(found) > 1 and all(isinstance(outcome, UnstackableError) for outcome in found.values()):
            self._limit(1)  # and so will be those to come
            self._why_alone = tuple(f"trained alone and not as a lane: {one}" for one in list(found.values())[:1])
        asked = {trial: self._tell(trial, found) for trial in list(self._tasks) if trial in found}
        for trial, reply in asked.items():
            if reply is not None and self._answer(trial, reply) != "continue":
                self._drop(trial)

    def _tell(self, trial: int, found: dict[int, EpochReport | Exception]) -> tuple[int, Any] | None:
        """Report a trial's epoch, or why it cannot go on; the epoch and what the answer will be."""
        outcome, task = found[trial], self._tasks[trial]
        if isinstance(outcome, EpochReport):
            others = tuple(sorted(n for n, one in found.items() if n != trial and isinstance(one, EpochReport)))
            report = replace(trial_report(outcome), beside=others or None)
            return report.epoch, self._worker.dispatcher.report.remote(task.lease, report)
        if isinstance(outcome, UnstackableError):
            self._alone.append(replace(task, notes=(f"trained alone and not as a lane: {outcome}",)))
        else:
            self._tell_failure(task.lease, cause_of(outcome), _text_of(outcome))
        self._drop(trial)
        return None

    def _answer(self, trial: int, asked: tuple[int, Any]) -> str:
        """What becomes of a trial after an epoch, as soon as that is decided."""
        epoch, reply = asked[0], str(ray.get(asked[1]))
        while reply == "wait":
            reply = str(ray.get(self._worker.dispatcher.reply.remote(self._tasks[trial].lease, epoch)))
        if reply == "continue" and trial not in self._stack.trainings:
            return "stop"
        return reply

    def _give_up(self, error: Exception) -> None:
        """Return the leases of all lanes after an error that concerns the stack; each is then tried again.

        After memory ran out with half as many lanes, as none of the trials is at fault; after any other error alone.
        """
        cause, why, most = blamed(len(self._tasks), cause_of(error), _text_of(error))
        self._limit(most)
        if most is None and len(self._tasks) > 1:
            self._limit(1)
            self._why_alone = (
                f"trained alone, as a stack of {len(self._tasks)} trials failed: {why.splitlines()[-1]}",
            )
        for task in list(self._tasks.values()):
            self._tell_failure(task.lease, cause, why, most)
        for trial in list(self._tasks):
            self._drop(trial)

    def _tell_failure(self, lease: Lease, cause: str, text: str, most: int | None = None) -> None:
        ray.get(self._worker.dispatcher.crash.remote(lease, cause, text, most))
        self._outage = self._outage or cause in STORAGE

    def _beat(self, pulse: Pulse) -> None:
        """Say of every lane that this process lives, and how the stack gets on."""
        leases = [task.lease for task in list(self._tasks.values())]
        for lease in leases if self._beginning is None else [*leases, self._beginning]:
            self._worker.dispatcher.beat.remote(lease, 0, pulse)


def _text_of(error: Exception) -> str:
    return "".join(traceback.format_exception(error))
