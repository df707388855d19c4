"""Ranked table of a search's trials: those that can win by rank, then all others by number."""

from collections.abc import Mapping

from vaeforge.report.figure import Cell, DataTable
from vaeforge.report.record import SearchRecord
from vaeforge.report.thinning import MOST_POINTS
from vaeforge.report.trial_points import TrialPoint

SAID = ("beta.schedule", "beta.value", "beta.max", "model.latent_dim")  # parameters that have columns of their own
METRICS = ("rate", "distortion", "active_units", "mse")


def ranked_table(record: SearchRecord, most: int = MOST_POINTS) -> DataTable:
    """One row a trial, at most so many: those that rank first, then the others by number."""
    ordered = sorted(record.trials, key=lambda trial: (trial.rank is None, trial.rank or 0, trial.number))[:most]
    paths = sorted({path for trial in ordered for path in trial.params} - set(SAID))
    several = any(trial.mean is not None for trial in ordered)
    stacked = any(trial.lanes > 1 for trial in ordered)
    return DataTable.of([_row(trial, paths, several, stacked) for trial in ordered])


def _row(trial: TrialPoint, paths: list[str], several: bool, stacked: bool) -> Mapping[str, Cell]:
    repeats = {"mean over runs": trial.mean, "sd over runs": trial.sd} if several else {}
    return {
        "rank": trial.rank,
        "trial": trial.number,
        "state": trial.state.replace("_", " "),
        "schedule": trial.schedule,
        "full β": trial.full_beta,
        "latent size": trial.latent_size,
        "val/nelbo": trial.value,
        **repeats,
        **{name.replace("_", " "): trial.metric(name) for name in METRICS},
        "epochs": len(trial.epochs),
        "minutes": trial.seconds / 60,
        **({"lanes": trial.lanes} if stacked else {}),
        "attempts": trial.attempts,
        **{path: _cell(trial.params.get(path)) for path in paths},
        "why": "; ".join([trial.why, *_flags(trial)]),
    }


def _flags(trial: TrialPoint) -> list[str]:
    flags = ["the model that is handed on"] if trial.chosen else []
    flags += ["on the Pareto front"] if trial.on_front else []
    flags += ["posterior collapse"] if trial.collapsed else []
    return flags + ([f"repeats trial {trial.repeat_of}"] if trial.repeat_of is not None else [])


def _cell(value: object) -> Cell:
    return value if value is None or isinstance(value, str | int | float) else str(value)


def shown(cell: Cell) -> str:
    """A cell for people: four digits of a number, two decimals of a large one."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return str(cell) if not isinstance(cell, float) else f"{cell:.2f}" if abs(cell) >= 100 else f"{cell:.4g}"
