"""Rows of reports: searches, trials, one trial in full. `records.to_json` makes the lines of `--json` of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vaeforge.ledger.events import Metrics, Params
from vaeforge.records import SPREAD


@dataclass(frozen=True)
class BestTrial:
    """A search's best trial.

    Attributes:
        value: nats per sample, over several runs with the standard deviation `sd`.
        optimistic: whether the value is of the runs that chose the trial; see `winner_value.py`.
    """

    trial: int
    value: float | None
    sd: float | None
    optimistic: bool


@dataclass(frozen=True)
class SearchRow:
    """One search as the list shows it.

    Attributes:
        state: running, ended, interrupted, empty (no trial was ever written down) or unreadable.
        about: who runs it, why it ended, by what it was interrupted, or what cannot be read.
        trials: state to how many.
        best: none before there is one.
        started, newest: unix seconds of the first and the newest line of the ledger.
        size: bytes of all files, hard links counted once.
    """

    name: str
    family: str | None
    state: str
    about: str
    trials: Mapping[str, int]
    best: BestTrial | None
    started: float | None
    newest: float | None
    size: int


@dataclass(frozen=True)
class InheritedWeights:
    """After which epoch a trial went on with the weights of which other one."""

    epoch: int
    donor: int | None


@dataclass(frozen=True)
class TrialRow:
    """How and why a trial ended.

    Attributes:
        state: running until it has ended.
        value: of the metric that is searched for, at the best epoch.
        epoch: the last one.
        seconds: in training.
        repeat_of: the trial that it repeats under another seed; `repeats` are those that repeat it.
        params: flat parameters; those inherited last where weights were inherited.
        collapsed: whether no dimension of its latent space is active at the best epoch.
        lanes: most trials that were trained as one model in one of its epochs, itself counted; `beside` all others.
        core_seconds, gpu_seconds: what it cost; of an epoch of several lanes its share.
    """

    trial: int
    state: str
    why: str
    value: float | None
    epoch: int
    seconds: float
    attempts: int
    inherited: tuple[InheritedWeights, ...]
    repeat_of: int | None
    repeats: tuple[int, ...]
    group: str
    params: Params
    collapsed: bool
    lanes: int
    beside: tuple[int, ...]
    core_seconds: float
    gpu_seconds: float


@dataclass(frozen=True)
class DecisionRow:
    """What the scheduler decided after an epoch; see `ledger.events.TrialDecided`."""

    epoch: int
    action: str
    value: float
    needed: float | None
    why: str
    donor: int | None
    params: Params | None


@dataclass(frozen=True)
class CrashRow:
    """An attempt that failed."""

    attempt: int
    cause: str
    traceback: str


@dataclass(frozen=True)
class EpochRow:
    """What an epoch came to; `beside` are the trials that it was trained with as one model."""

    epoch: int
    value: float | None
    seconds: float
    metrics: Metrics
    beside: tuple[int, ...] = ()


@dataclass(frozen=True)
class TrialDetail:
    """Everything the ledger holds of one trial.

    Attributes:
        checkpoint: where its best one lies; none where it went because others were better.
    """

    row: TrialRow = field(metadata=SPREAD)
    decisions: tuple[DecisionRow, ...]
    crashes: tuple[CrashRow, ...]
    epochs: tuple[EpochRow, ...]
    best_epoch: int | None
    best_metrics: Metrics
    checkpoint: str | None
