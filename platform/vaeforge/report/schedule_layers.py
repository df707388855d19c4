"""Points by schedule: one colour and one symbol for each, the same in every figure of a search."""

from collections.abc import Callable, Sequence

from vaeforge.report.figure import OF_GROUPS, Layer
from vaeforge.report.trial_points import TrialPoint

Number = Callable[[TrialPoint], float | None]


def schedules_of(trials: Sequence[TrialPoint]) -> list[str]:
    """The schedules that were tried, in alphabetical order."""
    return sorted({trial.schedule for trial in trials})


def by_schedule(
    trials: Sequence[TrialPoint], tried: Sequence[str], x: Number, y: Number, shade: Number | None = None
) -> tuple[Layer, ...]:
    """One layer of points a schedule; trials that lack a number are left out.

    Args:
        trials: all that are shown.
        tried: `schedules_of` all trials of the search, whose places give colours and symbols.
        x: the number along the horizontal axis; y along the vertical one.
        y: see `x`.
        shade: a number for the colour scale, in place of a colour for each schedule.
    """
    layers = []
    for place, schedule in enumerate(tried):
        numbers = (x, y, shade) if shade else (x, y)
        shown = [t for t in trials if t.schedule == schedule and all(number(t) is not None for number in numbers)]
        if shown:
            layers.append(
                Layer(
                    "points",
                    tuple(x(trial) for trial in shown),
                    tuple(y(trial) for trial in shown),
                    label=schedule,
                    colour=place,
                    symbol=OF_GROUPS[place % len(OF_GROUPS)],
                    notes=tuple(trial.told() for trial in shown),
                    shades=tuple(shade(trial) for trial in shown) if shade else (),
                )
            )
    return tuple(layers)
