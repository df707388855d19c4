"""Answer to a prediction as JSON: the outputs that were asked for, and what there is to say of the inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from vaeforge.errors import DataError

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Answered:
    """Which model answers, and its threshold."""

    model: str
    version: str | None
    threshold: float


def written(
    by: Answered, outputs: Arrays, wanted: Sequence[str], names: Sequence[str], warnings: Sequence[str]
) -> bytes:
    """The outputs that are `wanted`, as JSON; each number with the digits that tell it from other float32 ones.

    Args:
        by: the model.
        outputs: of N samples, [N, ...] each.
        wanted: names among them, or `is_anomaly` and `strange`, its former name.
        names: of pictures; empty where the samples have none.
        warnings: left out where there are none.

    Raises:
        DataError: where an output is not finite, which JSON cannot hold; inputs far from any data lead to it.
    """
    is_anomaly = outputs["score"] > by.threshold
    known = {**outputs, "is_anomaly": is_anomaly, "strange": is_anomaly}
    chosen = {name: known[name] for name in wanted}
    for name, array in chosen.items():
        wrong = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))
        if len(wrong):
            raise DataError(
                f"inputs.x: of sample {wrong[0]} the model's {name} is not finite; its values are out of range"
            )
    content: dict[str, Any] = {"model": by.model, "version": by.version, "threshold": by.threshold}
    if names:
        content["names"] = list(names)
    if warnings:
        content["warnings"] = list(warnings)
    arrays = {name: np.ascontiguousarray(array) for name, array in chosen.items()}
    return orjson.dumps(content | arrays, option=orjson.OPT_SERIALIZE_NUMPY)


def size_of(outputs: Arrays, wanted: Sequence[str]) -> int:
    """How many numbers an answer holds."""
    return sum(outputs[name].size for name in wanted if name in outputs)
