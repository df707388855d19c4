"""Training data of a search, kept in its folder while it runs: preparing other data does not take them from it.

Worker groups start at any time of a search that may last for days, and prepared data of an identity may be made again,
or removed for newer ones (`data/prepared_places.py`). Files there are replaced and never changed, so that a hard link
keeps what a search began with, and costs no room; a file system without links has a copy.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vaeforge.data.prepared import TRAINING_FILES, Prepared, read_prepared_manifest
from vaeforge.errors import DataError
from vaeforge.training.storage import LocalStorage

KEPT = "data"


@contextmanager
def kept_data(prepared: Prepared, search: Path) -> Iterator[Path]:
    """The folder, within the `search`'s own, in which its training data are until the block ends.

    Raises:
        DataError: if they cannot be linked or copied, or other data were prepared since `prepared` was read.
    """
    folder = search / KEPT
    try:
        shutil.rmtree(folder, ignore_errors=True)  # of a session that was killed
        _keep(prepared, search)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _keep(prepared: Prepared, search: Path) -> None:
    try:
        # the manifest last: it is removed before its arrays are replaced, and written after them
        LocalStorage(str(search)).link_or_copy(KEPT, {name: str(prepared.folder / name) for name in TRAINING_FILES})
    except FileNotFoundError as error:
        raise DataError(f"{error}: other data are being prepared; start again when they are") from error
    except OSError as error:
        raise DataError(f"{search / KEPT}: the training data cannot be kept here ({error})") from error
    if read_prepared_manifest(search / KEPT) != prepared.manifest:
        raise DataError(f"{prepared.folder}: other data were prepared meanwhile; start again")
