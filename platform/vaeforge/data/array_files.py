"""Errors of reading a damaged `.npy` or `.npz` file, as NumPy and the modules below it raise them."""

import zipfile
import zlib
from tokenize import TokenError

# found by cutting files and overwriting bytes of them at random
DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, TypeError, SyntaxError, TokenError, KeyError),
    *(RuntimeError, OverflowError, MemoryError),
)
