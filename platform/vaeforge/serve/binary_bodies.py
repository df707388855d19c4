"""Samples as bytes: a NumPy file (`.npy`), or raw little-endian values in C order, whose number gives N.

Shapes: N samples; x float32 [N, *event], condition float32 [N, C].
"""

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeforge.config.layouts import layout_named
from vaeforge.data.arrays import npy_from
from vaeforge.errors import DataError
from vaeforge.package.contract import Contract
from vaeforge.package.inputs import condition_of, samples_of
from vaeforge.serve.request_parsing import TYPES, PredictRequest, require_at_most

NPY, RAW = "application/x-npy", "application/octet-stream"


@dataclass(frozen=True)
class BinaryQuestion:
    """What is asked about samples beside themselves.

    Attributes:
        dtype: of raw values, one of `TYPES`; empty for float32. A NumPy file says its own.
        condition: of all samples: a class, or numbers separated by commas; none for models without.
        outputs: names of those that are wanted.
    """

    dtype: str
    condition: str | None
    outputs: tuple[str, ...]


def read_binary(content: bytes, kind: str, contract: Contract, asked: BinaryQuestion, most: int) -> PredictRequest:
    """The request in bytes of the media type `kind`, `NPY` or `RAW`.

    Raises:
        DataError: if they are no such file, or no samples of this model.
        TooMuchError: if there are more than `most` samples.
    """
    x = _of_npy(content, asked) if kind == NPY else _of_raw(content, contract, asked.dtype or "float32")
    if x.shape[1:] == contract.event_shape:
        require_at_most(len(x), most)
    samples = samples_of(x, contract, "body")
    return PredictRequest(samples, _condition(asked.condition, contract, len(samples)), asked.outputs)


def _of_npy(content: bytes, asked: BinaryQuestion) -> NDArray[Any]:
    if asked.dtype:
        raise DataError(f"dtype: got {asked.dtype!r}, but a NumPy file says its own; leave it out")
    return npy_from(Path("body"), io.BytesIO(content), len(content))


def _of_raw(content: bytes, contract: Contract, dtype: str) -> NDArray[Any]:
    if dtype not in TYPES:
        raise DataError(f"dtype: got {dtype!r}, must be one of {', '.join(TYPES)}")
    kind = np.dtype(dtype).newbyteorder("<")
    sample = math.prod(contract.event_shape) * kind.itemsize
    if not content or len(content) % sample:
        raise DataError(
            f"body: holds {len(content)} bytes, must be a multiple of {sample}, a sample of shape "
            f"{list(contract.event_shape)} in {dtype}; dtype in the query says another type"
        )
    return np.frombuffer(content, dtype=kind).reshape(-1, *contract.event_shape)


def _condition(given: str | None, contract: Contract, count: int) -> NDArray[np.float32] | None:
    numbers: Any = given
    if given is not None and not layout_named(contract.data).condition_is_class:
        try:
            numbers = [float(word) for word in given.split(",")]
        except ValueError:
            raise DataError(f"condition: got {given!r}, must be numbers separated by commas") from None
    return condition_of(numbers, contract, count)
