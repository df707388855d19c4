"""Errors that say that memory ran out, of a processor or of a GPU: torch has no class of its own for the former."""

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says so."""
    return isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) or "can't allocate memory" in str(error)
