"""Plot and table of all trials of a search with several goals: the front, and the point chosen from it.

Two goals are one panel, three goals are three, one a pair. With two goals the front is a staircase: what lies on its
far side is dominated. Panels show the front and one front's width on its worse side; how many trials lie outside is
said. Trials stopped early are faint: their numbers are those of a shorter training, and they are not compared.
"""

import csv
import io
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from vaeforge.evaluation.drawing import canvas, save
from vaeforge.ledger.history import SearchHistory
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.paths import write_bytes
from vaeforge.search.results.ranking import RankedTrial, Ranking, ranked
from vaeforge.search.space.objective import Goal, Objective

UNITS = {"val/mse": "per value", "val/active_units": "count"}
MARGIN = 0.1
PANEL = (4.6, 4.2)


def write_front(history: SearchHistory, objective: Objective, folder: Path) -> list[Path]:
    """Write `front.png` and `front.csv` into `folder`; nothing, and no paths, with one goal or without a point."""
    found = ranked(history, objective)
    if objective.single or not found.standings:
        return []
    stopped = [t for t in history.trials.values() if t.state == "stopped" and objective.costs(t.best_metrics)]
    table = folder / "front.csv"
    write_bytes(table, _table(found.standings, stopped, objective).encode())
    return [_draw(found, stopped, objective, folder / "front.png"), table]


def _table(standings: Sequence[RankedTrial], stopped: Sequence[TrialRecord], objective: Objective) -> str:
    """One line a trial, in the order of the ranking, those stopped early last."""
    names = list(dict.fromkeys([goal.metric for goal in objective.goals] + list(objective.floors)))
    records = [*(standing.trial for standing in standings), *stopped]
    paths = sorted({path for record in records for path in record.params})
    heads = ["trial", "state", "front", "chosen", "runs", *names, *(f"{name} sd" for name in names), *paths]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    for one in standings:
        marks = [one.trial.number, one.trial.state, int(one.on_front), int(one.chosen), len(one.runs)]
        measured = [one.metrics.get(name) for name in names] + [one.spread.get(name) for name in names]
        writer.writerow([*marks, *measured, *(one.trial.params.get(path) for path in paths)])
    for record in stopped:
        measured = [record.best_metrics.get(name) for name in names] + [None] * len(names)
        writer.writerow([record.number, record.state, 0, 0, 1, *measured, *map(record.params.get, paths)])
    return text.getvalue()


def _draw(found: Ranking, stopped: Sequence[TrialRecord], objective: Objective, path: Path) -> Path:
    pairs = list(combinations(objective.goals, 2))
    figure = canvas(PANEL[0] * len(pairs), PANEL[1])
    for axes, (first, second) in zip(figure.subplots(1, len(pairs), squeeze=False)[0], pairs, strict=True):
        _panel(axes, (first, second), found.standings, stopped, staircase=len(pairs) == 1)
    figure.suptitle(f"chosen: {objective.choose.describe()}" if found.problem is None else "none is chosen", fontsize=9)
    return save(figure, path)


def _panel(
    axes: Any,
    pair: tuple[Goal, Goal],
    standings: Sequence[RankedTrial],
    stopped: Sequence[TrialRecord],
    staircase: bool,
) -> None:
    """The trials in the plane of two goals."""
    names = tuple(goal.metric for goal in pair)
    front = sorted((one for one in standings if one.on_front), key=lambda one: pair[0].cost(_at(one.metrics, names)[0]))
    others = [one for one in standings if not one.on_front]
    faint = [_at(record.best_metrics, names) for record in stopped]
    _dots(axes, faint, "stopped early", color="0.8", s=10)
    _dots(axes, [_at(one.metrics, names) for one in others], "dominated", color="0.5", s=14)
    shown = [_at(one.metrics, names) for one in front]
    _dots(axes, shown, "front", color="tab:blue", s=26, zorder=3)
    if staircase:  # from the best in the first goal on: the corner takes the worse of both neighbours
        axes.plot(*zip(*shown, strict=True), drawstyle="steps-post", color="tab:blue", linewidth=1)
    for one in standings:
        if one.spread:
            (x, y), (dx, dy) = _at(one.metrics, names), (one.spread.get(name, 0.0) for name in names)
            axes.errorbar(x, y, xerr=dx, yerr=dy, color="0.4", linewidth=0.8)
        if one.chosen:
            _dots(
                axes,
                [_at(one.metrics, names)],
                f"chosen: trial {one.trial.number}",
                color="tab:red",
                s=110,
                marker="*",
                zorder=4,
            )
    everything = faint + [_at(one.metrics, names) for one in standings]
    outside = _frame(axes, pair, shown + [_at(one.metrics, names) for one in standings if one.chosen], everything)
    axes.set_title(f"{outside} trials lie outside" if outside else "", fontsize=8)
    axes.legend(loc="upper right", fontsize=7)


def _dots(axes: Any, points: Sequence[tuple[float, ...]], label: str, **style: Any) -> None:
    if points:
        axes.scatter(*zip(*points, strict=True), label=label, **{"zorder": 2, **style})


def _at(metrics: Any, names: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(float(metrics[name]) for name in names)


def _frame(axes: Any, pair: tuple[Goal, Goal], shown: Any, everything: Any) -> int:
    """Label the axes and set their limits by the points that must be seen; how many of all lie outside."""
    limits = [_limits(goal, [point[place] for point in shown]) for place, goal in enumerate(pair)]
    for goal, limit, side in zip(pair, limits, ("x", "y"), strict=True):
        better = "lower" if goal.mode == "min" else "higher"
        axes.set(**{f"{side}label": f"{goal.metric} ({UNITS.get(goal.metric, 'nats per sample')}), {better} is better"})
        axes.set(**{f"{side}lim": limit})
    return sum(
        not all(low <= value <= high for value, (low, high) in zip(point, limits, strict=True)) for point in everything
    )


def _limits(goal: Goal, values: Sequence[float]) -> tuple[float, float]:
    """From just beyond the best to one width beyond the worst."""
    low, high = min(values), max(values)
    width = (high - low) or max(abs(high), 1.0) * MARGIN
    near, far = MARGIN * width, width
    return (low - near, high + far) if goal.mode == "min" else (low - far, high + near)
