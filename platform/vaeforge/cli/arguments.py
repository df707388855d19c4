"""From the options of a call, which are texts, to what the steps take."""

import os
from pathlib import Path
from typing import Any

from rich.console import Console

from vaeforge import options
from vaeforge.config.experiment import RunConfig
from vaeforge.config.loader import load
from vaeforge.config.strict_yaml import parse_scalar
from vaeforge.errors import ConfigError
from vaeforge.importing.import_options import ImportOptions
from vaeforge.paths import Project
from vaeforge.search.progress_view import mode_for
from vaeforge.search.space.space import Space, read_space
from vaeforge.search.step import Request
from vaeforge.track.store import default_uri, project_run_id


def resolve_config(
    family: str | None, preset: str | None, assignments: list[str] | None, overrides: dict[str, Any]
) -> RunConfig:
    """The configuration that the project's files and the command line name."""
    assigned = [word for text in assignments or [] for word in text.split()]
    return load(Path(), options.text(family), options.text(preset), overrides, assigned)


def config_from_trial(
    source: str | None, family: str | None, preset: str | None, assignments: list[str] | None, overrides: dict[str, Any]
) -> RunConfig:
    """The configuration of a search's trial where `source` names one, else what the project's files say."""
    if source is None:
        return resolve_config(family, preset, assignments, overrides)
    from vaeforge.search.trial_config import configuration_of

    if options.text(preset) is not None:
        raise ConfigError("--preset: does not go with --from, which takes everything from the trial; use --set")
    assigned = [word for text in assignments or [] for word in text.split()]
    config = configuration_of(Project(), source, overrides, assigned)
    wanted = options.text(family)
    if wanted not in (None, config.experiment.family):
        raise ConfigError(f"--family: got {wanted!r}, but {source!r} is of family {config.experiment.family!r}")
    return config


def search_overrides(**given: str | None) -> dict[str, Any]:
    """Named options as overrides of the `search` section."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        read = options.text(value) if name in ("device", "storage") else options.integer(name, value)
        if read is not None:
            found[f"search.{name}"] = read
    return found


def ending_overrides(budget: str | None, deterministic: str | None) -> dict[str, Any]:
    """`--budget` and `--deterministic` as overrides of the `search` section."""
    limits = {key: parse_scalar(value) for key, value in options.pairs("budget", budget).items()}
    found: dict[str, Any] = {"search.budget": limits} if limits else {}
    if options.text(deterministic) is not None:
        found["search.deterministic"] = options.boolean("deterministic", deterministic, default=False)
    return found


def space_changes(search: str | None, scheduler: str | None, freeze: str | None) -> dict[str, Any]:
    """What the command line changes in a space file."""
    frozen = {path: parse_scalar(value) for path, value in options.pairs("freeze", freeze).items()}
    return {"search": options.text(search), "scheduler": options.text(scheduler), "freeze": frozen or None}


def load_space(config: RunConfig, path: str | None, epochs: int | None, changes: dict[str, Any]) -> Space:
    """The space that a search is to take."""
    found = read_space(Path(path or f"tune_spaces/{config.experiment.family}.yaml"))
    return found.with_epochs(epochs).with_changes(**changes)


def request(
    step: str,
    name: str | None,
    resume: str | None,
    address: str | None,
    offline: str | None,
    resume_command: str,
    console: Console,
    warm_start: str | None = None,
    quiet: str | None = None,
    json: str | None = None,
) -> Request:
    """What was asked of a search beyond its configuration."""
    untracked = options.boolean("offline", offline, default=False)
    return Request(
        step=step,
        name=options.text(name),
        resume=options.boolean("resume", resume, default=False),
        address=options.text(address) or options.text(os.environ.get("RAY_ADDRESS")),
        tracking_uri=None if untracked else default_uri(Path().resolve()),
        project_run_id=project_run_id(),
        resume_command=resume_command,
        warm_start=warm_start,
        mode=mode_for(console, options.boolean("quiet", quiet, False), options.boolean("json", json, False)),
    )


def import_options(
    name: str | None,
    replace: str | None,
    track: str | None,
    normal: str | None,
    mask: str | None,
    columns: str | None,
    channels: str | None,
) -> ImportOptions:
    """What was asked of an import."""
    given = options.text(mask)
    return ImportOptions(
        name=options.text(name) or "",
        replace=options.boolean("replace", replace, default=False),
        track=options.boolean("track", track, default=True),
        normal=options.words(normal),
        mask=Path(given) if given else None,
        columns=options.pairs("columns", columns),
        channels=options.words(channels),
    )
