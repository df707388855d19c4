"""Tracking process beside a search, as the search sees it: it reads the ledger; training never waits for it."""

import subprocess
from pathlib import Path

from vaeforge.track.tracking_process import start


class Tracker:
    """Tells MLflow what the ledger says, in a process of its own that a Ctrl-C does not reach."""

    def __init__(self, ledger: Path, uri: str, root: Path):
        self._process = start(ledger, uri, root)

    def finish(self, seconds: float) -> bool:
        """Wait until everything has been told; whether it has."""
        try:
            return self._process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            return False
