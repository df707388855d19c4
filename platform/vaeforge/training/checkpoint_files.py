"""Checkpoint files, whatever is in them: which one is which, copies out of another's reach, copies on this machine.

Nothing here imports torch, because the dispatcher, which holds no model, keeps and removes checkpoints too.
"""

import re
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from shutil import copyfileobj

from vaeforge.errors import CheckpointError, ConfigError
from vaeforge.paths import copy_into, sha256_of, write_atomically
from vaeforge.records import OPTIONAL
from vaeforge.training.storage import INHERITED, join, located, name_of, open_storage, split

CHECKPOINT_NAME = re.compile(rf"(?:{INHERITED}/)?epoch-\d+\.pt")


@dataclass(frozen=True)
class Checkpoint:
    """A file that holds a training state after `epoch` epochs; `file` is a path or a URL."""

    file: str
    sha256: str
    epoch: int

    @property
    def path(self) -> Path:
        """Where a checkpoint of this machine's folders lies."""
        return Path(self.file)

    @property
    def inherited(self) -> bool:
        """Whether it is another training's, put into a part of this one's folder by `inherit`."""
        return re.fullmatch(INHERITED, split(split(self.file)[0])[1]) is not None

    def within(self, folder: Path | str) -> "Checkpoint":
        """The same checkpoint in the storage at `folder`, wherever it lay when it was recorded."""
        return replace(self, file=join(folder, name_of(self.file)))


@dataclass(frozen=True)
class CheckpointRef:
    """A checkpoint as manifests name it, after the search that made it has ended.

    Attributes:
        path: relative to the project's root where it lies inside it.
        file: where it lay while the search ran, a path or a URL; none if it was not recorded.
    """

    path: str
    sha256: str
    epoch: int
    file: str | None = field(default=None, metadata=OPTIONAL)

    def within(self, root: Path) -> Checkpoint:
        """The checkpoint in the project at `root`."""
        return Checkpoint(str(root / self.path), self.sha256, self.epoch)


def require_usable(location: Path | str) -> None:
    """Write, read and remove a small file in the storage at `location`, without waiting for it to come back.

    Raises:
        ConfigError: if one of these cannot be done.
    """
    storage, name, content = open_storage(location, ()), f".probe-{uuid.uuid4().hex}", uuid.uuid4().bytes
    try:
        storage.write(name, lambda file: copyfileobj(BytesIO(content), file))
        with storage.local_file(name) as path:
            same = path.read_bytes() == content
        storage.remove(name)
    except OSError as error:
        problem = f"must be a folder or URL that can be written and read ({error}); check it and its credentials"
        raise ConfigError(f"search.storage: got {str(location)!r}, {problem}") from error
    if not same:
        raise ConfigError(f"search.storage: got {str(location)!r}, which gives back other bytes than were written")


def inherit(
    donor: Checkpoint, donor_best: Checkpoint | None, folder: Path | str
) -> tuple[Checkpoint, Checkpoint | None]:
    """Keep a donor's state for the trial whose checkpoints lie in `folder`, out of reach of the donor's tidying.

    Both files come to lie in one part of the folder, named after the donor's own folder and epoch: as hard links where
    the file system allows that, else as copies, made by the store itself where it can. They are verified when they are
    loaded. Repeating the call changes nothing, also when the donor's files are gone by then.

    Args:
        donor: the state to continue from.
        donor_best: the state after the donor's best epoch.
        folder: of the trial that inherits.

    Returns:
        The same two, where they lie now.

    Raises:
        CheckpointError: if a file of the donor is not there, or cannot be linked or copied.
    """
    above, place = ["", *donor.file.split("/")][-3:-1]
    part = f"from-{above if donor.inherited else place}-epoch-{donor.epoch:05d}"
    wanted = [donor] if donor_best is None else [donor, donor_best]
    try:
        open_storage(folder).link_or_copy(part, {split(c.file)[1]: c.file for c in wanted})
    except FileNotFoundError as error:
        raise CheckpointError(str(error)) from error
    except OSError as error:
        raise CheckpointError(f"{join(folder, part)}: could not be written ({error})") from error
    moved = [replace(c, file=join(folder, part, split(c.file)[1])) for c in wanted]
    return moved[0], moved[1] if donor_best is not None else None


def download(checkpoint: Checkpoint, folder: Path) -> Checkpoint:
    """A copy of `checkpoint`, wherever it lies, in a folder of this machine; one that is there already is taken.

    Raises:
        CheckpointError: if it is not there, is not what it was, or the copy cannot be written.
    """
    target = folder / split(checkpoint.file)[1]
    home = replace(checkpoint, file=str(target))
    if target.is_file() and sha256_of(target) == checkpoint.sha256:
        return home
    try:
        with verified_file(checkpoint) as path:
            write_atomically(target, lambda file: copy_into(path, file))
    except OSError as error:
        raise CheckpointError(f"{target}: could not be written ({error})") from error
    return home


def best_beside(loaded: Checkpoint, best: Checkpoint) -> Checkpoint:
    """The checkpoint `best` that the state in `loaded` names, in the folder where `loaded` lies now."""
    folder, _ = split(loaded.file)
    if loaded.inherited:  # what was inherited lies side by side
        return replace(best, file=join(folder, split(best.file)[1]))
    return best.within(folder)


@contextmanager
def verified_file(checkpoint: Checkpoint) -> Iterator[Path]:
    """A local file with the content of `checkpoint`, compared with its SHA-256.

    Raises:
        CheckpointError: if it is not there, cannot be read, or is not what was saved.
    """
    with ExitStack() as stack:
        try:
            storage, name = located(checkpoint.file)
            path = stack.enter_context(storage.local_file(name))
            found = sha256_of(path)
        except FileNotFoundError:
            raise CheckpointError(f"{checkpoint.file}: not found") from None
        except OSError as error:
            raise CheckpointError(f"{checkpoint.file}: cannot be read ({error})") from error
        if found != checkpoint.sha256:
            expected = f"must be {checkpoint.sha256}: altered or cut off"
            raise CheckpointError(f"{checkpoint.file}: SHA-256 is {found}, {expected}")
        yield path
