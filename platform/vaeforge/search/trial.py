"""A Tune trial that trains nothing: it hands its configuration to the broker and relays what hosts report.

It imports no torch, so that its process starts quickly and stays small, and it never raises for a trial that failed:
Tune would destroy the process that the next trial is to reuse.
"""

import math
from typing import Any

import ray
from ray import tune


class HostedTrial(tune.Trainable):
    """See the module's docstring. The configuration is {"trial": number, "params": flat, "group": schedule}."""

    def setup(self, config: dict[str, Any], broker: Any) -> None:
        self.broker = broker
        self._submit(config)

    def _submit(self, config: dict[str, Any]) -> None:
        # the number comes with the configuration: on reuse, self.trial_id is already the next trial's
        self.number = int(config["trial"])
        self.after = 0
        self.pending: list[dict[str, Any]] = []
        ray.get(self.broker.submit.remote(self.number, config["params"], config["group"]))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.cleanup()
        self._submit(new_config)
        return True

    def step(self) -> dict[str, Any]:
        while not self.pending:
            self.pending = ray.get(self.broker.reports.remote(self.number, self.after))
        report = self.pending.pop(0)
        self.after = report["epoch"]
        value = math.nan if report["value"] is None else report["value"]
        done = report["outcome"] != "running"
        return {"epoch": self.after, "value": value, "outcome": report["outcome"], "done": done}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Tune pauses the trial: its host is freed, its checkpoint stays where it is."""
        report = ray.get(self.broker.park.remote(self.number)) or {}
        return {"trial": self.number, "epoch": self.after, "checkpoint": report.get("checkpoint")}

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Tune goes on with the trial: it was submitted when its process was set up, only reports are skipped."""
        if checkpoint is not None and checkpoint["trial"] == self.number:
            self.after, self.pending = int(checkpoint["epoch"]), []

    def cleanup(self) -> None:
        """A trial that has ended already stays as it ended."""
        ray.get(self.broker.stop.remote(self.number, "stopped by Tune"))
