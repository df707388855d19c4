"""β over time: of the best trials, beside rate, distortion and active units."""

from vaeforge.report.figure import Absent, Axis, DataTable, Figure, Layer, Panel
from vaeforge.report.labels import ACTIVE, DISTORTION, EPOCH, RATE
from vaeforge.report.record import SearchRecord
from vaeforge.report.trial_points import TrialPoint

BEST = 5
SHOWN = {
    "beta": "β (weight of the rate)",
    "val/rate": RATE,
    "val/distortion": DISTORTION,
    "val/active_units": ACTIVE,
}


def beta_over_time(record: SearchRecord) -> Figure | Absent:
    """Four panels over the same epochs."""
    name, title = "beta-over-time", "β over time, and what it does to the latents"
    best = [trial for trial in record.placed() if trial.epochs][:BEST]
    if not best:
        return Absent(name, title, "no trial was trained fully")
    rows = [
        {
            "trial": trial.number,
            "rank": trial.rank,
            "schedule": trial.schedule,
            "epoch": point.epoch,
            **{key: point.metrics.get(key) for key in SHOWN},
        }
        for trial in best
        for point in trial.epochs
    ]
    panels = tuple(
        Panel(Axis(EPOCH), Axis(label), tuple(_line(trial, key, place) for place, trial in enumerate(best)))
        for key, label in SHOWN.items()
    )
    return Figure(
        name,
        title,
        f"The {len(best)} best trials over their epochs, one colour each: where β rises the rate falls and distortion "
        "grows; active units that do not come back have collapsed.",
        DataTable.of(rows),
        panels,
    )


def _line(trial: TrialPoint, key: str, place: int) -> Layer:
    return Layer(
        "line",
        tuple(float(point.epoch) for point in trial.epochs),
        tuple(point.metrics.get(key) for point in trial.epochs),
        f"trial {trial.number} ({trial.schedule})",
        colour=place,
        notes=tuple(trial.told() for _ in trial.epochs),
    )
