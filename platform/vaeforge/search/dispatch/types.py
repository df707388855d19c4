"""Records that the driver, the dispatcher and its workers exchange; Ray pickles them."""

from dataclasses import dataclass, field
from typing import Literal

from vaeforge.ledger.events import Metrics, Params, WorkerProcess
from vaeforge.search.budget import BudgetLimits
from vaeforge.search.dispatch.liveness import Liveness
from vaeforge.training.checkpoint_files import Checkpoint

Reply = Literal["continue", "stop", "release", "wait"]
NoTask = Literal["idle", "register", "end"]
STORAGE = ("disk", "checkpoint")  # causes of failures of the place where checkpoints lie


@dataclass(frozen=True)
class Lease:
    """One attempt at one trial by one worker group, whose number is `host`.

    Attributes:
        attempt: counts the leases of the trial, from 1.
        generation: counts the starts of the worker group; a lease of an earlier one is void.
    """

    trial: int
    attempt: int
    host: int
    generation: int


@dataclass(frozen=True)
class TrialConfig:
    """What Tune is given of a trial: number, flat parameters, the group it is compared in, the trial it repeats."""

    trial: int
    params: Params
    group: str
    repeat_of: int | None = None


@dataclass(frozen=True)
class Task:
    """What a worker group starts a lease with.

    Attributes:
        params: flat parameters of the trial.
        checkpoints: to resume from, newest first.
        inherited: whether the first of them is another trial's.
        notes: what a person should know of how it is trained.
        most_lanes: trials that the group may train at once, where its memory ran out under more.
    """

    lease: Lease
    params: Params
    checkpoints: tuple[Checkpoint, ...] = ()
    inherited: bool = False
    notes: tuple[str, ...] = ()
    most_lanes: int | None = None


@dataclass(frozen=True)
class TrialReport:
    """An epoch as a worker group reports it; see `EpochReported` for its attributes."""

    epoch: int
    metrics: Metrics
    value: float | None
    outcome: str
    seconds: float
    checkpoint: Checkpoint | None = None
    best: Checkpoint | None = None
    notes: tuple[str, ...] = ()
    beside: tuple[int, ...] | None = None


@dataclass(frozen=True)
class TuneReport:
    """What Tune is told of an epoch, or of a trial's end.

    Attributes:
        value: the trial's best value so far, `newest` that of this epoch alone.
        outcome: running, completed, early_stopped, stopped, nan, crash, or refused (never begun).
        goals: each goal's value at the trial's end.
    """

    epoch: int
    value: float | None
    outcome: str
    newest: float | None = None
    goals: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class DispatchConfig:
    """What a dispatcher goes by.

    Attributes:
        epochs: after which a trial waits for a decision.
        releases_worker: whether a trial that waits for a decision gives its worker group back.
        attempts: starts of a trial, without a new epoch in between, before it counts as failed.
        hang_seconds: without a step or a sign of life, after which a worker group is ended; see `liveness.py`.
        cores, gpus: that one worker group holds.
        limits: the budget.
        floors: validation metrics with their smallest values; a trial below one has not reached the target.
    """

    epochs: frozenset[int] = frozenset()
    releases_worker: bool = False
    attempts: int = 3
    hang_seconds: float = 60.0
    cores: float = 1.0
    gpus: float = 0.0
    limits: BudgetLimits = field(default_factory=BudgetLimits)
    floors: tuple[tuple[str, float], ...] = ()


@dataclass
class WorkerGroup:
    """A worker group as the dispatcher knows it: its newest generation, its processes, how alive it is.

    `lanes` is how many trials it trains at once, as far as it has said.
    """

    generation: int
    processes: tuple[WorkerProcess, ...]
    liveness: Liveness
    lanes: int = 1
