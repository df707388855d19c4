"""Sentence on what a search waits for, by its history: nothing is asked of its process."""

from collections.abc import Sequence

from vaeforge.ledger.history import SearchHistory
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.progress_bar import duration


def waits_for(history: SearchHistory, now: float) -> str:
    """The sentence, of a search that someone runs.

    Args:
        history: of all sessions until now.
        now: unix seconds.
    """
    if history.phase != "running":
        return "waits for its process, which writes its results or starts it again"
    if history.header is None:
        return "waits for its data and its cluster"
    if not history.groups:
        return f"waits for the first worker ({_ago(history.newest, now)})"
    open_trials = history.unfinished()
    if not open_trials:
        return f"waits for the next trial to be proposed, or for its end ({_ago(history.newest, now)})"
    running = [trial for trial in open_trials if trial.host is not None]
    if not running:
        return f"waits for a worker that takes {_trials(open_trials)} ({_ago(history.newest, now)})"
    new = [trial for trial in running if not trial.reports]
    if len(new) == len(running):
        return f"waits for the first epoch of {_trials(new)} ({_ago(history.newest, now)})"
    known = [trial for trial in running if trial.last is not None]
    slowest = max(known, key=lambda trial: trial.last.seconds if trial.last else 0.0)
    assert slowest.last is not None
    usual = f"an epoch of trial {slowest.number} takes {duration(slowest.last.seconds)}"
    return f"waits for the next epoch of {_trials(running)} ({_ago(history.newest, now)}; {usual})"


def _trials(trials: Sequence[TrialRecord]) -> str:
    numbers = [trial.number for trial in trials]
    return f"trial {numbers[0]}" if len(numbers) == 1 else f"trials {', '.join(map(str, numbers))}"


def _ago(then: float, now: float) -> str:
    return f"last news {duration(max(0.0, now - then))} ago"
