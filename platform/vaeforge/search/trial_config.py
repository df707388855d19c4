"""Configuration of one trial of a search, on its own: to be trained longer, or under other seeds."""

from collections.abc import Iterable, Mapping
from typing import Any

from vaeforge.config import loader
from vaeforge.config.experiment import Experiment, RunConfig
from vaeforge.config.retired import without_retired
from vaeforge.config.tree import assign, assigned
from vaeforge.errors import SearchError
from vaeforge.ledger.history import read_history
from vaeforge.paths import Project
from vaeforge.search.requests import folder_of, parse_target
from vaeforge.search.results.ranking import winner
from vaeforge.search.space.objective_form import objective_of
from vaeforge.search.space.space import parse_space
from vaeforge.search.space.trial_experiment import experiment_for


def configuration_of(
    project: Project, source: str, overrides: Mapping[str, Any], assignments: Iterable[str]
) -> RunConfig:
    """The configuration of trial `NAME#3`, or of the winner of `NAME`, with changes on top.

    Raises:
        SearchError: if there is no such search or trial, or nothing has won.
        ConfigError: if a change is not allowed.
    """
    target = parse_target(source)
    history = read_history(folder_of(project, target.name) / "ledger.jsonl")
    if history.header is None:
        raise SearchError(f"search {target.name!r}: its ledger holds nothing yet; wait for its first trial")
    number = winner(history, objective_of(history)).trial.number if target.trial is None else target.trial
    if number not in history.trials:
        raise SearchError(f"search {target.name!r}: has no trial {number}; `vaeforge trials {target.name}` lists them")
    header = history.header
    space = parse_space(header.space, header.space_source)
    base = Experiment.model_validate(without_retired(header.settings["experiment"]))
    experiment = experiment_for(space, base, history.trials[number].params, base.training.seed)
    tree: dict[str, Any] = experiment.model_dump(mode="json") | {"search": {}}
    sources: dict[str, str] = {}
    for path, value in {**assigned(assignments), **overrides}.items():
        assign(tree, path, value, "command line", sources)
    return loader.build(tree, sources)
