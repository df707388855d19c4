"""How a search stands, small whatever its length: what the live view and the engine look at each second."""

from typing import Any

from vaeforge.ledger.history import TrialRecord
from vaeforge.search.dispatch.dispatcher import Board

RECENT = 12


def snapshot(board: Board, failure: str | None) -> dict[str, Any]:
    """Counts, hosts, the best trial so far, and of the trials those that have not ended and the newest that have.

    `over` says why the search ends early, `failure` why it cannot go on.
    """
    history = board.history
    open_trials = history.unfinished()
    valued = [(value, trial.number) for trial in history.trials.values() if (value := trial.value) is not None]
    best = min(valued, default=None)
    return {
        "trials": [_trial(board, trial) for trial in [*open_trials, *history.ended_trials[-RECENT:]]],
        "counts": _counts(board),
        "ended": board.ends,
        "best": None if best is None else {"trial": best[1], "value": best[0]},
        "hosts": {number: host.processes for number, host in board.hosts.items()},
        "budget": board.terms.limits.describe(board.spent),
        "over": board.over,
        "failure": failure,
    }


def _counts(board: Board) -> dict[str, int]:
    """Trials by state; of those that have not ended, the ones without a host wait."""
    counts = board.history.counts()
    waiting = counts.get("running", 0) - len(board.leases)
    split = {"running": len(board.leases), "waiting": waiting}
    return {state: count for state, count in {**counts, **split}.items() if count}


def _trial(board: Board, trial: TrialRecord) -> dict[str, Any]:
    held = trial.number in board.leases
    return {
        "trial": trial.number,
        "params": trial.params,
        "epoch": trial.epoch,
        "value": trial.value,
        "state": trial.state or ("running" if held else "waiting"),
        "host": trial.host if held else None,
        "cause": trial.cause,
        "repeat_of": trial.repeat_of,
    }
