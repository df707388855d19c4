"""Coverage and wrong claims of every interval and difference, in simulated test sets of 2 to 100 groups."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from coverage_data import Case, Layout, cases
from coverage_percentile import percentile_ends

from vaeforge.evaluation.intervals import ROUNDING, GroupEstimate
from vaeforge.seeds import derive

GROUPS = (2, 3, 5, 8, 10, 20, 50, 100)
KINDS = {"independent": (0.0, False), "clustered": (0.5, True)}  # correlation within groups, whether sizes differ
EVERY = 5  # the bootstrap is asked in every fifth trial
MOST_DRAWN = 20  # groups; with more it differs little, and takes long
TARGET, CLAIM = (0.93, 0.97), 0.03  # of the coverage, and the most wrong claims in one direction
PLACES = {
    "within": "within 0.93 to 0.97",
    "more": "above as they say (conservative)",
    "above": "above",
    "below": "below",
}
UNPRINTED = 5  # a cell whose first fifth of trials prints no interval is left there


@dataclass
class Tally:
    """How intervals lie about the truth."""

    trials: int = 0
    printed: int = 0
    above: int = 0
    below: int = 0
    widths: list[float] = field(default_factory=list)

    def count(self, ends: tuple[float, float] | None, truth: float) -> None:
        """One more interval, or none."""
        self.trials += 1
        if ends is not None:
            self.printed += 1
            self.above += ends[0] > truth
            self.below += ends[1] < truth
            self.widths.append(ends[1] - ends[0])

    def figures(self) -> dict[str, float | None]:
        """The coverage, the larger share on one side of the truth, the median width, and the share that is printed."""
        if not self.printed:
            return {"coverage": None, "one_sided": None, "printed": 0.0}
        missed = self.above + self.below
        return {
            "coverage": round(1 - missed / self.printed, 4),
            "one_sided": round(max(self.above, self.below) / self.printed, 4),
            "width": float(f"{np.median(self.widths):.4g}"),
            "printed": round(self.printed / self.trials, 4),
        }


def unrestricted(estimate: GroupEstimate) -> GroupEstimate:
    """The estimate as if its groups were enough, to see why they are not."""
    spread = estimate.se > ROUNDING * abs(estimate.value)
    return replace(estimate, groups=max(estimate.groups, estimate.needs)) if spread else estimate


def simulate(case: Case, layout: Layout, trials: int, draws: int, seed: int = 0) -> dict[str, Any]:
    """Coverage of the library's interval and, where `draws` is not 0, of the bootstrap's."""
    rng = np.random.default_rng(derive(seed, case.name, repr(layout)))
    ours, anyway, before = Tally(), Tally(), Tally()
    for trial in range(trials):
        if trial * UNPRINTED >= trials and not ours.printed:
            break
        found = case.simulate(rng, layout)
        ours.count(found.estimate.interval(), case.truth)
        if not ours.printed:
            anyway.count(unrestricted(found.estimate).interval(), case.truth)
        if draws and trial % EVERY == 0 and found.statistic is not None and layout.groups <= MOST_DRAWN:
            before.count(percentile_ends(rng, found.groups, found.strata, found.statistic, draws), case.truth)
    figures: dict[str, Any] = {"ours": ours.figures(), "conservative": conservative(case, layout)}
    if not ours.printed:
        figures["if it were printed"] = anyway.figures()
    if before.trials:
        figures["bootstrap"] = before.figures()
    return figures


def conservative(case: Case, layout: Layout) -> bool:
    """Whether the library says that intervals hold 95 % or more there, rather than 95 %: the values do not matter."""
    return case.simulate(np.random.default_rng(0), layout).estimate.conservative


def place(cell: dict[str, Any]) -> str:
    """Where a cell is beside its target: 0.93 to 0.97, of conservative intervals 0.93 and more."""
    coverage = cell["ours"]["coverage"]
    if coverage is None:
        return "none"
    if coverage < TARGET[0]:
        return "below"
    return "within" if coverage <= TARGET[1] else "more" if cell["conservative"] else "above"


def places(results: dict[str, Any]) -> str:
    """How many cells are where, and how often a difference is claimed that is not there."""
    cells = [
        (found["difference"], cell) for found in results.values() for kind in KINDS for cell in found[kind].values()
    ]
    counted = Counter(place(cell) for _, cell in cells)
    said = ", ".join(f"{counted[name]} {meant}" for name, meant in PLACES.items())
    wrong = [cell["ours"]["one_sided"] for differs, cell in cells if differs and place(cell) != "none"]
    return (
        f"{sum(counted.values()) - counted['none']} cells with an interval: {said}\n"
        f"{len(wrong)} of differences: a wrong claim in {np.mean(wrong):.3f} on average, {max(wrong):.4f} at most, "
        f"more than {CLAIM} in {sum(one > CLAIM for one in wrong)}"
    )


def claims(trials: int, only: str, known: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Cells of differences that had more wrong claims than `CLAIM`, in other test sets: their names and figures."""
    for case in cases():
        for kind, how in KINDS.items():
            for count, cell in known.get(case.name, {}).get(kind, {}).items():
                share = cell["ours"]["one_sided"]
                if case.difference and only in case.name and share is not None and share > CLAIM:
                    ours = simulate(case, Layout(int(count), *how), trials, 0, seed=1)["ours"]
                    yield f"{case.name}, {kind}, {count} groups", {"trials": trials, "before": share} | ours


def run(trials: int, draws: int, only: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every case whose name holds `only`, in every layout: its name and its figures."""
    for case in cases():
        if only in case.name:
            found: dict[str, Any] = {"difference": case.difference, "trials": trials, "draws": draws}
            for kind, how in KINDS.items():
                found[kind] = {str(count): simulate(case, Layout(count, *how), trials, draws) for count in GROUPS}
            yield case.name, found


def table(results: dict[str, Any]) -> str:
    """For benchmarks/README.md: a line a statistic, the coverage by groups, independent / clustered.

    Of a difference, whose truth is 0, half of what is missing to 1 is the share of wrong claims in either direction.
    """
    lines = ["| statistic | " + " | ".join(f"{count}" for count in GROUPS) + " | bootstrap, 3 to 10 |"]
    lines.append("|---" * (len(GROUPS) + 2) + "|")
    for name, found in results.items():
        shown = [" / ".join(_share(found[kind][str(count)]["ours"]["coverage"]) for kind in KINDS) for count in GROUPS]
        lines.append(f"| {name} | " + " | ".join(shown) + f" | {_before(found)} |")
    return "\n".join(lines)


def with_bootstrap(figures: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Figures of a case with what an earlier run found of the bootstrap, where this one did not ask it."""
    if figures["draws"] or not before:
        return figures
    kept: dict[str, Any] = {kind: {count: dict(cell) for count, cell in figures[kind].items()} for kind in KINDS}
    for kind in KINDS:
        for count, cell in kept[kind].items():
            cell |= {name: found for name, found in before[kind].get(count, {}).items() if name == "bootstrap"}
    return figures | kept | {"draws": before["draws"]}


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _before(found: dict[str, Any]) -> str:
    """The range of the bootstrap's coverage over 3 to 10 groups."""
    cells = [found[kind][str(count)].get("bootstrap") for kind in KINDS for count in GROUPS if 3 <= count <= 10]
    values = [cell["coverage"] for cell in cells if cell and cell["coverage"] is not None]
    return f"{min(values):.2f} to {max(values):.2f}" if values else "no bootstrap"
