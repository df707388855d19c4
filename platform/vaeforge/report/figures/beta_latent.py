"""β against latent size: each trial in the plane of the two, over a surface interpolated between them.

The surface is an inverse-distance mean (Shepard 1968, "A two-dimensional interpolation function for irregularly-spaced
data", ACM National Conference) of the trials' values, power 3, in the axes as they are drawn. It is a guide for the
eye; far from any trial it says nothing.
"""

import math

import numpy as np
from numpy.typing import NDArray

from vaeforge.report.figure import Absent, Axis, DataTable, Figure, Layer, Panel, Surface
from vaeforge.report.figures.optimisation import value_limits
from vaeforge.report.labels import BETA, LATENT, NELBO
from vaeforge.report.record import SearchRecord
from vaeforge.report.schedule_layers import by_schedule, schedules_of
from vaeforge.report.trial_points import TrialPoint

NAME, TITLE = "beta-latent-size", "β against latent size"
CELLS, POWER, FEWEST = 24, 3.0, 6
Floats = NDArray[np.float64]


def beta_latent(record: SearchRecord) -> Figure | Absent:
    """Where in the plane of β and latent size the good trials lie."""
    trials = [trial for trial in record.trials if trial.done and _known(trial)]
    if not trials:
        return Absent(NAME, TITLE, "no fully trained trial has both numbers")
    table = DataTable.of(
        [
            {
                "trial": trial.number,
                "schedule": trial.schedule,
                "latent_size": trial.latent_size,
                "full_beta": trial.full_beta,
                "val/nelbo": trial.value,
                "val/active_units": trial.metric("active_units"),
            }
            for trial in trials
        ]
    )
    limits = value_limits([trial.value for trial in trials if trial.value is not None])
    layers = by_schedule(
        trials, schedules_of(record.trials), _latent, lambda trial: trial.full_beta, lambda trial: trial.value
    )
    panel = Panel(
        Axis(LATENT, log=True),
        Axis(BETA, log=True),
        (*layers, *_marked(record.best)),
        shades=Axis(NELBO, limits=limits),
        surface=surface(trials, limits) if len(trials) >= FEWEST else None,
    )
    few = f"No surface is drawn of fewer than {FEWEST} fully trained trials."
    guide = "The surface is interpolated between the points; where there are none it says nothing."
    return Figure(
        NAME,
        TITLE,
        "Each point is a fully trained trial; its colour, and that of the surface, is its value: look for the region "
        "in which dark (low) values gather.",
        table,
        (panel,),
        (guide if len(trials) >= FEWEST else few,),
    )


def _known(trial: TrialPoint) -> bool:
    known = trial.value is not None and trial.latent_size is not None and trial.full_beta is not None
    return known and (trial.full_beta or 0.0) > 0


def _latent(trial: TrialPoint) -> float | None:
    return None if trial.latent_size is None else float(trial.latent_size)


def _marked(best: TrialPoint | None) -> tuple[Layer, ...]:
    if best is None or not _known(best):
        return ()
    label = f"chosen: trial {best.number}"
    return (Layer("points", (_latent(best),), (best.full_beta,), label, colour=1, symbol="star", notes=(best.told(),)),)


def surface(trials: list[TrialPoint], limits: tuple[float, float]) -> Surface | None:
    """Values over the plane of the logarithms of both; none where the trials span no area."""
    places = np.array([[math.log(t.latent_size or 1), math.log(t.full_beta or 1.0)] for t in trials])
    values = np.clip([t.value or 0.0 for t in trials], *limits)
    low, span = places.min(axis=0), np.ptp(places, axis=0)
    if not (span > 0).all():
        return None
    steps = np.linspace(0.0, 1.0, CELLS)
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 1, 2)
    far = np.linalg.norm(grid - (places - low) / span, axis=-1)
    weights = 1.0 / np.maximum(far, 1e-3) ** POWER
    heights: Floats = ((weights * values).sum(axis=1) / weights.sum(axis=1)).reshape(CELLS, CELLS)
    x, y = (np.exp(low[place] + steps * span[place]) for place in (0, 1))
    return Surface(tuple(x.tolist()), tuple(y.tolist()), tuple(tuple(row) for row in heights.tolist()))
