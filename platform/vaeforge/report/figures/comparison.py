"""Comparison of searches: how fast each came how far, what each traded, and their winners beside each other."""

from collections.abc import Iterator, Sequence

from vaeforge.report.figure import OF_GROUPS, Absent, Axis, Cell, DataTable, Figure, Layer, Panel, number_in
from vaeforge.report.figures.optimisation import value_limits
from vaeforge.report.figures.rate_distortion import front_layer, front_of, measured
from vaeforge.report.label_placement import thinned
from vaeforge.report.labels import DISTORTION, NELBO, RATE
from vaeforge.report.record import SearchRecord
from vaeforge.report.sides import Side


def compared_figures(sides: Sequence[Side]) -> list[Figure | Absent]:
    """Every figure of several searches and versions; those of trials are of the searches among them."""
    records = [side.record for side in sides if side.record]
    of_trials = [progress(records), planes(records)] if records else []
    return [*of_trials, methods(sides)]


def progress(records: Sequence[SearchRecord]) -> Figure | Absent:
    """The best fully trained trial so far, over the minutes spent in training."""
    title = "The best so far"
    rows = [{"search": record.name, **step} for record in records for step in _steps(record)]
    if not rows:
        return Absent("progress", title, "no trial of these searches was trained fully")
    layers = []
    for place, record in enumerate(records):
        steps = list(_steps(record))
        x, y = (tuple(number_in(step[key]) for step in steps) for key in ("training_minutes", "best_so_far"))
        layers.append(Layer("steps", x, y, record.name, colour=place))
    limits = value_limits([float(row["best_so_far"] or 0.0) for row in rows])
    panel = Panel(Axis("minutes inside training, all trials together"), Axis(NELBO, limits=limits), tuple(layers))
    return Figure(
        "progress",
        title,
        "Each line falls when a fully trained trial became the best of its search: the lower and the further to the "
        "left, the better the search.",
        DataTable.of(rows),
        (panel,),
    )


def _steps(record: SearchRecord) -> Iterator[dict[str, Cell]]:
    """In the order in which trials ended."""
    best, spent = float("inf"), 0.0
    for trial in sorted((t for t in record.trials if t.finished is not None), key=lambda t: t.finished or 0.0):
        spent += trial.seconds / 60
        if trial.done and trial.value is not None and trial.repeat_of is None and trial.value < best:
            best = trial.value
            yield {"training_minutes": spent, "best_so_far": best, "trial": trial.number}


def planes(records: Sequence[SearchRecord]) -> Figure | Absent:
    """The rate–distortion planes on top of each other."""
    title = "Rate and distortion of all"
    shown = {record.name: [t for t in measured(record) if t.done] for record in records}
    rows: list[dict[str, Cell]] = [
        {
            "search": name,
            "trial": trial.number,
            "schedule": trial.schedule,
            "full_beta": trial.full_beta,
            "val/rate": trial.metric("rate"),
            "val/distortion": trial.metric("distortion"),
        }
        for name, trials in shown.items()
        for trial in trials
    ]
    if not rows:
        return Absent("rate-distortion", title, "no trial of these searches has both numbers")
    layers: list[Layer] = []
    for place, (name, trials) in enumerate(shown.items()):
        layers.append(
            Layer(
                "points",
                tuple(trial.metric("rate") for trial in trials),
                tuple(trial.metric("distortion") for trial in trials),
                name,
                colour=place,
                symbol=OF_GROUPS[place % len(OF_GROUPS)],
                notes=tuple(f"{name}: {trial.told()}" for trial in trials),
            )
        )
        layers.append(front_layer(front_of(trials), "", place))
    return Figure(
        "rate-distortion",
        title,
        "One colour a search, its front as a line: a front that lies further to the lower left is better at every β.",
        DataTable.of(rows),
        (thinned(Panel(Axis(RATE), Axis(DISTORTION), tuple(layer for layer in layers if layer.x))),),
    )


def methods(sides: Sequence[Side]) -> Figure | Absent:
    """The test metrics of winners and versions beside each other."""
    title = "The winners on the test set"
    found = {side.name: side.metrics for side in sides if side.metrics}
    names = sorted(set.intersection(*(set(one) for one in found.values()))) if found else []
    names = [name for name in names if name.startswith("test/")]
    if len(found) < len(sides):
        without = ", ".join(side.name for side in sides if not side.metrics)
        return Absent("test-metrics", title, f"no evaluated model of {without}")
    if not names:
        return Absent("test-metrics", title, "no metric was measured of all of these models")
    rows: list[dict[str, Cell]] = [{"metric": key, **{s: one[key] for s, one in found.items()}} for key in names]
    shown = [key for key in names if f"{key}_low" in names and f"{key}_high" in names][:6] or names[:6]
    ticks = tuple((float(place), search) for place, search in enumerate(found))
    panels = tuple(
        Panel(
            Axis(key),
            Axis("", ticks=ticks, limits=(-0.6, len(found) - 0.4)),
            (
                Layer(
                    "points",
                    tuple(float(one[key]) for one in found.values()),
                    tuple(float(place) for place in range(len(found))),
                    colour=0,
                    ends=tuple((one.get(f"{key}_low"), one.get(f"{key}_high")) for one in found.values()),
                ),
            ),
        )
        for key in shown
    )
    return Figure(
        "test-metrics",
        title,
        "One panel a metric, one point a model with its 95 % interval; intervals that overlap do not say "
        "that two models are equal.",
        DataTable.of(rows),
        panels,
    )
