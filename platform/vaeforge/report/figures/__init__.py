"""Figures of a report: one file a subject, and this list of them, in the order of the page."""

from collections.abc import Callable

from vaeforge.report.figure import Absent, Figure
from vaeforge.report.figures.beta_latent import beta_latent
from vaeforge.report.figures.beta_over_time import beta_over_time
from vaeforge.report.figures.evaluation import anomaly_scores, baselines, detection_curves
from vaeforge.report.figures.importance import parameter_importances
from vaeforge.report.figures.latents import collapse, kl_per_dimension
from vaeforge.report.figures.minutes import minutes
from vaeforge.report.figures.optimisation import learning_curves, optimisation_history
from vaeforge.report.figures.parameters import parallel_coordinates, slices
from vaeforge.report.figures.rate_distortion import rate_distortion
from vaeforge.report.figures.schedules import schedule_comparison
from vaeforge.report.record import SearchRecord

Maker = Callable[[SearchRecord], Figure | Absent]
FIGURES: tuple[Maker, ...] = (
    optimisation_history,
    learning_curves,
    rate_distortion,
    beta_over_time,
    schedule_comparison,
    beta_latent,
    slices,
    parameter_importances,
    parallel_coordinates,
    kl_per_dimension,
    collapse,
    baselines,
    anomaly_scores,
    detection_curves,
    minutes,
)


def figures_of(record: SearchRecord) -> list[Figure | Absent]:
    """Every figure of one search."""
    return [make(record) for make in FIGURES]
