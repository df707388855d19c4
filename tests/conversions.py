"""Conversions to ONNX that several tests ask for: torch takes five seconds for the smallest one, so each is made once.

What torch answered is kept by everything that it was asked: module with weights, examples, options.
"""

import functools
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import torch

Export = Callable[..., Any]


def kept(export: Export, folder: Path) -> Export:
    """`export`, by which a conversion that lies in `folder` is not made again."""

    @functools.wraps(export)
    def once(module: torch.nn.Module, examples: tuple[Any, ...], **options: Any) -> Any:
        file = folder / f"{key_of(module, examples, options)}.onnx"
        if not file.exists():
            share_operators()
            program = export(module, examples, **options)
            part = file.with_suffix(f".{os.getpid()}")
            part.write_bytes(program.model_proto.SerializeToString())
            part.replace(file)
        return SimpleNamespace(model_proto=onnx.load_from_string(file.read_bytes()))

    return once


def key_of(*asked: Any) -> str:
    """A digest of what is asked."""
    pickled = io.BytesIO()
    torch.save(asked, pickled)
    return hashlib.sha256(pickled.getvalue()).hexdigest()


@functools.cache
def share_operators() -> None:
    """From now on torch reads its table of operators once, not for each conversion, a fifth of its time."""
    # a second of imports, which tests without models do without
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    ONNXRegistry.from_torchlib = staticmethod(functools.cache(ONNXRegistry.from_torchlib))  # type: ignore[method-assign]
