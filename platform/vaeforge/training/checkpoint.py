"""Checkpoints: tensors and plain values, written atomically, identified by their SHA-256.

A flipped bit in a checkpoint loads without a word, so nothing is loaded whose hash does not match.
"""

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vaeforge.config.experiment import Experiment
from vaeforge.errors import CheckpointError
from vaeforge.training.checkpoint_files import Checkpoint, verified_file
from vaeforge.training.storage import located
from vaeforge_models.vae import VAE, DataSpec

Content = dict[str, Any]  # tensors and plain values; what they mean is known to whoever saves them
__all__ = ["Checkpoint", "LoadedCheckpoint", "load", "load_model", "load_newest", "save"]


@dataclass(frozen=True)
class LoadedCheckpoint:
    """The content of a checkpoint, the checkpoint itself, and what was wrong with newer ones."""

    content: Content
    checkpoint: Checkpoint
    problems: list[str]


def save(file: Path | str, content: Content, epoch: int, on_step: Callable[[], None] = lambda: None) -> Checkpoint:
    """Write `content` to the path or URL `file` atomically; `on_step` is called after each part that is on its way.

    Raises:
        OSError: if it cannot be written (full or read-only, no answer); `file` then holds what it held before.
    """
    storage, name = located(str(file))
    digest = storage.write(name, lambda opened: torch.save(content, opened), on_step)
    return Checkpoint(str(file), digest, epoch)


def load(checkpoint: Checkpoint, device: torch.device | str = "cpu") -> Content:
    """The content of `checkpoint`, tensors on `device`.

    Raises:
        CheckpointError: if the file is missing, truncated or altered.
    """
    with verified_file(checkpoint) as path:
        try:
            content: Content = torch.load(path, map_location=device, weights_only=True)
        except (EOFError, RuntimeError, OSError, pickle.UnpicklingError) as error:
            raise CheckpointError(f"{checkpoint.file}: cannot be read ({error})") from error
    return content


def load_newest(
    checkpoints: Sequence[Checkpoint],
    device: torch.device | str = "cpu",
    any_rank: Callable[[bool], bool] = bool,
) -> LoadedCheckpoint:
    """The newest checkpoint that is sound.

    Args:
        checkpoints: in any order.
        device: where the tensors go.
        any_rank: whether a rank of the group failed, given whether this one did; all continue from the same checkpoint.

    Raises:
        CheckpointError: on all ranks, if none of them can be loaded.
    """
    problems: list[str] = []
    for checkpoint in sorted(checkpoints, key=lambda c: -c.epoch):
        content, problem = None, None
        try:
            content = load(checkpoint, device)
        except CheckpointError as error:
            problem = str(error)
        failed = any_rank(problem is not None)
        if content is not None and not failed:
            return LoadedCheckpoint(content, checkpoint, problems)
        problems.append(problem or f"{checkpoint.file}: another rank could not load it")
    raise CheckpointError("; ".join(problems) or "there is no checkpoint to resume from")


def load_model(checkpoint: Checkpoint, experiment: Experiment, spec: DataSpec) -> VAE:
    """The model of `experiment` with the weights in `checkpoint`, in evaluation mode on the CPU.

    Raises:
        CheckpointError: if the file is damaged or belongs to another model.
    """
    model = experiment.definition.build(experiment.model, spec)
    content = load(checkpoint)
    try:
        model.load_state_dict(content["model"])
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{checkpoint.file}: does not fit the model of this experiment ({error})") from error
    return model.eval()
