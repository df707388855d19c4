"""The error of a file that is not what it should be."""

from pathlib import Path

from vaeforge.errors import DataError


class DamagedFileError(DataError):
    """A file that is cut off or not what its suffix says; a file with pickled objects is another matter."""

    def __init__(self, where: Path | str, reason: str):
        self.reason = reason
        super().__init__(f"{where}: {reason}")
