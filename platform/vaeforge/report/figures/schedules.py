"""Schedules compared: the values of the trials under each, and which were never tried."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from vaeforge.report.figure import OF_GROUPS, Absent, Axis, Cell, DataTable, Figure, Layer, Panel
from vaeforge.report.figures.optimisation import value_limits
from vaeforge.report.labels import NELBO
from vaeforge.report.record import SearchRecord
from vaeforge.report.schedule_layers import schedules_of
from vaeforge.report.trial_points import TrialPoint

NAME, TITLE = "schedules", "Which schedule was better"
ENOUGH = 3  # fully trained trials that a schedule needs to be compared with another one


def schedule_comparison(record: SearchRecord) -> Figure | Absent:
    """The value of each trial by its schedule."""
    offered = offered_schedules(record)
    rows = _rows(record)
    done = [trial for trial in record.trials if trial.done and trial.value is not None]
    if not done:
        return Absent(NAME, TITLE, "no trial was trained fully")
    limits = value_limits([trial.value for trial in done if trial.value is not None])
    ticks = tuple((float(place), name) for place, name in enumerate(offered))
    across = Axis("schedule of β", ticks=ticks, limits=(-0.5, len(offered) - 0.5))
    tried = schedules_of(record.trials)
    layers = tuple(_layers(done, offered, tried))
    return Figure(
        NAME,
        TITLE,
        "One point a fully trained trial, a dash at the median of each schedule: compare the lowest points and the "
        "dashes; a column without a point was not trained fully, or never tried.",
        DataTable.of(rows),
        (Panel(across, Axis(NELBO, limits=limits), layers),),
        (*_said(rows), "A sampler tries what looks good more often, so that medians are not fair."),
    )


def schedule_findings(record: SearchRecord) -> tuple[str, ...]:
    """Which schedule was better, and which were never tried, in sentences; none where nothing can be compared."""
    done = any(trial.done and trial.value is not None for trial in record.trials)
    return _said(_rows(record)) if done else ()


def _said(rows: Sequence[Mapping[str, Cell]]) -> tuple[str, ...]:
    return (verdict(rows), *_never(rows))


def _rows(record: SearchRecord) -> list[dict[str, Cell]]:
    return [_row(schedule, record.trials) for schedule in offered_schedules(record)]


def offered_schedules(record: SearchRecord) -> list[str]:
    """The schedules that the space offers, and others that were tried all the same."""
    offered = [str(option) for option in _options(record.space.get("space", {}))]
    return sorted(dict.fromkeys([*offered, *schedules_of(record.trials)]))


def _options(space: Mapping[str, Any]) -> list[Any]:
    """The options of `beta.schedule`, which are a list, or the keys of a mapping."""
    dimension = space.get("beta.schedule", {})
    return list(dimension.get("choice", ())) if isinstance(dimension, Mapping) else []


def _row(schedule: str, trials: Sequence[TrialPoint]) -> dict[str, Cell]:
    mine = [trial for trial in trials if trial.schedule == schedule and trial.repeat_of is None]
    values = {trial.number: trial.value for trial in mine if trial.done and trial.value is not None}
    best = min(values, key=lambda number: values[number], default=None)
    return {
        "schedule": schedule,
        "trials": len(mine),
        "trained_fully": len(values),
        "stopped": sum(trial.state == "stopped" for trial in mine),
        "failed": sum(trial.state == "failed" for trial in mine),
        "collapsed": sum(trial.collapsed for trial in mine),
        "best": None if best is None else values[best],
        "median": median(values.values()) if values else None,
        "best_trial": best,
    }


def _layers(done: Sequence[TrialPoint], offered: Sequence[str], tried: Sequence[str]) -> Iterator[Layer]:
    for place, schedule in enumerate(offered):
        mine = [trial for trial in done if trial.schedule == schedule and trial.value is not None]
        if not mine:
            continue
        middle = median(trial.value for trial in mine if trial.value is not None)
        colour = tried.index(schedule)
        values, notes = tuple(trial.value for trial in mine), tuple(trial.told() for trial in mine)
        yield Layer(
            "points",
            _beside(place, len(mine)),
            values,
            colour=colour,
            symbol=OF_GROUPS[colour % len(OF_GROUPS)],
            notes=notes,
        )
        yield Layer("line", (place - 0.3, place + 0.3), (middle, middle), colour=colour)


def _beside(place: int, count: int) -> tuple[float, ...]:
    """Places next to each other, so that points do not hide each other."""
    return tuple(place + 0.4 * ((number + 0.5) / count - 0.5) for number in range(count))


def verdict(rows: Sequence[Mapping[str, Cell]]) -> str:
    """Which schedule has the best trial, and whether enough were trained to compare them."""
    known = [row for row in rows if isinstance(row["best"], float | int)]
    if not known:
        return "No schedule has a fully trained trial."
    best = min(known, key=lambda row: float(row["best"] or 0.0))
    few = [str(row["schedule"]) for row in known if int(row["trained_fully"] or 0) < ENOUGH]
    value = float(best["best"] or 0.0)
    said = f"The lowest value ({value:.2f}, trial {best['best_trial']}) is under the schedule {best['schedule']}."
    if len(known) == 1:
        return f"{said} No other schedule has a fully trained trial to compare with."
    if few:
        return f"{said} Too few to compare (fewer than {ENOUGH} fully trained trials): {', '.join(few)}."
    return said


def _never(rows: Sequence[Mapping[str, Cell]]) -> tuple[str, ...]:
    never = [str(row["schedule"]) for row in rows if not row["trials"]]
    return (f"Never tried: {', '.join(never)}.",) if never else ()
