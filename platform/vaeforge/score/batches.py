"""Batches of items from the readers, in a stable order, the unusable ones among them with the reason.

Shapes: n items of a batch; x float32 [n, *event] in raw units; condition float32 [n, C]. Integers and floats of any
size are taken, rounded to float32; what that makes infinite counts as unusable, like NaN. To a model that learned from
data with missing values, both are missing values, as to an import, and only an item without any value is unusable.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vaeforge.errors import RegistryError
from vaeforge.package.contract import Contract

Values = NDArray[np.float32]
Position = tuple[int, int]  # a file's number, and a row in it: all before it is done
Size = tuple[int, int]  # width and height of a picture, pixels


@dataclass(frozen=True)
class ItemBatch:
    """Items that go through the model together.

    Attributes:
        names: of the items.
        x, condition: their values; zeros for items in `rejected`.
        rejected: positions of unusable items, with the reason.
        end: where a later session could go on after this batch; none in the middle of a picture.
        inputs: pictures or rows that this batch completes, for showing progress.
        sizes: of the picture that each item was made of; none for what came as a sample, or was cut out.
    """

    names: tuple[str, ...]
    x: Values
    condition: Values
    rejected: dict[int, str]
    end: Position | None
    inputs: int
    sizes: tuple[Size | None, ...] = ()


@dataclass
class Rows:
    """Some rows as they were read: names, raw values [n, *event], conditions [n, C], reasons by position, and the
    sizes of pictures that samples were made of, in the order of the names; empty where there are none.
    """

    names: list[str]
    x: NDArray[Any]
    condition: NDArray[Any]
    rejected: dict[int, str] = field(default_factory=dict)
    sizes: list[Size | None] = field(default_factory=list)


class Reader(Protocol):
    """An input's items in order."""

    def count(self) -> int | None:
        """How many pictures or rows there are; none if only reading everything would tell."""

    def batches(self, start: Position) -> Iterator[ItemBatch]:
        """Blocks from `start` on, the same ones whichever session reads them."""


def make_batch(rows: Rows, end: Position | None, inputs: int, missing: bool = False) -> ItemBatch:
    """`rows` as float32, those with values that are not finite rejected too; with `missing`, those without any."""
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold becomes infinite, and is found here
        x, condition = (np.array(values, dtype=np.float32) for values in (rows.x, rows.condition))
    rejected = dict(rows.rejected)
    for values, what in ((x, "values"), (condition, "values of the condition")):
        flat = values.reshape(len(values), -1)
        finite = np.isfinite(flat)
        if finite.all():
            continue
        bad = (~finite).sum(axis=1)
        allowed = missing and values is x
        for position in np.flatnonzero(bad == flat.shape[1] if allowed else bad).tolist():
            rejected.setdefault(position, f"{bad[position]} of {flat.shape[1]} {what} are NaN or infinite")
        values[np.isinf(values)] = np.nan
    for position in rejected:
        x[position], condition[position] = 0, 0
    return ItemBatch(tuple(rows.names), x, condition, rejected, end, inputs, tuple(rows.sizes))


def rejected_rows(contract: Contract, names: Sequence[str], reason: str) -> Rows:
    """Items that could not be read."""
    x = np.zeros((len(names), *contract.event_shape), dtype=np.float32)
    condition = np.zeros((len(names), len(contract.condition)), dtype=np.float32)
    return Rows(list(names), x, condition, dict.fromkeys(range(len(names)), reason))


def prepare_setting(contract: Contract, name: str) -> Any:
    """The setting `prepare.<name>` of the data that the model learned from.

    Raises:
        RegistryError: if the contract does not tell it.
    """
    if name not in contract.prepare:
        raise RegistryError(f"contract: tells no prepare.{name}, which {contract.data} need; export the model again")
    return contract.prepare[name]
