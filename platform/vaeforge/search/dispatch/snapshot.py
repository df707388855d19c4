"""Snapshot of a running search, small whatever its length: what the live view and the engine look at each second."""

from dataclasses import dataclass, field

from vaeforge.ledger.events import Params
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.search.dispatch.dispatcher import Dispatcher

RECENT = 12


@dataclass(frozen=True)
class TrialStatus:
    """How one trial stands.

    Attributes:
        state: running, waiting, or how it ended.
        host: number of the worker group that trains it now.
        lanes: most trials that were trained as one model in one of its epochs, itself counted.
        beside: while it is trained, the trials that its newest epoch was trained with as one model.
    """

    trial: int
    params: Params
    epoch: int
    value: float | None
    state: str
    host: int | None = None
    cause: str | None = None
    repeat_of: int | None = None
    lanes: int = 1
    beside: tuple[int, ...] = ()


@dataclass(frozen=True)
class BestSoFar:
    """The trial with the best value so far."""

    trial: int
    value: float


@dataclass(frozen=True)
class Snapshot:
    """How a search stands.

    Attributes:
        trials: those that have not ended, the newest that have, and the best one.
        counts: trials by state; of those that have not ended, the ones without a worker group wait.
        ended: how many have.
        hosts: the numbers of the worker groups that are up.
        lanes: how many trials one of them trains at once, at most.
        budget: how much of it is used, in words.
        over: why the search ends early, `failure` why it cannot continue.
    """

    trials: tuple[TrialStatus, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    ended: int = 0
    best: BestSoFar | None = None
    hosts: frozenset[int] = frozenset()
    lanes: int = 0
    budget: str | None = None
    over: str | None = None
    failure: str | None = None


def snapshot(dispatcher: Dispatcher, failure: str | None) -> Snapshot:
    """How the search of `dispatcher` stands."""
    history = dispatcher.history
    best = history.best_value()
    shown = {trial.number: trial for trial in [*history.unfinished(), *history.ended_trials[-RECENT:]]}
    shown |= {} if best is None else {best[1]: history.trials[best[1]]}
    return Snapshot(
        trials=tuple(_status(dispatcher, trial) for trial in shown.values()),
        counts=_counts(dispatcher),
        ended=dispatcher.ends,
        best=None if best is None else BestSoFar(best[1], best[0]),
        hosts=frozenset(dispatcher.groups),
        lanes=max((group.lanes for group in dispatcher.groups.values()), default=0),
        budget=dispatcher.config.limits.describe(dispatcher.spent),
        over=dispatcher.over,
        failure=failure,
    )


def _counts(dispatcher: Dispatcher) -> dict[str, int]:
    counts = dispatcher.history.counts()
    waiting = counts.get("running", 0) - len(dispatcher.leases)
    split = {"running": len(dispatcher.leases), "waiting": waiting}
    return {state: count for state, count in {**counts, **split}.items() if count}


def _status(dispatcher: Dispatcher, trial: TrialRecord) -> TrialStatus:
    held = trial.number in dispatcher.leases
    return status_of(trial, "running" if held else "waiting", trial.host if held else None)


def status_of(trial: TrialRecord, unended: str = "running", host: int | None = None) -> TrialStatus:
    """How a trial of a ledger stands; one that has not ended is in the state `unended`."""
    return TrialStatus(
        trial=trial.number,
        params=trial.params,
        epoch=trial.epoch,
        value=trial.value,
        state=trial.state or unended,
        host=host,
        cause=trial.cause,
        repeat_of=trial.repeat_of,
        lanes=trial.lanes,
        beside=_beside(trial) if host is not None else (),
    )


def _beside(trial: TrialRecord) -> tuple[int, ...]:
    """Of its newest epoch, if the attempt that goes on has had one."""
    last = trial.last
    return last.beside or () if last is not None and last.attempt == trial.leases else ()
