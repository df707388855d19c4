"""Evaluation of the winner: beside simpler methods, by every anomaly score, and its ROC and precision–recall curves."""

from collections.abc import Iterator, Sequence

from vaeforge.evaluation.comparison import MODEL, REAL, ComparisonRow, worse_than
from vaeforge.report.figure import Absent, Axis, Cell, DataTable, Figure, Layer, Panel, number_in
from vaeforge.report.record import SearchRecord

NOT_YET = "the winner has not been evaluated; `vaeforge evaluate` or a search that registers does it"


def baselines(record: SearchRecord) -> Figure | Absent:
    """The model beside simpler methods on the same test samples, one panel a metric."""
    name, title = "baselines", "The winner beside simpler methods"
    rows = record.evaluated.manifest.comparison if record.evaluated else ()
    if not rows:
        return Absent(name, title, NOT_YET)
    table = DataTable.of(
        [
            {
                "metric": row.metric,
                "better": row.better,
                "method": row.name,
                "value": row.value,
                "low": row.low,
                "high": row.high,
                "model_minus_method": row.difference,
                "difference_low": row.difference_low,
                "difference_high": row.difference_high,
                "verdict": row.significant,
            }
            for row in rows
        ]
    )
    panels = tuple(
        _methods([row for row in rows if row.metric == metric]) for metric in dict.fromkeys(r.metric for r in rows)
    )
    return Figure(
        name,
        title,
        "One line a method on the test set, a bar its 95 % interval over independent groups; the model is orange. The "
        "verdict in the table is that of the difference, which is sharper than bars that overlap.",
        table,
        panels,
        (baseline_verdict(rows),),
    )


def baseline_verdict(rows: Sequence[ComparisonRow]) -> str:
    """The honest sentence: which simpler methods are better than the model, or that none is shown to be."""
    worse = worse_than(rows)
    if worse:
        return f"On these data simpler methods are better than the model: {worse}."
    beaten = sum(row.model_beats for row in rows)
    others = sum(row.name not in (MODEL, REAL) for row in rows)
    won = f"the model is shown to be better in {beaten} of {others} comparisons"
    return f"No simpler method is shown to be better than the model; {won}."


def _methods(rows: Sequence[ComparisonRow]) -> Panel:
    shown = list(reversed(rows))
    ticks = tuple((float(place), row.name) for place, row in enumerate(shown))
    better = f"{rows[0].metric} on the test set ({rows[0].better} is better)"
    own = [(place, row) for place, row in enumerate(shown) if row.name == MODEL]
    others = [(place, row) for place, row in enumerate(shown) if row.name != MODEL]
    layers = tuple(_dots(chosen, colour) for chosen, colour in ((others, None), (own, 1)) if chosen)
    return Panel(Axis(better), Axis("", ticks=ticks, limits=(-0.6, len(shown) - 0.4)), layers)


def _dots(rows: Sequence[tuple[int, ComparisonRow]], colour: int | None) -> Layer:
    return Layer(
        "points",
        tuple(row.value for _, row in rows),
        tuple(float(place) for place, _ in rows),
        colour=colour,
        notes=tuple(f"{row.name}: {row.value:.4g}{_ends(row.low, row.high)} {row.significant}" for _, row in rows),
        ends=tuple((row.low, row.high) for _, row in rows),
    )


def _ends(low: float | None, high: float | None) -> str:
    return ", no interval" if low is None or high is None else f" [{low:.4g}, {high:.4g}]"


def anomaly_scores(record: SearchRecord) -> Figure | Absent:
    """AUROC of every anomaly score, the one that the model uses marked."""
    name, title = "anomaly-scores", "All anomaly scores"
    rows: list[dict[str, Cell]] = [
        {"score": row["score"], "used": row.get("chosen") == "yes", **{key: _float(row.get(key)) for key in AREAS}}
        for row in (record.evaluated.table("scores") if record.evaluated else [])
    ]
    if not rows:
        return Absent(name, title, "this model's task has no anomaly scores" if record.evaluated else NOT_YET)
    shown = list(reversed(rows))
    ticks = tuple((float(place), str(row["score"])) for place, row in enumerate(shown))
    layers = tuple(_scores(shown, used) for used in (False, True) if any(row["used"] is used for row in shown))
    chance = Layer("line", (0.5, 0.5), (-0.6, len(shown) - 0.4), faint=True, dashed=True)
    across = Axis("AUROC on the test set (0.5: chance)", limits=(-0.02, 1.02))
    panel = Panel(across, Axis("", ticks=ticks, limits=(-0.6, len(shown) - 0.4)), (chance, *layers))
    return Figure(
        name,
        title,
        "One line a score with its 95 % interval over independent groups; orange is the one that the model uses, "
        "set by model.score before the test data were seen.",
        DataTable.of(rows),
        (panel,),
        _better_score(rows),
    )


AREAS = ("auroc", "auroc_low", "auroc_high", "auprc", "auprc_low", "auprc_high")


def _float(text: str | None) -> float | None:
    return float(text) if text else None


def _better_score(rows: Sequence[dict[str, Cell]]) -> tuple[str, ...]:
    """That another score has the larger area here; no reason to choose it by these data."""
    used = next((row for row in rows if row["used"]), None)
    best = max(rows, key=lambda row: float(row["auroc"] or 0.0))
    if used is None or best is used or best["auroc"] == used["auroc"]:
        return ()
    return (
        f"{best['score']} has the largest area ({float(best['auroc'] or 0):.3f}, {used['score']} "
        f"{float(used['auroc'] or 0):.3f}). Choosing it now would be choosing by the test set: set model.score in "
        "a new search and judge it by new data.",
    )


def _scores(shown: Sequence[dict[str, Cell]], used: bool) -> Layer:
    rows = [(place, row) for place, row in enumerate(shown) if row["used"] is used]
    number = {key: tuple(number_in(row[key]) for _, row in rows) for key in AREAS}
    return Layer(
        "points",
        number["auroc"],
        tuple(float(place) for place, _ in rows),
        colour=1 if used else None,
        symbol="circle" if used else "open",
        notes=tuple(f"{row['score']}: AUROC {row['auroc']}" for _, row in rows),
        ends=tuple(zip(number["auroc_low"], number["auroc_high"], strict=True)),
    )


def detection_curves(record: SearchRecord) -> Figure | Absent:
    """ROC and precision–recall of the score that the model uses."""
    name, title = "detection-curves", "ROC, precision and recall"
    curves = {kind: record.evaluated.curve(kind) if record.evaluated else [] for kind in ("roc", "pr")}
    if not any(curves.values()):
        return Absent(name, title, "this model's task has no such curves" if record.evaluated else NOT_YET)
    rows: list[dict[str, Cell]] = [
        {"curve": kind, "x": x, "y": y} for kind, points in curves.items() for x, y in points
    ]
    return Figure(
        name,
        title,
        "Left, how many anomalies are found at the price of how many false alarms; right, how many of the alarms are "
        "right when how many anomalies are found: the nearer to the upper corner, the better.",
        DataTable.of(rows),
        tuple(_curve(kind, points) for kind, points in curves.items() if points),
        tuple(_areas(record)),
    )


def _curve(kind: str, points: Sequence[tuple[float, float]]) -> Panel:
    titles = {"roc": ("false-positive rate", "true-positive rate"), "pr": ("recall", "precision")}
    across, up = titles[kind]
    layers = [Layer("line", tuple(x for x, _ in points), tuple(y for _, y in points), "the model", colour=1)]
    if kind == "roc":
        layers.append(Layer("line", (0.0, 1.0), (0.0, 1.0), "chance", faint=True, dashed=True))
    return Panel(Axis(across, limits=(-0.02, 1.02)), Axis(up, limits=(-0.02, 1.04)), tuple(layers))


def _areas(record: SearchRecord) -> Iterator[str]:
    metrics = record.evaluated.manifest.metrics if record.evaluated else {}
    for key, title in (("test/auroc", "AUROC"), ("test/auprc", "Average precision")):
        if key in metrics:
            low, high = metrics.get(f"{key}_low"), metrics.get(f"{key}_high")
            yield f"{title} {metrics[key]:.3f}{_ends(low, high)}."
