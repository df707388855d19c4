"""The tracking process beside a search: it reads the ledger and tells MLflow; training never waits for it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from vaeforge.track.replay import run_ids


class Tracker:
    """Starts `vaeforge.track.follow` in a session of its own, so that a Ctrl-C reaches only the search."""

    def __init__(self, ledger: Path, uri: str, root: Path):
        self._folder = ledger.parent
        command = [sys.executable, "-m", "vaeforge.track.follow", "--ledger", str(ledger), "--uri", uri]
        command += ["--root", str(root), "--parent", str(os.getpid())]
        with (self._folder / "tracking.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, start_new_session=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def finish(self, seconds: float) -> bool:
        """Wait until everything has been told; whether it has."""
        try:
            return self._process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            return False

    def runs(self) -> dict[str, Any]:
        """MLflow's run ids so far."""
        return dict(run_ids(self._folder))
