"""Words for people on lanes: how many trials run at once, where one is trained, and with which others."""

from collections.abc import Sequence

from vaeforge.search.dispatch.snapshot import Snapshot, TrialStatus

NAMED = 4  # trials beside one that are named; of more it is said how many


def parallel_words(snapshot: Snapshot) -> str:
    """How many trials run at once; where groups have no lanes, how many there is room for."""
    hosts = len(snapshot.hosts)
    if not hosts:
        return "starting workers"
    if snapshot.lanes <= 1:
        return f"{_many(hosts, 'trial')} in parallel"
    running = snapshot.counts.get("running", 0)  # lanes stay empty where no trial is left that can be stacked
    return f"{_many(running, 'trial')} in parallel ({_many(hosts, 'host')} of up to {snapshot.lanes} lanes)"


def place_words(trial: TrialStatus) -> str:
    """The worker group that trains a trial, and which others it trains beside it."""
    if trial.host is None:
        return ""
    return f"{trial.host}, beside {trials_words(trial.beside)}" if trial.beside else str(trial.host)


def trials_words(numbers: Sequence[int], named: int = NAMED) -> str:
    """Trials beside another one, by their numbers up to so many; of more, how many."""
    return ", ".join(map(str, numbers)) if len(numbers) <= named else f"{len(numbers)} others"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
