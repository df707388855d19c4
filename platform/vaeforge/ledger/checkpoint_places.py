"""Places of a search's checkpoints: beside its ledger or at its storage, wherever they lay when they were recorded.

A project is moved, copied, and mounted under other paths. So a checkpoint is looked up by its name within the folder of
its trial, and the path that a ledger holds says only where it lay then.
"""

from dataclasses import replace
from functools import lru_cache, singledispatch
from pathlib import Path
from typing import Any

from vaeforge.ledger.events import EpochReported, LedgerEvent, SearchHeader, TrialDecided
from vaeforge.paths import Project
from vaeforge.training.checkpoint_files import Checkpoint
from vaeforge.training.storage import join


def checkpoint_root(header: SearchHeader, search: Path) -> str:
    """Where the checkpoints of the search in the folder `search` lie: there, or at the storage that it was given.

    A storage that is a relative path lies in the project.
    """
    if header.checkpoints is None or "://" in header.checkpoints:
        return header.checkpoints or str(search)
    return str(Project.of_search(search).root / header.checkpoints)


@lru_cache(maxsize=4096)  # epochs of the same few trials follow each other
def trial_folder(root: Path | str, number: int) -> str:
    """Where the checkpoints of a trial lie."""
    return join(str(root), "trials", f"{number:05d}")


@singledispatch
def at_home(event: LedgerEvent, root: str) -> Any:
    """`event` with each checkpoint that it names where it lies now, for a search whose checkpoints lie at `root`."""
    return event


@at_home.register
def _(event: EpochReported, root: str) -> EpochReported:
    folder = trial_folder(root, event.trial)
    checkpoint = _within(event.checkpoint, folder)
    best = checkpoint if event.best is event.checkpoint else _within(event.best, folder)
    if checkpoint is event.checkpoint and best is event.best:
        return event
    return replace(event, checkpoint=checkpoint, best=best)


@at_home.register
def _(event: TrialDecided, root: str) -> TrialDecided:
    if event.inherited is None:
        return event
    folder, state = trial_folder(root, event.trial), event.inherited
    moved = replace(state, checkpoint=state.checkpoint.within(folder), best=_within(state.best, folder))
    return replace(event, inherited=moved)


def _within(checkpoint: Checkpoint | None, folder: str) -> Checkpoint | None:
    """The checkpoint in `folder`; the very same one where it lies there already."""
    if checkpoint is None or _lies_in(checkpoint.file, folder):  # nearly always, and paths are costly to take apart
        return checkpoint
    moved = checkpoint.within(folder)
    return checkpoint if moved == checkpoint else moved


def _lies_in(file: str, folder: str) -> bool:
    """Whether `file` is plainly one of `folder`: it begins with it, and what follows is a name."""
    name = file[len(folder) + 1 :]
    return file == f"{folder}/{name}" and name not in ("", ".", "..") and "/" not in name and "\\" not in name
