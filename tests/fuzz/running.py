"""How inputs are tried: how many, which ones, and how much memory one may take.

`FUZZ_EXAMPLES` says how many a parser (20), `FUZZ_SEED` which ones (0): the same ones each time for a seed.
"""

import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from vaeforge.errors import VaeforgeError

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "20"))
SEED = int(os.environ.get("FUZZ_SEED", "0"))
SETTINGS = settings(max_examples=EXAMPLES, database=None, deadline=None, suppress_health_check=list(HealthCheck))
MEMORY = 400 * 2**20  # bytes that a file of some kilobytes may take
STATUS, PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def each(contents: st.SearchStrategy[bytes], check: Callable[[bytes], None]) -> None:
    """Call `check` with so many of `contents`; nothing that it does may take much memory."""

    @seed(SEED)
    @SETTINGS
    @given(contents)
    def tried(content: bytes) -> None:
        before = _forgotten_peak()
        check(content)
        taken = _held("VmHWM") - before
        assert taken < MEMORY, f"{len(content)} bytes took {taken} bytes of memory"

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # decoders' about damage
        tried()


def refused_or_read(read: Callable[[], object]) -> str:
    """What our own error says; empty where there is none."""
    try:
        read()
    except VaeforgeError as error:
        assert str(error)
        return str(error)
    return ""


def _forgotten_peak() -> int:
    """Bytes that this process holds; the peak from then on is that of what follows (proc_pid_clear_refs(5))."""
    PEAK.write_text("5")
    return _held("VmRSS")


def _held(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", STATUS.read_text())
    assert found is not None
    return 1024 * int(found[1])
