"""Page that compares searches and versions: whether they can be compared, one row a side, and what they share."""

from collections.abc import Sequence

from vaeforge.report.figure import Absent, Cell, DataTable, Figure
from vaeforge.report.findings import findings
from vaeforge.report.origin import lineage, lineage_of_model
from vaeforge.report.page_builder import Facts, Page
from vaeforge.report.record import SearchRecord
from vaeforge.report.sides import Side, beta_of


def comparison_page(sides: Sequence[Side], drawn: Sequence[Figure | Absent]) -> Page:
    """The page of several searches and versions."""
    kind = "Searches" if all(side.record for side in sides) else "Models"
    told = [f"{side.name}: {line}" for side in sides if side.record for line in findings(side.record)[:2]]
    return Page(
        title=f"{kind} {', '.join(side.name for side in sides)}",
        subtitle="Compared.",
        findings=[*comparability(sides), *told],
        table_title="Winners",
        table_reading="One row a search, with the trial that it hands on, or a version of the registry.",
        table=winners(sides),
        figures=drawn,
        facts=tuple(
            Facts(f"lineage-{place}", f"Lineage of {side.name}", _lineage(side)) for place, side in enumerate(sides)
        ),
    )


def _lineage(side: Side) -> DataTable:
    if side.record is not None:
        return lineage(side.record)
    return lineage_of_model(side.model) if side.model is not None else DataTable((), ())


def comparability(sides: Sequence[Side]) -> list[str]:
    """Whether values can be compared: only of the same data under the same preparation and image size."""
    what = "searches" if all(side.record for side in sides) else "models"
    if len({side.data_identity for side in sides}) > 1:
        return [f"These {what} were of different data or preparations: their values cannot be compared."]
    return [f"All of these {what} were of the same data and preparation: their values can be compared."]


def winners(sides: Sequence[Side]) -> DataTable:
    """One row a side."""
    return DataTable.of([_search_row(side.record) if side.record else _version_row(side) for side in sides])


def _version_row(side: Side) -> dict[str, Cell]:
    model = side.model
    assert model is not None
    schedule, beta = beta_of(model.settings)
    size = model.settings.get("model", {}).get("latent_dim")
    repeats = model.repeats
    return {
        "search": side.name,
        "best trial": model.lineage.trial,
        "val/nelbo": repeats.value if repeats else model.metrics.get("val/nelbo"),
        "sd": repeats.sd if repeats else None,
        "optimistic": repeats.optimistic if repeats else None,
        "schedule": schedule,
        "full β": model.metrics.get("beta") if beta is None else beta,
        "latent size": size if isinstance(size, int) else None,
        "rate": model.metrics.get("val/rate"),
        "active units": model.metrics.get("val/active_units"),
    }


def _search_row(record: SearchRecord) -> dict[str, Cell]:
    best, history, value = record.best, record.history, record.value
    return {
        "search": record.name,
        "trials": len(record.trials),
        "trained fully": sum(trial.done for trial in record.trials),
        "best trial": best.number if best else None,
        "val/nelbo": value.value if value else None,
        "sd": value.sd if value else None,
        "optimistic": bool(value.optimistic) if value else None,
        "schedule": best.schedule if best else None,
        "full β": best.full_beta if best else None,
        "latent size": best.latent_size if best else None,
        "rate": best.metric("rate") if best else None,
        "active units": best.metric("active_units") if best else None,
        "minutes": history.clock_seconds / 60,
        "core-hours": history.core_seconds / 3600,
        "sampler": _strategy(record, "search", "tpe"),
        "scheduler": _strategy(record, "scheduler", "asha"),
        "seed": history.header.seed if history.header else None,
    }


def _strategy(record: SearchRecord, key: str, default: str) -> str:
    given = record.space.get(key, default)
    return str(given.get("name", default)) if isinstance(given, dict) else str(given)
