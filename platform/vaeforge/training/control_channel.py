"""Control messages between the ranks of a group: JSON in tensors of bytes, which says nothing but data.

`torch.distributed` sends Python objects as pickles, and whoever unpickles what a peer sends runs what the peer likes.
"""

import json
from dataclasses import asdict, is_dataclass
from functools import cache
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

T = TypeVar("T")


class ControlMessageError(Exception):
    """What a peer sent is no message of the kind that is due; the group is started anew."""


class ControlChannel:
    """Typed values between the ranks of `group`, whose tensors lie in main memory."""

    def __init__(self, group: dist.ProcessGroup):
        self._group = group

    def broadcast(self, value: T | None, kind: Any) -> T:
        """Rank 0's `value`, of the type `kind`, on every rank.

        Raises:
            ControlMessageError: if what arrives is none.
        """
        content = _packed(value) if dist.get_rank(self._group) == 0 else torch.empty(0, dtype=torch.uint8)
        size = torch.tensor([len(content)])
        dist.broadcast(size, src=0, group=self._group)
        if len(content) != int(size):
            content = torch.empty(int(size), dtype=torch.uint8)
        dist.broadcast(content, src=0, group=self._group)
        return cast(T, _unpacked(content, kind))

    def gather(self, value: T, kind: Any) -> list[T]:
        """Every rank's value, of the type `kind`, in order of rank, on every rank.

        Raises:
            ControlMessageError: if one is none.
        """
        content, world = _packed(value), dist.get_world_size(self._group)
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(world)]
        dist.all_gather(sizes, torch.tensor([len(content)]), group=self._group)
        longest = max(map(int, sizes))
        padded = torch.zeros(longest, dtype=torch.uint8)
        padded[: len(content)] = content
        parts = [torch.empty(longest, dtype=torch.uint8) for _ in range(world)]
        dist.all_gather(parts, padded, group=self._group)
        return [cast(T, _unpacked(part[: int(size)], kind)) for part, size in zip(parts, sizes, strict=True)]


def _packed(value: Any) -> Tensor:
    """The bytes of a value's JSON."""
    plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    return torch.frombuffer(bytearray(json.dumps(plain).encode()), dtype=torch.uint8)


def _unpacked(content: Tensor, kind: Any) -> Any:
    try:
        return _adapter(kind).validate_python(json.loads(bytes(content.numpy())))
    except (ValueError, ValidationError) as error:
        raise ControlMessageError(f"control message of {len(content)} bytes: is no {kind} ({error})") from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
