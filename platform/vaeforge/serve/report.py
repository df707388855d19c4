"""Drift as a table for people."""

from rich.table import Table

from vaeforge.serve.drift import Drift, FeatureDrift

SHOWN = 12  # latent dimensions, those that have moved furthest


def drift_table(drift: Drift) -> Table:
    """The score, and the latent dimensions with the largest stability index."""
    latents = sorted(drift.latents, key=lambda shift: -shift.index)
    table = Table(title=f"{drift.inputs} inputs against {drift.reference} validation samples", title_justify="left")
    for column in ("quantity", "PSI", "KS", "p", "has moved"):
        table.add_column(column, justify="left" if column in ("quantity", "has moved") else "right")
    for shift in ([drift.score] if drift.score else []) + latents[:SHOWN]:
        table.add_row(*_row(shift))
    if len(latents) > SHOWN:
        table.caption = f"{len(latents) - SHOWN} latent dimensions that have moved less are left out"
    return table


def _row(shift: FeatureDrift) -> tuple[str, ...]:
    moved = {"stable": "no", "moderate": "moderately", "drifted": "much"}[shift.level]
    return shift.name, f"{shift.index:.3f}", f"{shift.statistic:.3f}", f"{shift.p:.2g}", moved
