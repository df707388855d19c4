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
from torch.onnx._internal.exporter import _registration

Export = Callable[..., Any]


def kept(export: Export, folder: Path) -> Export:
    """`export`, by which a conversion that lies in `folder` is not made again."""

    @functools.wraps(export)
    def once(module: torch.nn.Module, examples: tuple[Any, ...], **options: Any) -> Any:
        file = folder / f"{key_of(module, examples, options)}.onnx"
        if not file.exists():
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


def share_operators(patched: Any) -> None:
    """Torch's table of operators is read once in a process and not for each conversion, a fifth of its time."""
    read = functools.cache(_registration.ONNXRegistry.from_torchlib)
    patched.setattr(_registration.ONNXRegistry, "from_torchlib", staticmethod(read))
