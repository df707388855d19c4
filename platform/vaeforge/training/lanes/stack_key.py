"""Key of trials that can be lanes of one stack: those that differ only in what each lane has for itself.

Imports no torch: whoever hands out trials asks here too.
"""

from collections.abc import Mapping
from typing import Any

LANE_SECTIONS = ("beta.",)
LANE_PATHS = frozenset(
    {
        "model.latent_dim",  # smaller ones are padded
        "optimizer.lr",
        "optimizer.weight_decay",
        "optimizer.clip_norm",
        "optimizer.gradient_limit",
        "optimizer.schedule",
        "training.seed",
        "training.epochs",
        "training.patience",
        "training.plateau_factor",
        "training.plateau_patience",
    }
)
OFF_VALUES: Mapping[str, float] = {"model.dropout": 0.0, "training.total_correlation": 1.0}  # else a lane's own number
StackKey = tuple[tuple[str, str], ...]


def stack_key(params: Mapping[str, Any]) -> StackKey:
    """What two trials of a search must have in common to be lanes of one stack.

    Args:
        params: a trial's flat parameters, by their paths in the configuration.
    """
    return tuple(sorted((path, _shared(path, value)) for path, value in params.items() if not is_of_a_lane(path)))


def is_of_a_lane(path: str) -> bool:
    """Whether lanes of one stack may differ in the setting at `path`, whatever its values."""
    return path in LANE_PATHS or path.startswith(LANE_SECTIONS)


def _shared(path: str, value: Any) -> str:
    """What lanes share of a setting: of some, whether it is on."""
    return str(value != OFF_VALUES[path]) if path in OFF_VALUES else repr(value)
