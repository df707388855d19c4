"""Optimisation: the value of each trial in the order of trying, and the learning curves with rungs and stops."""

from collections.abc import Iterator, Mapping

from vaeforge.report.figure import Absent, Axis, Cell, DataTable, Figure, Layer, Panel, Symbol
from vaeforge.report.labels import EPOCH, NELBO, STATES, TRIAL
from vaeforge.report.record import SearchRecord
from vaeforge.report.thinning import MOST_CURVES, few_of, told
from vaeforge.report.trial_points import TrialPoint

COLOURED = 5  # best trials that have a colour of their own among the learning curves
SHOWN = 0.9  # share of the values that a panel must show; the worst lie outside, and the table has them
SYMBOLS: Mapping[str, Symbol] = {
    "completed": "circle",
    "early_stopped": "square",
    "stopped": "triangle",
    "failed": "cross",
    "running": "diamond",
}


def optimisation_history(record: SearchRecord) -> Figure | Absent:
    """The value of each trial, and the best until then."""
    title = "Optimisation history"
    known = [trial for trial in record.trials if trial.value is not None]
    if not known:
        return Absent("optimisation-history", title, "no trial has a value yet")
    best = dict(_best_so_far(record))
    table = DataTable.of(
        [
            {
                "trial": trial.number,
                "state": trial.state,
                "val/nelbo": trial.value,
                "best_so_far": best.get(trial.number),
                "epochs": len(trial.epochs),
                "minutes_in_training": trial.seconds / 60,
                "repeat_of": trial.repeat_of,
                "why": trial.why,
            }
            for trial in record.trials
        ]
    )
    steps = Layer("steps", tuple(best), tuple(best.values()), "best of the fully trained so far", colour=1)
    limits = value_limits([trial.value for trial in known if trial.value is not None])
    panel = Panel(Axis(TRIAL), Axis(NELBO, limits=limits), (*_by_state(known), *((steps,) if best else ())))
    return Figure(
        "optimisation-history",
        title,
        "Each point is a trial in the order of trying, lower is better; the line falls wherever a fully trained "
        "trial became the best.",
        table,
        (panel,),
        _outside(known, limits),
    )


def _by_state(trials: list[TrialPoint]) -> Iterator[Layer]:
    for state, symbol in SYMBOLS.items():
        shown = [trial for trial in trials if trial.state == state]
        if shown:
            yield Layer(
                "points",
                tuple(float(trial.number) for trial in shown),
                tuple(trial.value for trial in shown),
                STATES[state],
                colour=0 if state in ("completed", "early_stopped") else None,
                symbol=symbol,
                notes=tuple(f"{trial.told()}; {trial.why}" for trial in shown),
            )


def _best_so_far(record: SearchRecord) -> Iterator[tuple[int, float]]:
    best: float | None = None
    for trial in record.trials:
        if trial.done and trial.value is not None and trial.repeat_of is None:
            best = trial.value if best is None else min(best, trial.value)
        if best is not None:
            yield trial.number, best


def value_limits(values: list[float]) -> tuple[float, float]:
    """From just below the best to just above `SHOWN` of the values: one diverged trial hides no difference."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[min(len(ordered) - 1, int(SHOWN * len(ordered)))]
    margin = 0.08 * ((high - low) or abs(high) or 1.0)
    return low - margin, high + margin


def _outside(trials: list[TrialPoint], limits: tuple[float, float]) -> tuple[str, ...]:
    count = sum(trial.value is not None and trial.value > limits[1] for trial in trials)
    return (f"{count} trials lie above what is shown; the table has them.",) if count else ()


def learning_curves(record: SearchRecord) -> Figure | Absent:
    """`val/nelbo` of each epoch, the rungs, and where trials were stopped."""
    title = "Learning curves, rungs and stopped trials"
    shown = few_of(record.trials, MOST_CURVES)
    rows = [row for trial in shown for row in _rows(trial)]
    values = [row["val/nelbo"] for row in rows if isinstance(row["val/nelbo"], float | int)]
    if not values:
        return Absent("learning-curves", title, "no epoch was reported")
    best = record.placed()[:COLOURED]
    others = [trial for trial in shown if trial not in best]
    stopped = [row for row in rows if row["decision"] == "stop" and row["val/nelbo"] is not None]
    limits = value_limits([float(value) for value in values])
    layers = [
        _curves([t for t in others if t.state == "stopped"], "stopped", faint=True),
        _curves([t for t in others if t.state != "stopped"], "other trials", faint=False),
        *(_curves([trial], f"trial {trial.number}, rank {trial.rank}", place) for place, trial in enumerate(best)),
        *(_rung(epoch, limits) for epoch in sorted({r["epoch"] for r in rows if r["decision"]}, key=str)),
        Layer(
            "points",
            tuple(_number(row["epoch"]) for row in stopped),
            tuple(_number(row["val/nelbo"]) for row in stopped),
            "stopped here",
            symbol="cross",
            notes=tuple(f"trial {row['trial']}: {row['why']}" for row in stopped),
        ),
    ]
    panel = Panel(Axis(EPOCH), Axis(NELBO, limits=limits), tuple(layer for layer in layers if layer.x))
    return Figure(
        "learning-curves",
        title,
        "Each line is a trial over its epochs; at a dotted line (a rung) the scheduler compared trials, and a cross is "
        "where it stopped one.",
        DataTable.of(rows),
        (panel,),
        (
            "Values from before a schedule's β is full can be better than what the trial is worth; they do not count.",
            *told(shown, record.trials, "Drawn, and in the table, are"),
        ),
    )


def _rows(trial: TrialPoint) -> Iterator[dict[str, Cell]]:
    for point in trial.epochs:
        yield {
            "trial": trial.number,
            "epoch": point.epoch,
            "val/nelbo": point.metrics.get("val/nelbo"),
            "trial_value": point.value,
            "beta": point.metrics.get("beta"),
            "decision": point.decision,
            "needed": point.needed,
            "why": trial.why if point.decision == "stop" else "",
        }


def _curves(trials: list[TrialPoint], label: str, colour: int | None = None, faint: bool = False) -> Layer:
    """All `trials` as one broken line, so that a search of thousands stays light."""
    x: list[float | None] = []
    y: list[float | None] = []
    notes: list[str] = []
    for trial in trials:
        for point in trial.epochs:
            x.append(float(point.epoch))
            y.append(point.metrics.get("val/nelbo"))
            notes.append(f"trial {trial.number}")
        x.append(None)
        y.append(None)
        notes.append("")
    return Layer("line", tuple(x), tuple(y), label, colour=colour, notes=tuple(notes), faint=faint)


def _rung(epoch: Cell, limits: tuple[float, float]) -> Layer:
    place = _number(epoch)
    return Layer("line", (place, place), limits, faint=True, dashed=True)


def _number(cell: Cell) -> float | None:
    return float(cell) if isinstance(cell, int | float) else None
