"""Warm start: what another search contributes to this one, its trials on the parameters that both have.

Where data, epochs and goals are the same, values mean the same, and the sampler is told them. Where they are not, a
value says nothing about this search; then only the other's best points are tried early.
"""

import numpy as np

from vaeforge.errors import SearchError
from vaeforge.ledger.events import SearchHeader, TransferredTrial, WarmStarted
from vaeforge.ledger.history import SearchHistory, read_history
from vaeforge.ledger.trial_record import TrialRecord
from vaeforge.paths import Project
from vaeforge.search.results.ranking import rank
from vaeforge.search.samplers.unit_scaling import sample_space, uniform
from vaeforge.search.space.dimensions import Params
from vaeforge.search.space.objective import objective_values
from vaeforge.search.space.objective_form import objective_of
from vaeforge.search.space.space import Space
from vaeforge.seeds import derive

POINTS = 3


def warm_start_record(project: Project, source: str, space: Space, header: SearchHeader, seed: int) -> WarmStarted:
    """What the search `source` contributes to the one of `header`.

    Args:
        project: where both are.
        source: the other search's name.
        space: this search's.
        header: this search's.
        seed: this search's, for parameters that the other one does not have.

    Raises:
        SearchError: if there is no such search, or none of its ended trials says something about `space`.
    """
    history = read_history(project.search(source) / "ledger.jsonl")
    if history.header is None:
        raise SearchError(f"--warm-start: there is no search {source!r} in {project.search(source).parent}")
    ended = [t for t in history.ended_trials if t.repeat_of is None]
    shared = [(trial, params) for trial in ended if (params := _shared(space, trial.params))]
    if not shared:
        raise SearchError(
            f"--warm-start: search {source!r} has {len(ended)} ended trials, none with a parameter of {space.source} "
            "and all such values within its ranges; name a search whose space overlaps"
        )
    left = len(ended) - len(shared)
    differences = _differences(history, space, header)
    if differences:
        why, points = "; ".join(differences), _best(history, space)
        return WarmStarted(source=source, use="points", why=why, trials=points, left_out=left)
    trials = tuple(_transferred(trial, params, space, seed) for trial, params in shared)
    why = "same data, epochs and goals"
    return WarmStarted(source=source, use="values", why=why, trials=trials, left_out=left)


def _shared(space: Space, params: Params) -> Params:
    """The parameters that `space` has too, under the options chosen; empty where one lies outside of its range."""
    found = {dimension.path: (dimension, value) for dimension, value in space.optuna_names(params).values()}
    outside = any(not dimension.contains(value) for dimension, value in found.values())
    return {} if outside else {path: value for path, (_, value) in found.items()}


def _differences(history: SearchHistory, space: Space, header: SearchHeader) -> list[str]:
    """Why values of the two searches do not mean the same."""
    assert history.header is not None
    before, found = history.header, []
    if (before.data_identity, before.family) != (header.data_identity, header.family):
        found.append("the data or the family is another")
    if before.space.get("fidelity", {}).get("max") != space.content.get("fidelity", {}).get("max"):
        found.append("a full training has another number of epochs")
    if objective_of(history).goals != space.objective.goals:
        found.append("the goals are others")
    return found


def _transferred(trial: TrialRecord, params: Params, space: Space, seed: int) -> TransferredTrial:
    """A trial as a sampler is told; what this space searches beyond the shared parameters is drawn.

    The trial says nothing about these, and a value drawn anew for each of them says nothing either.
    """
    chance = uniform(np.random.default_rng(derive(seed, "warm", trial.number)))
    whole = sample_space(space.dimensions, lambda one: params[one.path] if one.path in params else chance(one))
    values = objective_values(trial, space.objective.goals)
    known = tuple(value for value in values if value is not None)
    finite = known if len(known) == len(values) else None
    return TransferredTrial(space.with_fixed_params(whole), trial.state, finite, trial.epoch)


def _best(history: SearchHistory, space: Space) -> tuple[TransferredTrial, ...]:
    """The best points of the other search, in full where this space has all their parameters."""
    assert history.header is not None
    objective = objective_of(history)
    ranked = [standing.trial for standing in rank(history, objective)]
    points = [_shared(space, trial.params) for trial in ranked]
    return tuple(TransferredTrial(point) for point in points if point)[:POINTS]
