"""The figure of the search benchmark: mean regret against cost, and how well rungs foretell the final value."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from vaeforge.evaluation.drawing import canvas

DPI = 120
COLOURS = {
    "random": "0.55",
    "tpe": "tab:orange",
    "gp": "tab:brown",
    "random_asha": "tab:cyan",
    "tpe_asha": "tab:blue",
    "tpe_asha_ray": "tab:red",
    "ray": "tab:pink",
    "tpe_asha_strict": "tab:green",
}
BAND = ("random", "tpe_asha", "ray")  # rows whose interval is drawn; of all it would hide the curves


def draw(content: dict[str, Any], path: Path) -> None:
    """Draw `content` (the figures of `search_quality.py`) into the PNG at `path`."""
    figure = canvas(12, 5)
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    _regrets(left, content)
    _correlations(right, content["rungs"])
    figure.savefig(path, dpi=DPI)


def _regrets(axes: Any, content: dict[str, Any]) -> None:
    replayed = content["replays"]["interpolated"]
    for name, row in replayed["rows"].items():
        if name not in COLOURS:
            continue
        regrets = np.array([[math.nan if r is None else r for r in seed] for seed in row["regrets"]])
        costs, mean = np.arange(1, regrets.shape[1] + 1), regrets.mean(0)
        axes.plot(costs, mean, color=COLOURS[name], label=row["title"], linewidth=2.2 if name == "tpe_asha" else 1.2)
        if name in BAND:
            error = 1.96 * regrets.std(0, ddof=1) / math.sqrt(len(regrets))
            axes.fill_between(costs, mean - error, mean + error, color=COLOURS[name], alpha=0.15, linewidth=0)
    if "target" in replayed:
        axes.axhline(replayed["target"], color="0.55", linestyle=":", linewidth=1)
    axes.set_xscale("log")
    axes.set_xticks([5, 10, 20, 50, 100], ["5", "10", "20", "50", "100"])
    axes.set_xticks([], minor=True)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("cost, full trainings")
    axes.set_ylabel("mean regret, nats")
    axes.set_title(f"{content['hosts']} hosts; bands: mean ± 1.96 standard errors")
    axes.legend(fontsize=8)


def _correlations(axes: Any, rungs: dict[str, Any]) -> None:
    for number, (rung, found) in enumerate(rungs.items()):
        rows = {**found["within"], "pooled": found["pooled"]}
        middle = [row[0] for row in rows.values()]
        errors = [[row[0] - row[1] for row in rows.values()], [row[2] - row[0] for row in rows.values()]]
        places = np.arange(len(rows)) + 0.2 * (number - 1)
        axes.errorbar(places, middle, yerr=errors, fmt="o", capsize=3, label=f"epoch {rung}")
        axes.set_xticks(range(len(rows)), rows, rotation=20)
    axes.set_ylabel("Spearman with the final value")
    axes.axhline(0, color="0.8", linewidth=1)
    axes.set_title("rank correlation of rungs, 95 %")
    axes.legend(fontsize=8)
