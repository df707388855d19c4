"""Tune trial that trains nothing: it hands its configuration to the dispatcher and relays what worker groups report.

It imports no torch, so that its process starts quickly and stays small, and it never raises for a trial that failed:
Tune would destroy the process that the next trial is to reuse.
"""

import math
import time
from collections import deque
from dataclasses import asdict
from typing import Any

import ray
from ray import tune

from vaeforge.search.dispatch.types import TrialConfig, TuneReport

RETRY_SECONDS = 0.5
REFUSED = TuneReport(0, None, "refused")


class TuneTrial(tune.Trainable):
    """See the module's docstring; the configuration is a `TrialConfig` as a dictionary."""

    def setup(self, config: dict[str, Any], dispatcher: Any) -> None:
        self.dispatcher = dispatcher
        self._submit(TrialConfig(**config))

    def _submit(self, config: TrialConfig) -> None:
        # the number comes with the configuration: on reuse, self.trial_id is already the next trial's
        self.number = config.trial
        self.after = 0
        self.pending: deque[TuneReport] = deque()
        self.taken: bool = self._ask("submit", config.trial, config.params, config.group, config.repeat_of)

    def _ask(self, call: str, *arguments: Any) -> Any:
        """The dispatcher's answer, asked again while it cannot be reached; every call may be repeated."""
        while True:
            try:
                return ray.get(getattr(self.dispatcher, call).remote(*arguments))
            except ray.exceptions.ActorUnavailableError:
                time.sleep(RETRY_SECONDS)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        # nothing is stopped here: a trial that a scheduler stopped has ended in the ledger, and one that Tune restarts,
        # because a process of its own was lost, goes on
        self._submit(TrialConfig(**new_config))
        return True

    def step(self) -> dict[str, Any]:
        if not self.taken:  # the search ends: this trial was never begun
            return _result(REFUSED)
        while not self.pending:
            self.pending.extend(self._ask("reports", self.number, self.after))
        report = self.pending.popleft()
        self.after = report.epoch
        return _result(report)

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Tune pauses the trial: its worker group is freed, its checkpoint stays where it is."""
        if not self.taken:
            return {"trial": self.number, "epoch": 0}
        self._ask("pause", self.number)
        return {"trial": self.number, "epoch": self.after}

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Tune resumes the trial: it was submitted when its process was set up, only reports are skipped."""
        if checkpoint is not None and checkpoint["trial"] == self.number:
            self.after = int(checkpoint["epoch"])
            self.pending.clear()


def _result(report: TuneReport) -> dict[str, Any]:
    """A report as Tune wants it: a value that is a number, and whether it is the last one."""
    value = math.nan if report.value is None else report.value
    return {**asdict(report), "value": value, "done": report.outcome != "running"}
