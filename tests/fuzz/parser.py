"""What is fuzzed: a reader, and contents of the file that it reads."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st


@dataclass(frozen=True)
class Parser:
    """A reader.

    Attributes:
        file: the name of what it reads.
        read: takes that file's path.
        contents: of that file.
    """

    file: str
    read: Callable[[Path], Any]
    contents: st.SearchStrategy[bytes]
