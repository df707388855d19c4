"""Rate–distortion plane of a search: every trial's kept epoch, the front, and the β of each point."""

from vaeforge.report.figure import Absent, Axis, DataTable, Figure, Layer, Panel
from vaeforge.report.label_placement import thinned
from vaeforge.report.labels import BETA, DISTORTION, RATE
from vaeforge.report.record import SearchRecord
from vaeforge.report.schedule_layers import by_schedule, schedules_of
from vaeforge.report.trial_points import TrialPoint
from vaeforge.search.results.pareto import front

NAME, TITLE = "rate-distortion", "Rate and distortion"


def front_of(trials: list[TrialPoint]) -> list[TrialPoint]:
    """Those of `trials` to which no other has both less rate and less distortion, by rate."""
    points = [(t.metric("rate") or 0.0, t.metric("distortion") or 0.0) for t in trials]
    return sorted((trials[place] for place in front(points)), key=lambda trial: trial.metric("rate") or 0.0)


def measured(record: SearchRecord) -> list[TrialPoint]:
    """The trials that have both numbers at their kept epoch."""
    return [t for t in record.trials if t.metric("rate") is not None and t.metric("distortion") is not None]


def front_layer(best: list[TrialPoint], label: str, colour: int | None = None) -> Layer:
    """The front as a staircase, each of its points with its β."""
    return Layer(
        "steps",
        tuple(trial.metric("rate") for trial in best),
        tuple(trial.metric("distortion") for trial in best),
        label,
        colour=colour,
        texts=tuple("" if trial.full_beta is None else f"β {trial.full_beta:.2g}" for trial in best),
    )


def rate_distortion(record: SearchRecord) -> Figure | Absent:
    """Which trials trade rate for distortion best."""
    shown = measured(record)
    if not shown:
        return Absent(NAME, TITLE, "no trial has a kept epoch with both numbers")
    done = [trial for trial in shown if trial.done]
    best = front_of(done)
    on_front = {trial.number for trial in best}
    table = DataTable.of(
        [
            {
                "trial": trial.number,
                "state": trial.state,
                "schedule": trial.schedule,
                "full_beta": trial.full_beta,
                "latent_size": trial.latent_size,
                "val/rate": trial.metric("rate"),
                "val/distortion": trial.metric("distortion"),
                "val/nelbo": trial.value,
                "val/active_units": trial.metric("active_units"),
                "on_front": trial.number in on_front,
                "chosen": trial.chosen,
            }
            for trial in shown
        ]
    )
    stopped = [trial for trial in shown if not trial.done]
    log = _log_scale(shown)
    layers = (
        Layer(
            "points",
            tuple(trial.metric("rate") for trial in stopped),
            tuple(trial.metric("distortion") for trial in stopped),
            "not fully trained",
            symbol="triangle",
            notes=tuple(trial.told() for trial in stopped),
            faint=True,
        ),
        front_layer(best, "front: no trial has less of both"),
        *by_schedule(
            done,
            schedules_of(record.trials),
            lambda trial: trial.metric("rate"),
            lambda trial: trial.metric("distortion"),
            (lambda trial: trial.full_beta) if all(trial.full_beta is not None for trial in done) else None,
        ),
        _chosen(record.best),
    )
    panel = Panel(Axis(RATE), Axis(DISTORTION), tuple(layer for layer in layers if layer.x), shades=Axis(BETA, log=log))
    return Figure(
        NAME,
        TITLE,
        "Each point is a trial at the epoch that was kept: to the right its latents say more, further down it "
        "reconstructs better; the colour is β, the symbol the schedule.",
        table,
        (thinned(panel),),
        (
            "A small β buys reconstruction with rate; a rate near 0 is posterior collapse.",
            "Where points of the front lie close together, the β of some stands in the table and at the pointer alone.",
        ),
    )


def _log_scale(trials: list[TrialPoint]) -> bool:
    known = [trial.full_beta for trial in trials if trial.full_beta is not None]
    return bool(known) and min(known) > 0


def _chosen(best: TrialPoint | None) -> Layer:
    known = best is not None and best.metric("rate") is not None
    x, y = ((best.metric("rate"),), (best.metric("distortion"),)) if best is not None and known else ((), ())
    label = f"chosen: trial {best.number}" if best is not None else ""
    return Layer("points", x, y, label, colour=1, symbol="star", notes=(best.told(),) if best and known else ())
