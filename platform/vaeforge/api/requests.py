"""Requests to the steps, out of typed arguments and the project's files."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from vaeforge.config.experiment import RunConfig
from vaeforge.config.loader import load
from vaeforge.config.strict_yaml import parse_scalar
from vaeforge.data.data_sets import own_settings
from vaeforge.errors import ConfigError
from vaeforge.paths import Project
from vaeforge.search.progress_view import mode_for
from vaeforge.search.space.space import Space, read_space
from vaeforge.search.step import Retry, SearchRequest
from vaeforge.track.store import default_uri, project_run_id


def resolve_config(
    project: Project,
    family: str | None = None,
    preset: str | None = None,
    assignments: Sequence[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    of_data_set: bool = True,
) -> RunConfig:
    """The configuration that the project's files and the caller's settings give.

    Settings that a data set was imported with (`--size`) stand above params.yaml and below the caller's.

    Args:
        project: whose `params.yaml` is read.
        family: kind of model; none: the file's.
        preset: named settings of the family; none: the file's.
        assignments: `section.key=value` texts.
        overrides: dotted path to value.
        of_data_set: whether settings of the data set in use count; not where another one is about to come.

    Raises:
        ConfigError: with every problem found.
    """
    config = load(project.root, family, preset, overrides, assignments or [])
    own = own_settings(project, config.experiment.family) if of_data_set else {}
    return load(project.root, family, preset, overrides, assignments or [], own) if own else config


def config_from_trial(
    project: Project,
    source: str | None,
    family: str | None = None,
    preset: str | None = None,
    assignments: Sequence[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> RunConfig:
    """The configuration of a search's trial where `source` names one, else what the project's files say.

    Args:
        project: where searches and `params.yaml` are.
        source: `NAME` (its winner) or `NAME#TRIAL`; none for the project's files.
        family: that the configuration must be of.
        preset: does not go with a trial, which has all its settings.
        assignments: `section.key=value` texts.
        overrides: dotted path to value.

    Raises:
        ConfigError: if options contradict the trial; SearchError: if there is no such trial.
    """
    if source is None:
        return resolve_config(project, family, preset, assignments, overrides)
    from vaeforge.search.trial_config import configuration_of

    if preset is not None:
        raise ConfigError("--preset: does not go with --from, which takes everything from the trial; use --set")
    config = configuration_of(project, source, overrides or {}, assignments or [])
    if family not in (None, config.experiment.family):
        raise ConfigError(f"--family: got {family!r}, but {source!r} is of family {config.experiment.family!r}")
    return config


def search_overrides(**given: Any) -> dict[str, Any]:
    """Named options as overrides of the `search` section; what is none or empty was not given."""
    return {f"search.{name}": value for name, value in given.items() if value is not None and value != {}}


def read_scalars(pairs: Mapping[str, str]) -> dict[str, Any]:
    """`key=value` pairs with each value read as YAML: a number, true or false, or text."""
    return {key: parse_scalar(value) for key, value in pairs.items()}


def load_space(
    project: Project,
    config: RunConfig,
    *,
    path: Path | None = None,
    epochs: int | None = None,
    search: str | None = None,
    scheduler: str | None = None,
    freeze: Mapping[str, Any] | None = None,
) -> Space:
    """The space of a search: its file, with what the command line changes in it.

    Args:
        project: to whose root the file's name is relative.
        config: of which the family matters.
        path: the space file; none: `tune_spaces/<family>.yaml`.
        epochs: of a full training; none: the file's.
        search: the sampler; none: the file's.
        scheduler: the scheduler; none: the file's.
        freeze: path to value of parameters that are not searched.
    """
    found = read_space(_shown(project.root / (path or f"tune_spaces/{config.experiment.family}.yaml")))
    return found.with_epochs(epochs).with_changes(
        search=search, scheduler=scheduler, freeze=dict(freeze) if freeze else None
    )


def _shown(path: Path) -> Path:
    """`path` as a person here would write it: relative to the working directory where it lies below that."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def search_request(
    project: Project,
    step: str,
    *,
    console: Console,
    resume_command: str,
    name: str | None = None,
    resume: bool = False,
    retry: Retry | None = None,
    address: str | None = None,
    offline: bool = False,
    warm_start: str | None = None,
    quiet: bool = False,
    json: bool = False,
) -> SearchRequest:
    """What is asked of a search beyond its configuration; see `SearchRequest`.

    Args:
        project: whose MLflow store tracks the search.
        step: `tune` or `train`.
        console: where the search is shown.
        resume_command: shown when the search is interrupted.
        name: of the search; none for the default name.
        resume: whether to continue the search of this name.
        retry: `failed` tries all failed trials again, none only those that failed for reasons outside them.
        address: of a Ray cluster; none: RAY_ADDRESS, else this machine alone.
        offline: whether tracking is left to `vaeforge sync`.
        warm_start: the name of a search whose trials inform this one.
        quiet: show only warnings and the end.
        json: show one JSON object a line.
    """
    return SearchRequest(
        step=step,
        name=name,
        resume=resume,
        retry=retry,
        address=address or os.environ.get("RAY_ADDRESS", "").strip() or None,
        tracking_uri=None if offline else default_uri(project.root),
        project_run_id=project_run_id(),
        resume_command=resume_command,
        warm_start=warm_start,
        mode=mode_for(console, quiet, json),
    )
