"""Configuration of a search: what of its settings decides what it tries and learns, and the hash of that."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from vaeforge.config.retired import without_retired
from vaeforge.paths import hash_of


def completed(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings as an earlier version wrote them, with the defaults of those that it did not have."""
    from vaeforge.config.experiment import Experiment  # with torch, which a hash does without

    try:
        experiment = Experiment.model_validate(without_retired(settings["experiment"]))
    except ValidationError:  # they are others, whatever they mean
        return settings
    return {**settings, "experiment": experiment.model_dump(mode="json")}


HOW = ("loader_workers", "compile")  # of the section `training`


def learned(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without those that only judge what was learned, or say how its data are read and its steps run."""
    experiment = {k: v for k, v in settings["experiment"].items() if k != "gates"}
    training = {k: v for k, v in experiment["training"].items() if k not in HOW}
    return {**settings, "experiment": {**experiment, "training": training}}


SHOWN = 6  # settings that differ, of which each is told


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Which settings differ, each by its path with what it was and is."""
    one, other = (dict(_leaves(content)) for content in (before, now))
    paths = [path for path in dict.fromkeys([*one, *other]) if path not in one or path not in other]
    paths += [path for path in one if path in other and one[path] != other[path]]
    told = [f"{path} was {_told(one, path)}, now {_told(other, path)}" for path in paths[:SHOWN]]
    more = [f"and {len(paths) - SHOWN} more"] if len(paths) > SHOWN else []
    return ", ".join([*told, *more])


def _leaves(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{path}.")
        else:
            yield path, value


def _told(content: Mapping[str, Any], path: str) -> str:
    return repr(content[path]) if path in content else "not set"


def configuration_hash(settings: Mapping[str, Any], space: Mapping[str, Any]) -> str:
    """The hash of a search's settings and space, by which a ledger and a model name their configuration."""
    return hash_of({"settings": learned(settings), "space": dict(space)})
