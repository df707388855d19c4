"""Thinning of a large search's trials: a page that holds everything of ten thousand trials opens in no browser."""

from collections.abc import Sequence

from vaeforge.report.trial_points import TrialPoint

MOST_CURVES = 300  # learning curves, with all their epochs
MOST_POINTS = 2000  # of one panel among many, and rows of the ranking


def few_of(trials: Sequence[TrialPoint], most: int) -> list[TrialPoint]:
    """At most so many of the trials, in their order: half of them the best, the others spread evenly over the rest."""
    if len(trials) <= most:
        return list(trials)
    ranked = sorted((trial for trial in trials if trial.rank is not None), key=lambda trial: trial.rank or 0)
    kept = {trial.number for trial in ranked[: most // 2]}
    rest = [trial.number for trial in trials if trial.number not in kept]
    places = most - len(kept)
    kept |= {rest[place * len(rest) // places] for place in range(places)}
    return [trial for trial in trials if trial.number in kept]


def told(shown: Sequence[TrialPoint], trials: Sequence[TrialPoint], where: str) -> tuple[str, ...]:
    """What was left out, in a sentence; none where nothing was."""
    if len(shown) == len(trials):
        return ()
    return (
        f"{where} {len(shown)} of {len(trials)} trials: half of them the best, the others spread evenly over all the "
        "rest; `vaeforge trials NAME --json true` lists all, `vaeforge trials NAME#TRIAL` the epochs of any.",
    )
