"""End of a session whose Ray has lost its node on this machine: said, written into the ledger, and the process left.

The process is left at once (`os._exit`): threads of it are in calls of Ray that no longer return, and Ray's own end,
which Python would make, needs the node.
"""

import os
import shutil
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from vaeforge.errors import SearchError
from vaeforge.ledger.events import SearchInterrupted
from vaeforge.ledger.file import Ledger
from vaeforge.ledger.history import read_history
from vaeforge.remarks import refuse
from vaeforge.search.plan import Plan
from vaeforge.search.progress_view import ProgressView
from vaeforge.search.signals import InterruptHandler

GO_ON = "what was reported is kept; continue with --resume"
SIGNAL_SECONDS = 3.0  # until a signal that was sent to Ray's processes, too, is known to have been sent to this one


@dataclass
class NodeLoss:
    """What is to be done once the node is lost; call it with the process that has ended, in words.

    Attributes:
        folders: that the session would remove at its end.
        view: shows the session's progress; none before its first line is in the ledger.
    """

    plan: Plan
    interrupt: InterruptHandler
    folders: tuple[Path, ...]
    started: float = field(default_factory=time.monotonic)
    view: ProgressView | None = None

    def __call__(self, lost: str) -> NoReturn:
        code = 2
        try:
            # what schedulers of jobs send goes to every process of a job: that is an interruption like any other
            self.interrupt.requested.wait(SIGNAL_SECONDS)
            sent = self.interrupt.signal
            what = f"{lost} has ended, and Ray with it"
            if sent is not None:
                what, code = f"interrupted by {sent.name}, which has ended Ray, too", 128 + sent
            problem = f"search {self.plan.name!r}: {what}; {GO_ON}"
            if self.view is not None:
                self.view.close()
            refuse(problem)
            if self.view is not None:
                self._record("" if sent is None else sent.name, problem)
            for folder in self.folders:
                shutil.rmtree(folder, ignore_errors=True)
            sys.stdout.flush()
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)

    def _record(self, signal: str, problem: str) -> None:
        """Append the session's end to the ledger, once its writer has gone with Ray; as far as it can be done."""
        seconds = time.monotonic() - self.started
        with suppress(OSError, SearchError):
            ledger = Ledger(self.plan.ledger)
            try:
                if read_history(self.plan.ledger, slim=True).phase == "running":
                    ledger.append(
                        SearchInterrupted(signal=signal, seconds=seconds, problem=None if signal else problem)
                    )
            finally:
                ledger.close()
