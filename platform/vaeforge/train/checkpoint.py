"""Checkpoints: tensors and plain values, written atomically, identified by their SHA-256.

A flipped bit in a checkpoint loads without a word, so nothing is loaded whose hash does not match.
"""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vaeforge.config import Experiment
from vaeforge.errors import CheckpointError
from vaeforge.paths import sha256_of, write_atomically
from vaeforge_models.vae import VAE, DataSpec


@dataclass(frozen=True)
class Checkpoint:
    """A file that holds a training state after `epoch` epochs."""

    file: str
    sha256: str
    epoch: int

    @property
    def path(self) -> Path:
        return Path(self.file)


def save(path: Path, state: dict[str, Any], epoch: int) -> Checkpoint:
    """Write `state` to `path` atomically.

    Raises:
        OSError: if the disk is full or read-only; `path` then holds what it held before.
    """
    digest = write_atomically(path, lambda file: torch.save(state, file))
    return Checkpoint(str(path), digest, epoch)


def load(checkpoint: Checkpoint, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The state in `checkpoint`, tensors on `device`.

    Raises:
        CheckpointError: if the file is missing, truncated or altered.
    """
    if not checkpoint.path.is_file():
        raise CheckpointError(f"{checkpoint.file}: not found")
    found = sha256_of(checkpoint.path)
    if found != checkpoint.sha256:
        raise CheckpointError(f"{checkpoint.file}: SHA-256 is {found}, must be {checkpoint.sha256}: altered or cut off")
    try:
        state: dict[str, Any] = torch.load(checkpoint.path, map_location=device, weights_only=True)
    except (EOFError, RuntimeError, OSError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{checkpoint.file}: cannot be read ({error})") from error
    return state


def load_newest(
    checkpoints: Sequence[Checkpoint], device: torch.device | str = "cpu"
) -> tuple[dict[str, Any], list[str]]:
    """The state of the newest sound checkpoint, and what was wrong with newer ones.

    Raises:
        CheckpointError: if none of them can be loaded.
    """
    problems: list[str] = []
    for checkpoint in sorted(checkpoints, key=lambda c: -c.epoch):
        try:
            return load(checkpoint, device), problems
        except CheckpointError as error:
            problems.append(str(error))
    raise CheckpointError("; ".join(problems) or "there is no checkpoint to resume from")


def load_model(path: Path, sha256: str, experiment: Experiment, spec: DataSpec) -> VAE:
    """The model of `experiment` with the weights in the checkpoint at `path`, in evaluation mode on the CPU.

    Raises:
        CheckpointError: if the file is damaged or belongs to another model.
    """
    model = experiment.definition.build(experiment.model, spec)
    state = load(Checkpoint(str(path), sha256, epoch=0))
    try:
        model.load_state_dict(state["model"])
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{path}: does not fit the model of this experiment ({error})") from error
    return model.eval()
