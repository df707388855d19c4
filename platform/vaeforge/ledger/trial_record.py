"""Record of one trial, as far as a ledger knows it."""

from dataclasses import dataclass, field

from vaeforge.ledger.events import (
    UNSOUND_OUTCOMES,
    AttemptCrashed,
    EpochReported,
    InheritedState,
    Params,
    TrialDecided,
)
from vaeforge.training.checkpoint_files import Checkpoint


@dataclass(frozen=True)
class Inheritance:
    """That a trial went on with the weights of `donor` after `epoch`, and from what."""

    epoch: int
    donor: int
    state: InheritedState


@dataclass
class TrialRecord:
    """One trial as far as the ledger knows it.

    Attributes:
        params: flat parameters; those inherited last where weights were inherited.
        first_params: those that it was submitted with.
        started, finished: unix seconds of its first line and of its end.
        reports: the newest report of each epoch, by epoch, ascending.
        decisions: by the epoch after which the trial was compared with others.
        leases: how often a worker group took it.
        crashes: its attempts that failed.
        setbacks: how many of them have failed since it last came further than ever before; not counted are those that
            are held against nobody (`AttemptCrashed.most`).
        furthest: the highest epoch that was ever reported.
        retries: how often it was tried again after it had failed for good.
        lanes: most trials that were trained as one model in an epoch of this one, itself counted.
        beside: all trials that it was ever trained with as one model.
        core_seconds, gpu_seconds: what all its epochs cost, those included that were trained again after a crash.
        host, generation: of the worker group that took it last; no generation once that attempt has failed.
        state: none while it has not ended, else completed, early_stopped, stopped or failed.
        repeat_of: the trial that this one repeats under another seed.
        inheritance: the last one.
    """

    number: int
    params: Params
    group: str = ""
    repeat_of: int | None = None
    first_params: Params = field(default_factory=dict)
    started: float = 0.0
    finished: float | None = None
    reports: dict[int, EpochReported] = field(default_factory=dict)
    decisions: dict[int, TrialDecided] = field(default_factory=dict)
    leases: int = 0
    crashes: list[AttemptCrashed] = field(default_factory=list)
    setbacks: int = 0
    furthest: int = 0
    retries: int = 0
    lanes: int = 1
    beside: set[int] = field(default_factory=set)
    core_seconds: float = 0.0
    gpu_seconds: float = 0.0
    state: str | None = None
    cause: str | None = None
    host: int | None = None
    generation: int | None = None
    inheritance: Inheritance | None = None
    final_value: float | None = None
    final_seconds: float | None = None

    @property
    def attempts(self) -> int:
        """Starts that a crash made necessary, and the first one."""
        return len(self.crashes) + bool(self.leases)

    @property
    def hangs(self) -> int:
        """How many of its setbacks were that it hung."""
        counted = [crash for crash in self.crashes if crash.most is None]
        return sum(crash.cause == "hang" for crash in counted[len(counted) - self.setbacks :])

    @property
    def last(self) -> EpochReported | None:
        return next(reversed(self.reports.values()), None)

    @property
    def epoch(self) -> int:
        return next(reversed(self.reports), 0)

    @property
    def value(self) -> float | None:
        """The newest finite value."""
        if self.state is not None:
            return self.final_value
        return next((r.value for r in reversed(self.reports.values()) if r.value is not None), None)

    @property
    def seconds(self) -> float:
        """Time inside training, over all epochs."""
        spent = self.final_seconds
        return float(sum(report.seconds for report in self.reports.values())) if spent is None else spent

    def checkpoints(self) -> list[Checkpoint]:
        """Checkpoints to resume from, newest first, never from a report that was not finite.

        Those from before an inheritance hold weights that the trial has given up.
        """
        floor = self.inheritance.epoch if self.inheritance else 0
        own = [r for epoch, r in sorted(self.reports.items(), reverse=True) if epoch > floor]
        found = [r.checkpoint for r in own if r.checkpoint][:2]
        if self.inheritance:
            return [*found, self.inheritance.state.checkpoint]
        best = own[0].best if own else None
        return found if best is None or best in found else [*found, best]

    @property
    def starts_inherited(self) -> bool:
        """Whether its next start continues from another trial's weights."""
        return self.inheritance is not None and self.epoch <= self.inheritance.epoch

    @property
    def best(self) -> Checkpoint | None:
        """The checkpoint after the best epoch."""
        return next((r.best for r in reversed(self.reports.values()) if r.best), None)

    @property
    def best_metrics(self) -> dict[str, float | None]:
        """The metrics of the best epoch, empty where there is none."""
        best = self.best
        if best and self.inheritance and best == self.inheritance.state.best:
            return dict(self.inheritance.state.metrics)
        return dict(self.reports[best.epoch].metrics) if best and best.epoch in self.reports else {}

    @property
    def diverged(self) -> bool:
        """Whether its training went astray after epochs that count: its best epoch is the result."""
        return self.state == "early_stopped" and self.last is not None and self.last.outcome in UNSOUND_OUTCOMES

    @property
    def collapsed(self) -> bool:
        """Whether the posterior of its best epoch does not depend on the sample in any dimension."""
        return self.best_metrics.get("val/active_units") == 0
