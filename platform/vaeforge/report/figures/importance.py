"""Importance of parameters, as Optuna measures it, with what it rests on."""

from vaeforge.report.figure import Absent, Axis, DataTable, Figure, Layer, Panel
from vaeforge.report.record import SearchRecord

NAME, TITLE = "importances", "Importance of the parameters"
NEEDED = 4  # fully trained trials without which there are no importances
FEWEST = 20  # below which they are said to be little more than chance


def parameter_importances(record: SearchRecord) -> Figure | Absent:
    """One bar a parameter."""
    count = sum(trial.done and trial.repeat_of is None for trial in record.trials)
    if count < NEEDED:
        return Absent(NAME, TITLE, f"{count} trials were fully trained; importances need at least {NEEDED}")
    from vaeforge.search.samplers.optuna_bridge.importance import importances  # brings the space's parser

    found = importances(record.history)
    if isinstance(found, str):
        return Absent(NAME, TITLE, found)
    shown = list(reversed(list(found.shares.items())))
    table = DataTable.of([{"parameter": path, "importance": share} for path, share in found.shares.items()])
    bars = Layer(
        "bars",
        tuple(share for _, share in shown),
        tuple(float(place) for place in range(len(shown))),
        colour=0,
        horizontal=True,
        notes=tuple(f"{path}: {share:.3f}" for path, share in shown),
    )
    ticks = tuple((float(place), path) for place, (path, _) in enumerate(shown))
    panel = Panel(Axis("share of the importance (all: 1)", limits=(0.0, 1.0)), Axis("", ticks=ticks), (bars,))
    rests = (
        f"Rests on {found.trials} fully trained trials; stopped ones have no comparable value. Conditional "
        "PED-ANOVA, as in Optuna: how differently the best of them are spread over a parameter than all of them."
    )
    few = f"With fewer than {FEWEST} trials this order is little more than chance."
    return Figure(
        NAME,
        TITLE,
        "The longer a bar, the more that parameter alone tells good trials from others.",
        table,
        (panel,),
        (rests, *((few,) if found.trials < FEWEST else ())),
    )
