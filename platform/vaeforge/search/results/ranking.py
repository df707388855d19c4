"""Ranking of a search's trials: their order, the winner, which ones are repeated, and whose checkpoints are kept.

One goal: trials that were trained to their end (all epochs, or until patience ran out), by value; if there is none,
those that were stopped before. Those whose selected epoch keeps the floors (`objective.require`) come first. Several
goals: the Pareto front first, the chosen point first of all, then the others by non-dominated rank; stopped trials have
no point there.

Repeats: a trial that was run again under other seeds stands for all its runs, with their mean and standard deviation.
The smallest of many noisy values is smaller than what its configuration is worth (Smith and Winkler 2006, "The
optimizer's curse", Management Science 52(3)), so that single runs cannot be compared with means: trials with all their
repeats come before all others, and the winner is the best mean among them. A trial with a repeat that failed or is
missing counts among the others. The best of several means is too good, too: `winner_value.py` says what is told of it.

This order decides which model is handed on and which checkpoints are deleted. The file imports nothing heavy, because
the dispatcher asks it at each trial's end.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from heapq import nsmallest
from statistics import fmean, stdev

from vaeforge.errors import SearchError
from vaeforge.ledger.events import FINAL_OUTCOMES
from vaeforge.ledger.history import SearchHistory
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.search.results.pareto import FrontPoint, choose, front, ranks
from vaeforge.search.space.objective import Objective


@dataclass(frozen=True)
class RankedTrial:
    """A trial in the ranking, with the means over its runs.

    Attributes:
        trial: the trial itself; the model that is handed on is its checkpoint, never one of a repeat.
        value: its `val/nelbo`, nats per sample, smaller is better; the mean over `runs`.
        sd: sample standard deviation of the value over `runs`; none with one run.
        runs: the trial's number, then those of its repeats that were trained to their end.
        keeps_floors: whether `metrics` keep the floors of the objective.
        on_front: with several goals, whether it is on the Pareto front; always false with one.
        metrics: those of the selected epoch, means over `runs`.
        spread: their sample standard deviations; empty with one run.
        failed: numbers of the repeats that ended in another way.
        repeated: whether it has as many repeats as any, all trained to their end.
        chosen: whether it is the winner.
    """

    trial: TrialRecord
    value: float
    sd: float | None
    runs: tuple[int, ...]
    keeps_floors: bool
    on_front: bool
    metrics: Mapping[str, float | None]
    spread: Mapping[str, float]
    failed: tuple[int, ...] = ()
    repeated: bool = False
    chosen: bool = False


@dataclass(frozen=True)
class Ranking:
    """All trials that can win, best first; `problem`: why none is the winner; `note`: what to know about the choice."""

    standings: list[RankedTrial]
    problem: str | None = None
    note: str = ""


def rank(history: SearchHistory, objective: Objective) -> list[RankedTrial]:
    """The trials that can win, best first, repeats folded into the trial they repeat; see the module's docstring."""
    return ranked(history, objective).standings


def winner(history: SearchHistory, objective: Objective) -> RankedTrial:
    """The best trial.

    Raises:
        SearchError: if there is none, or none keeps the constraint by which one of several is chosen.
    """
    found = ranked(history, objective)
    if found.problem is not None:
        raise SearchError(f"search {history.header.name if history.header else ''!r}: {found.problem}")
    return found.standings[0]


def ranked(history: SearchHistory, objective: Objective) -> Ranking:
    """`rank`, with why nothing wins or what to know about the winner."""
    repeats = repeats_of(history)
    standings = [_standing(trial, repeats, objective) for trial in _candidates(history, objective)]
    if not standings:
        return Ranking([], _nothing(history, objective))
    if not objective.single:
        return _by_fronts(standings, objective)
    first, *others = sorted(standings, key=lambda s: (not s.repeated, not s.keeps_floors, s.value, s.trial.number))
    return Ranking([replace(first, chosen=True), *others])


def finalists(history: SearchHistory, objective: Objective, count: int) -> list[int]:
    """The best `count` trials that were trained to their end, by one run each: those worth running again.

    Repeats do not change the answer. With several goals: those of the front alone, in the order of the rule of choice.
    """
    trained = [trial for trial in _originals(history) if _trained(trial, objective)]
    if objective.single:
        return [trial.number for trial in nsmallest(count, trained, key=lambda trial: _order(trial, objective))]
    members = _front_of(trained, objective)
    return [members[place].number for place in choose(members, objective).order[:count]]


def retained_trials(
    history: SearchHistory, objective: Objective, count: int, among: Iterable[TrialRecord] | None = None
) -> set[int]:
    """The trials whose checkpoints are kept.

    These are the best `count` by one run each, with several goals the whole front, and all that are repeated. The best
    are those `among` some, where it is known that no other one is: for a search of many thousand trials.
    """
    best, again = _candidates(history, objective, among), set(history.repeated)
    if objective.single:
        return again | {trial.number for trial in nsmallest(count, best, key=lambda trial: _order(trial, objective))}
    return again | {point.number for point in _front_of(best, objective)}


def best_so_far(history: SearchHistory, objective: Objective) -> TrialRecord | None:
    """The best trial so far, by one run each; before one has ended, the best of those that are in training."""
    best = _candidates(history, objective)
    if best and not objective.single:
        members = _front_of(best, objective)
        return history.trials[members[choose(members, objective).order[0]].number]
    under_way = [trial for trial in _originals(history) if trial.state is None and trial.value is not None]
    return min(best or under_way, key=lambda trial: _order(trial, objective), default=None)


def repeats_of(history: SearchHistory) -> dict[int, list[TrialRecord]]:
    """The trials that repeat another one, by the number of that one."""
    found: dict[int, list[TrialRecord]] = {}
    for trial in history.trials.values():
        if trial.repeat_of is not None:
            found.setdefault(trial.repeat_of, []).append(trial)
    return found


def _originals(history: SearchHistory, among: Iterable[TrialRecord] | None = None) -> Iterator[TrialRecord]:
    known = history.trials.values() if among is None else among
    return (trial for trial in known if trial.repeat_of is None)


def _candidates(
    history: SearchHistory, objective: Objective, among: Iterable[TrialRecord] | None = None
) -> list[TrialRecord]:
    """The trials that can win; with one goal those stopped on the way where none was trained to its end."""
    originals = list(_originals(history, among))
    trained = [trial for trial in originals if _trained(trial, objective)]
    if trained or not objective.single:
        return trained
    return [trial for trial in originals if trial.state == "stopped" and trial.value is not None]


def _trained(trial: TrialRecord, objective: Objective) -> bool:
    """Whether it was trained to its end, with a number for every goal."""
    if trial.state not in FINAL_OUTCOMES or trial.value is None:
        return False
    return objective.single or objective.costs(trial.best_metrics) is not None


def _order(trial: TrialRecord, objective: Objective) -> tuple[bool, float, int]:
    """What orders single runs with one goal; metrics are looked up only where there are floors."""
    below = bool(objective.floors) and not objective.keeps_floors(trial.best_metrics)
    return below, _value(trial), trial.number


def _value(trial: TrialRecord) -> float:
    assert trial.value is not None
    return trial.value


def _front_of(trials: list[TrialRecord], objective: Objective) -> list[FrontPoint]:
    """The trials, as points by one run each, that no other one dominates."""
    return _undominated([_point(trial.number, trial.best_metrics, objective) for trial in trials])


def _undominated(points: list[FrontPoint]) -> list[FrontPoint]:
    return [points[place] for place in front([point.costs for point in points])]


def _point(number: int, metrics: Mapping[str, float | None], objective: Objective) -> FrontPoint:
    costs = objective.costs(metrics)
    assert costs is not None
    return FrontPoint(number, metrics, costs)


def _standing(trial: TrialRecord, repeats: dict[int, list[TrialRecord]], objective: Objective) -> RankedTrial:
    again = repeats.get(trial.number, [])
    runs = [trial, *(run for run in again if _trained(run, objective))]
    values, measured = [_value(run) for run in runs], [run.best_metrics for run in runs]
    columns = {name: [metrics.get(name) for metrics in measured] for name in measured[0]}
    known = {name: [value for value in column if value is not None] for name, column in columns.items()}
    metrics = {name: fmean(column) if len(column) == len(runs) else None for name, column in known.items()}
    wanted = max(map(len, repeats.values()), default=0)
    return RankedTrial(
        trial=trial,
        value=fmean(values),
        sd=stdev(values) if len(runs) > 1 else None,
        runs=tuple(run.number for run in runs),
        keeps_floors=objective.keeps_floors(metrics),
        on_front=False,
        metrics=metrics,
        spread={name: stdev(column) for name, column in known.items() if len(column) == len(runs) > 1},
        failed=tuple(run.number for run in again if run.state is not None and not _trained(run, objective)),
        repeated=0 < wanted == len(runs) - 1,
    )


def _by_fronts(standings: list[RankedTrial], objective: Objective) -> Ranking:
    """The chosen one first, then repeated before single runs, and by rank; the front by the rule of choice.

    The choice is among the repeated trials, unless there is none that keeps the rule's constraint.
    """
    points = [_point(standing.trial.number, standing.metrics, objective) for standing in standings]
    level = dict(zip((point.number for point in points), ranks([point.costs for point in points]), strict=True))
    whole = [point for point in points if level[point.number] == 0]
    again = [point for point, standing in zip(points, standings, strict=True) if standing.repeated]
    again = _undominated(again)
    choice, among = choose(whole, objective), whole
    place = {whole[position].number: rank for rank, position in enumerate(choice.order)}
    if again and (repeated := choose(again, objective)).problem is None:
        choice, among = repeated, again
    chosen = among[choice.order[0]].number if whole and choice.problem is None else None

    def order(standing: RankedTrial) -> tuple[bool, bool, int, int, int]:
        number = standing.trial.number
        return number != chosen, not standing.repeated, level[number], place.get(number, 0), number

    placed = [
        replace(standing, on_front=level[standing.trial.number] == 0, chosen=standing.trial.number == chosen)
        for standing in standings
    ]
    return Ranking(sorted(placed, key=order), choice.problem, choice.note)


def _nothing(history: SearchHistory, objective: Objective) -> str:
    name = history.header.name if history.header else "NAME"
    stopped = sum(trial.state == "stopped" for trial in history.trials.values())
    why = f", {stopped} were stopped early and have no point on the front" if stopped else ""
    ended = "no trial ended with a value" if objective.single else "no trial was trained fully"
    return f"{ended}{why}; `vaeforge trials {name}` says how each one ended"
