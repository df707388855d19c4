"""Settings of a GPU for a model: the precision of products, and how convolutions lie in memory."""

import torch
from torch import nn


def prepare_gpu(model: nn.Module, tf32: bool) -> None:
    """Set a GPU up for `model`: the precision of products, and pictures with their channels last, as its kernels are.

    Args:
        model: on the GPU; its convolutions' weights are laid out anew.
        tf32: whether float32 products may keep 10 bits of mantissa; torch's own default is convolutions alone.
    """
    use_tf32(tf32)
    if any(isinstance(one, nn.Conv2d | nn.ConvTranspose2d) for one in model.modules()):
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def use_tf32(allowed: bool) -> None:
    """Let float32 products of this process keep 10 bits of mantissa, or not."""
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed
