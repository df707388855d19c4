"""Reading of untrusted GIFTI files by nibabel: series of vertices, an array for each timepoint.

Values in another file are not looked at. Shapes: T timepoints, V vertices.
"""

import base64
import math
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.gifti.parse_gifti_fast import GiftiImageParser
from nibabel.gifti.util import gifti_encoding_codes
from nibabel.nifti1 import data_type_codes, intent_codes
from numpy.typing import NDArray

from vaeforge.data.announced_size import require_memory
from vaeforge.data.damaged_file import DamagedFileError
from vaeforge.data.file_format import Matrix
from vaeforge.data.volume_file import DAMAGE

EXTERNAL, PACKED = "External", "B64GZ"  # nibabel's words for encodings, of which a file may use several
SERIES, NONE = "NIFTI_INTENT_TIME_SERIES", "NIFTI_INTENT_NONE"


def read_gifti(path: Path) -> Matrix:
    """The series, not yet read."""
    return Matrix(partial(_values, path), oriented=True)


class _Parser(GiftiImageParser):  # type: ignore[misc]
    """nibabel's, for a file that nobody vouches for: no other file is opened, no more unpacked than is announced."""

    def __init__(self, path: Path):
        super().__init__()
        self.path, self.announced = path, 0

    def StartElementHandler(self, name: str, attrs: dict[str, str]) -> None:  # noqa: N802 (expat's)
        super().StartElementHandler(name, attrs)
        if name == "DataArray":
            self.announced += self._size()
            require_memory(self.path, self.announced)
            if self._encoding() == EXTERNAL:
                raise DamagedFileError(self.path, "keeps its values in another file; write them into this one")

    def flush_chardata(self) -> None:
        if self.write_to == "Data" and self._char_blocks and self._encoding() == PACKED:
            content = base64.b64decode("".join(self._char_blocks).encode("ascii"))
            if len(zlib.decompressobj().decompress(content, self._size() + 1)) > self._size():
                raise DamagedFileError(self.path, f"an array announces {self.da.dims} and holds more")
        super().flush_chardata()

    def _encoding(self) -> str:
        return str(gifti_encoding_codes.label[self.da.encoding])

    def _size(self) -> int:
        """Bytes of an array, as announced."""
        values: int = math.prod(self.da.dims)
        return values * int(data_type_codes.dtype[self.da.datatype].itemsize)


def _values(path: Path) -> NDArray[Any]:
    """The values [T, V].

    Raises:
        DamagedFileError: if the file cannot be read, keeps values in another one, or holds no series.
    """
    parser = _Parser(path)
    try:
        parser.parse(string=path.read_bytes())
        known = [(intent_codes.niistring[one.intent], one.data) for one in parser.img.darrays]
        shapes = [(intent, values.shape) for intent, values in known]
    except DAMAGE as error:
        raise DamagedFileError(path, f"cannot be read as GIFTI ({error or type(error).__name__})") from None
    arrays = [values for intent, values in known if intent in (SERIES, NONE)]
    if len(arrays) < 2 or len({values.shape for values in arrays}) > 1 or arrays[0].ndim != 1:
        named = ", ".join(f"{intent} {shape}" for intent, shape in shapes[:3])
        raise DamagedFileError(path, f"holds {len(known)} arrays ({named}), must hold one [V] for each timepoint")
    return np.stack(arrays)
