"""Failures of worker groups: what a Train run ended with, as one word for the ledger and a sentence for people."""

from collections.abc import Callable
from dataclasses import dataclass

import ray
import torch.distributed
from ray.train.v2._internal.exceptions import RayTrainError

INFRASTRUCTURE = (ray.exceptions.RayError, RayTrainError)  # Ray's own errors: nothing that a rank has raised
CONNECTION = "gloo/transport/"  # where gloo's errors of connections come from; they are plain RuntimeErrors
OOM = (MemoryError, torch.cuda.OutOfMemoryError, ray.exceptions.OutOfMemoryError)


@dataclass(frozen=True)
class GroupFailure:
    """A start of a worker group that failed.

    Attributes:
        number: of the group.
        cause: oom, crash (an exception of its own), hang (before it was up) or lost (its process or its node died).
        text: what is known of it, with a traceback where there is one.
        given_up: whether it is not started again.
    """

    number: int
    cause: str
    text: str
    given_up: bool = False

    def __str__(self) -> str:
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        follows, why = "is given up" if self.given_up else "is started again", lines[-1] if lines else "no reason known"
        return f"worker group {self.number} ended ({self.cause}) and {follows}: {why}"


def failure_of(number: int, error: BaseException, out_of_memory: Callable[[], bool]) -> GroupFailure:
    """What `error`, with which the Train run of a group ended, says.

    Args:
        number: of the group.
        error: of Ray Train, or whatever kept it from running.
        out_of_memory: says whether a kernel has ended a process where the group ran because memory was used up; asked
            only of a group that was lost.
    """
    ranks = [_inner(one) for one in getattr(error, "worker_failures", {}).values()] or [_inner(error)]
    text = str(error).strip() or repr(error)
    if any(isinstance(one, OOM) for one in ranks):
        return GroupFailure(number, "oom", text)
    if all(isinstance(one, INFRASTRUCTURE) or _left_alone(one) for one in ranks):
        told = "the system ended a process of it because memory was used up"
        return GroupFailure(number, "oom", f"{text}\n{told}") if out_of_memory() else GroupFailure(number, "lost", text)
    return GroupFailure(number, "crash", text)


def _left_alone(error: BaseException) -> bool:
    """Whether a rank only lost its connection to another one, whose end Ray may tell of later than it fails."""
    return isinstance(error, torch.distributed.DistError) or CONNECTION in f"{error}"


def _inner(error: BaseException) -> BaseException:
    """What a wrapper of Ray Train is about: a health check that failed, a controller that did."""
    for name in ("health_check_failure", "controller_failure"):
        error = getattr(error, name, None) or error
    return error
