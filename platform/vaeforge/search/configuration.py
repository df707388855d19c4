"""Configuration of a search: what of its settings decides what it tries and learns, and the hash of that."""

from collections.abc import Mapping
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


def configuration_hash(settings: Mapping[str, Any], space: Mapping[str, Any]) -> str:
    """The hash of a search's settings and space, by which a ledger and a model name their configuration."""
    return hash_of({"settings": learned(settings), "space": dict(space)})
