"""Parameters of the trials: each one against the value, and all of them at once as parallel coordinates."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from vaeforge.report.figure import Absent, Axis, Cell, DataTable, Figure, Layer, Panel
from vaeforge.report.figures.optimisation import value_limits
from vaeforge.report.labels import NELBO
from vaeforge.report.record import SearchRecord
from vaeforge.report.schedule_layers import by_schedule, schedules_of
from vaeforge.report.thinning import MOST_POINTS, few_of, told
from vaeforge.report.trial_points import TrialPoint

LOG_RATIO = 20.0  # a parameter whose values span more than this factor is drawn logarithmically
COMMON = 0.5  # share of the trials that must have a parameter to be an axis of the parallel coordinates
SHOWN = 300  # lines of the parallel coordinates


@dataclass(frozen=True)
class Parameter:
    """A number that trials have: its path, its values by trial, and whether it is drawn logarithmically."""

    path: str
    values: Mapping[int, float]
    log: bool

    def place(self, number: int) -> float | None:
        """Where a trial's value lies between the smallest (0) and the largest (1)."""
        if number not in self.values:
            return None
        low, high, value = (self._scaled(v) for v in (self.low, self.high, self.values[number]))
        return 0.5 if high == low else (value - low) / (high - low)

    @cached_property
    def low(self) -> float:
        return min(self.values.values())

    @cached_property
    def high(self) -> float:
        return max(self.values.values())

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.log else value


def numeric_parameters(trials: Sequence[TrialPoint]) -> list[Parameter]:
    """Every parameter with at least two different numbers, in alphabetical order."""
    found: dict[str, dict[int, float]] = {}
    for trial in trials:
        for path, value in trial.params.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                found.setdefault(path, {})[trial.number] = float(value)
    return [
        parameter(path, values) for path, values in sorted(found.items()) if min(values.values()) < max(values.values())
    ]


def parameter(path: str, values: Mapping[int, float]) -> Parameter:
    """The parameter, logarithmic where its values span more than `LOG_RATIO`."""
    low, high = min(values.values()), max(values.values())
    return Parameter(path, values, low > 0 and high / low > LOG_RATIO)


def slices(record: SearchRecord) -> Figure | Absent:
    """One panel a parameter, the value over it."""
    name, title = "slices", "The value over each parameter"
    trials = [trial for trial in record.trials if trial.done and trial.value is not None]
    found = numeric_parameters(trials)
    if not found:
        return Absent(name, title, "fewer than two fully trained trials differ in a number")
    limits = value_limits([trial.value for trial in trials if trial.value is not None])
    shown = few_of(trials, MOST_POINTS)
    panels = tuple(_slice(one, shown, schedules_of(record.trials), limits) for one in found)
    rows: list[dict[str, Cell]] = [
        {"trial": t.number, "schedule": t.schedule, "val/nelbo": t.value, **_cells(t)} for t in trials
    ]
    return Figure(
        name,
        title,
        "One panel a parameter, one point a fully trained trial: a slope or a valley is a parameter that matters; all "
        "others vary at the same time.",
        DataTable.of(rows),
        panels,
        told(shown, trials, "Drawn are"),
    )


def _slice(one: Parameter, trials: Sequence[TrialPoint], tried: Sequence[str], limits: tuple[float, float]) -> Panel:
    layers = by_schedule(trials, tried, lambda trial: one.values.get(trial.number), lambda trial: trial.value)
    return Panel(Axis(one.path, log=one.log), Axis(NELBO, limits=limits), layers)


def _cells(trial: TrialPoint) -> dict[str, Cell]:
    return {path: v if isinstance(v, str | int | float) else str(v) for path, v in sorted(trial.params.items())}


def parallel_coordinates(record: SearchRecord) -> Figure | Absent:
    """All parameters that most trials have, full β and the value, one line a trial."""
    name, title = "parallel-coordinates", "Parallel coordinates"
    trials = sorted((t for t in record.trials if t.done and t.value is not None), key=lambda t: t.value or 0.0)
    axes = _axes(trials)
    if len(trials) < 2 or len(axes) < 3:
        return Absent(name, title, "fewer than two fully trained trials, or fewer than two parameters in common")
    shown = trials[:SHOWN]
    best, others = shown[: max(1, len(shown) // 4)], shown[max(1, len(shown) // 4) :]
    layers = (
        _lines(others, axes, "the others", None),
        _lines(best, axes, "best quarter", 0),
        _ends(axes),
    )
    ticks = tuple((float(place), one.path) for place, one in enumerate(axes))
    rows = [
        {"trial": t.number, "schedule": t.schedule, **{one.path: one.values.get(t.number) for one in axes}}
        for t in trials
    ]
    panel = Panel(
        Axis("", ticks=ticks, limits=(-0.3, len(axes) - 0.7)),
        Axis("from the smallest (0) to the largest (1)", limits=(-0.12, 1.12)),
        layers,
    )
    left_out = (f"The {SHOWN} best of {len(trials)} trials are drawn.",) if len(trials) > SHOWN else ()
    return Figure(
        name,
        title,
        "Each line is a fully trained trial and crosses each axis at its value, smallest at the bottom: where the best "
        "quarter runs close together, that parameter decides.",
        DataTable.of(rows),
        (panel,),
        left_out,
    )


def _axes(trials: Sequence[TrialPoint]) -> list[Parameter]:
    """The parameters that most have, full β among them, the value last."""
    betas = {t.number: t.full_beta for t in trials if t.full_beta is not None}
    values = {t.number: t.value for t in trials if t.value is not None}
    found = [one for one in numeric_parameters(trials) if len(one.values) >= COMMON * len(trials)]
    found = [one for one in found if one.path not in ("beta.value", "beta.max")]
    found += [parameter("full β", betas)] if betas and len(betas) >= COMMON * len(trials) else []
    return [*found, parameter("val/nelbo", values)] if values else found


def _lines(trials: Sequence[TrialPoint], axes: Sequence[Parameter], label: str, colour: int | None) -> Layer:
    x: list[float | None] = []
    y: list[float | None] = []
    notes: list[str] = []
    for trial in trials:
        for place, one in enumerate(axes):
            x.append(float(place))
            y.append(one.place(trial.number))
            notes.append(trial.told())
        x.append(None)
        y.append(None)
        notes.append("")
    return Layer("line", tuple(x), tuple(y), label, colour=colour, notes=tuple(notes), faint=colour is None)


def _ends(axes: Sequence[Parameter]) -> Layer:
    """What the bottom and the top of each axis stand for."""
    marks = list(_end_marks(axes))
    return Layer(
        "points",
        tuple(x for x, _, _ in marks),
        tuple(y for _, y, _ in marks),
        symbol="none",
        texts=tuple(text for _, _, text in marks),
    )


def _end_marks(axes: Sequence[Parameter]) -> Iterator[tuple[float, float, str]]:
    for place, one in enumerate(axes):
        yield float(place), 0.0, f"{one.low:.3g}"
        yield float(place), 1.0, f"{one.high:.3g}"
