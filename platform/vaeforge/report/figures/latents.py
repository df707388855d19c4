"""Latents: what each dimension of the winner says, and the predicted collapse of all trials against what happened."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vaeforge.errors import DataError
from vaeforge.report.figure import Absent, Axis, DataTable, Figure, Layer, Panel
from vaeforge.report.figures.evaluation import NOT_YET
from vaeforge.report.labels import ACTIVE, BETA
from vaeforge.report.record import SearchRecord
from vaeforge.report.schedule_layers import by_schedule, schedules_of
from vaeforge.report.trial_points import TrialPoint

if TYPE_CHECKING:
    from vaeforge.data.prepared import PcaSpectrum

COLLAPSE, COLLAPSE_TITLE = "collapse", "Predicted collapse against what happened"


def kl_per_dimension(record: SearchRecord) -> Figure | Absent:
    """The mean KL of each latent dimension of the winner over the test samples, the largest first."""
    name, title = "kl-per-dimension", "KL per latent dimension of the winner"
    curve = record.evaluated.curve("kl_per_dimension") if record.evaluated else []
    if not curve:
        return Absent(name, title, NOT_YET)
    bars = Layer(
        "bars",
        tuple(place for place, _ in curve),
        tuple(value for _, value in curve),
        colour=0,
        notes=tuple(f"dimension {place:g}: {value:.4g} nats" for place, value in curve),
    )
    said = sum(value for _, value in curve)
    panel = Panel(Axis("latent dimension, sorted (number)"), Axis("mean KL to the prior (nats per sample)"), (bars,))
    return Figure(
        name,
        title,
        "One bar a latent dimension, on the test samples: a bar near 0 is a dimension that the decoder ignores.",
        DataTable.of([{"dimension": int(place), "kl_nats": value} for place, value in curve]),
        (panel,),
        (f"All together {said:.2f} nats per sample, which is the rate.",),
    )


def collapse(record: SearchRecord) -> Figure | Absent:
    """Active units over β, and how many a linear VAE would keep."""
    spectrum = record.spectrum
    trials = [t for t in record.trials if t.metric("active_units") is not None and t.full_beta]
    if not trials:
        return Absent(COLLAPSE, COLLAPSE_TITLE, "no trial has active units and a β above 0")
    if spectrum is None:
        why = "the prepared data are gone or other ones now, and with them the spectrum that predicts it"
        return Absent(COLLAPSE, COLLAPSE_TITLE, why)
    try:
        known = _expected(trials, spectrum, record.settings)
    except DataError as error:
        return Absent(COLLAPSE, COLLAPSE_TITLE, str(error))
    return Figure(
        COLLAPSE,
        COLLAPSE_TITLE,
        "Coloured points are trials, the grey ones what a linear VAE of their size would keep at their β: points below "
        "theirs have lost more than the data demand.",
        _collapse_table(trials, known),
        (_collapse_panel(trials, schedules_of(record.trials), known),),
        (_happened(trials), *_forecast(spectrum, record.settings)),
    )


def _likelihood(settings: Mapping[str, Any]) -> str:
    return str(settings.get("model", {}).get("likelihood", "squared_error"))


def _normalised(settings: Mapping[str, Any]) -> bool:
    return bool(settings.get("training", {}).get("normalised_beta", False))


def _expected(trials: Sequence[TrialPoint], spectrum: "PcaSpectrum", settings: Mapping[str, Any]) -> dict[int, int]:
    """Active units of a linear VAE of each trial's size at its β, by trial.

    Raises:
        DataError: if the likelihood and the spectrum do not go together.
    """
    from vaeforge.data.pca_spectrum import predicted  # brings torch, as does the next one
    from vaeforge_models.objective import effective_beta

    found = {}
    for trial in trials:
        size = trial.latent_size or spectrum.dimensions
        beta = effective_beta(trial.full_beta or 0.0, spectrum.dimensions, size, _normalised(settings))
        found[trial.number] = min(size, predicted(spectrum, _likelihood(settings), beta))
    return found


def _collapse_table(trials: Sequence[TrialPoint], known: Mapping[int, int]) -> DataTable:
    return DataTable.of(
        [
            {
                "trial": trial.number,
                "state": trial.state,
                "schedule": trial.schedule,
                "full_beta": trial.full_beta,
                "latent_size": trial.latent_size,
                "active_units": trial.metric("active_units"),
                "predicted": known[trial.number],
                "collapsed": trial.collapsed,
            }
            for trial in trials
        ]
    )


def _collapse_panel(trials: Sequence[TrialPoint], tried: Sequence[str], known: Mapping[int, int]) -> Panel:
    forecast = Layer(
        "points",
        tuple(trial.full_beta for trial in trials),
        tuple(float(known[trial.number]) for trial in trials),
        "predicted for each trial",
        symbol="open",
        notes=tuple(f"{trial.told()}: predicted {known[trial.number]}" for trial in trials),
    )
    layers = (forecast, *by_schedule(trials, tried, lambda t: t.full_beta, lambda t: t.metric("active_units")))
    return Panel(Axis(BETA, log=True), Axis(ACTIVE), layers)


def _happened(trials: Sequence[TrialPoint]) -> str:
    gone = [trial for trial in trials if trial.collapsed]
    since = f" (β from {min(trial.full_beta or 0.0 for trial in gone):.3g} on)" if gone else ""
    return f"{len(gone)} of {len(trials)} trials collapsed{since}."


def _forecast(spectrum: "PcaSpectrum", settings: Mapping[str, Any]) -> tuple[str, ...]:
    """From which β on all units of a linear VAE collapse; with a normalised β that depends on the size."""
    from vaeforge.data.pca_spectrum import collapse_beta

    if _normalised(settings):
        return ()
    return (
        f"Predicted for a linear VAE: all units collapse above β {collapse_beta(spectrum, _likelihood(settings)):.3g}.",
    )
