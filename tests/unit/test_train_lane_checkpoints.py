"""Checkpoints of lanes: written at once, each lane's own, and one that cannot be written concerns no other lane."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from contracts.test_lanes import data_of, experiment
from vaeforge.errors import CheckpointError
from vaeforge.training import loop
from vaeforge.training.checkpoint import load
from vaeforge.training.lanes.stack import LaneStack
from vaeforge.training.loop import EpochReport, ModelTraining
from vaeforge.training.process_group import ProcessGroup
from vaeforge.training.training_state import read_state

LANES = 3


def test_lanes_write_at_once_and_one_that_cannot_leaves_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    all_write, save = threading.Barrier(LANES, timeout=120), loop.save

    def together(*arguments: Any) -> Any:
        all_write.wait()  # which one lane after the other would never come past
        return save(*arguments)

    monkeypatch.setattr(loop, "save", together)
    (tmp_path / "1").write_text("no folder")
    data, group = data_of("fmri"), ProcessGroup()
    stack = LaneStack(data, group, LANES, together=True)
    for number in range(LANES):
        trial = experiment("fmri", number, "constant", {"training.epochs": 2})
        stack.add(number, ModelTraining(trial, data, group, tmp_path / str(number), stacked=True))
    started = time.monotonic()
    found = stack.train_epoch(lambda: None)
    elapsed = time.monotonic() - started
    assert isinstance(found[1], CheckpointError) and set(stack.trainings) == {0, 2}
    reports = [found[number] for number in (0, 2)]
    for report in reports:
        assert isinstance(report, EpochReport) and report.checkpoint is not None
        state = read_state(load(report.checkpoint), "file")
        assert state.epoch == 1
    assert sum(report.seconds for report in reports if isinstance(report, EpochReport)) <= elapsed
