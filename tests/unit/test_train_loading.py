"""Reading ahead: the same batches for any number of threads, and none left behind."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vaeforge.config.loader import load
from vaeforge.errors import ConfigError
from vaeforge.samples import Samples
from vaeforge.search.configuration import learned
from vaeforge.training.batches import Batch, epoch_batches
from vaeforge.training.loading import AHEAD, chunks, read_in_order
from vaeforge.training.loop import EpochReport, TrainingData, fit
from vaeforge.training.process_group import ProcessGroup

Make = Callable[..., Any]
CPU = torch.device("cpu")


def loaders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("vaeforge-loader")]


def have_ended() -> bool:
    """Whether all loaders end, once nobody asks for what they load."""
    deadline = time.monotonic() + 30
    while loaders() and time.monotonic() < deadline:
        time.sleep(0.01)
    return loaders() == []


@pytest.fixture(autouse=True)
def none_is_left() -> Iterator[None]:
    yield
    assert have_ended()


@pytest.fixture
def on_disk(make_arrays: Make, tmp_path: Path) -> TrainingData:
    """Memory maps, as prepared data are."""
    arrays = make_arrays()
    np.save(tmp_path / "x.npy", arrays.train.x)
    train = Samples(np.load(tmp_path / "x.npy", mmap_mode="r"), arrays.train.condition)
    return replace(arrays, train=train)


def batches(experiment: Any, arrays: TrainingData, group: ProcessGroup) -> list[list[Batch]]:
    return list(epoch_batches(experiment, arrays.train, arrays.spec, 5, 1, group))


def plain(reports: list[EpochReport]) -> list[Any]:
    return [(report.epoch, report.metrics, report.value, report.outcome) for report in reports]


@pytest.mark.parametrize("group", [ProcessGroup(), ProcessGroup(1, 2)], ids=["alone", "second of two ranks"])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_batches_are_the_same_to_the_last_bit(
    make_experiment: Make, on_disk: TrainingData, workers: int, group: ProcessGroup
) -> None:
    sections = {"batch_size": 4, "accumulate": 2}
    alone, ahead = (
        batches(make_experiment(training=sections | {"loader_workers": count}), on_disk, group)
        for count in (0, workers)
    )
    assert [[part.total for part in step] for step in ahead] == [[4, 4], [4, 4], [4, 3]]
    for first, second in zip(chain(*alone), chain(*ahead), strict=True):
        assert len(first.raw) == (first.total if group.world_size == 1 else first.total - first.total // 2)
        assert torch.equal(first.raw, second.raw) and torch.equal(first.eps, second.eps)


@pytest.mark.parametrize("group", [ProcessGroup(), ProcessGroup(1, 2)], ids=["alone", "second of two ranks"])
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_of_16_bits_that_8_hold_are_those_of_8(
    make_experiment: Make, make_arrays: Make, workers: int, group: ProcessGroup
) -> None:
    """Level v of 8 bits is 257 v of 16, augmented alike; what lies between two levels is kept."""
    eight = make_arrays()
    wide = eight.train.stored.astype(np.uint16) * np.uint16(257)
    sixteen = replace(eight, train=Samples(wide, eight.train.condition))
    experiment = make_experiment(training={"batch_size": 4, "loader_workers": workers})
    pairs = zip(*(chain(*batches(experiment, arrays, group)) for arrays in (eight, sixteen)), strict=True)
    assert all(torch.equal(first.raw.float(), second.raw) for first, second in pairs)
    between = replace(eight, train=Samples(np.full_like(wide, 1000), eight.train.condition))
    plainly = make_experiment(training={"batch_size": 4, "augment": False, "loader_workers": workers})
    raw = batches(plainly, between, group)[0][0].raw
    torch.testing.assert_close(raw, torch.full_like(raw, 1000 / 257), rtol=1e-7, atol=0)


def test_a_training_that_is_resumed_with_another_number_of_threads_is_the_same(
    make_experiment: Make, on_disk: TrainingData, tmp_path: Path
) -> None:
    alone, ahead = (make_experiment(training={"epochs": 3, "loader_workers": count}) for count in (0, 3))
    whole = list(fit(alone, on_disk))
    first = []
    for report in fit(ahead, on_disk, folder=tmp_path / "cut"):
        first.append(report)
        if report.epoch == 1:
            break
    assert loaders() == []  # also while a training waits between two epochs
    checkpoints = [report.checkpoint for report in first if report.checkpoint]
    rest = list(fit(alone, on_disk, folder=tmp_path / "cut", resume=checkpoints))
    assert plain(first) + plain(rest) == plain(whole)


def test_samples_are_read_several_at_a_time_and_no_further_ahead_than_said() -> None:
    meeting, taken = threading.Barrier(2), []

    def plans() -> Iterator[int]:
        for plan in range(20):
            taken.append(plan)
            yield plan

    def read(plan: int) -> int:
        meeting.wait(timeout=30)  # breaks unless two are read at once
        return plan * plan

    with closing(read_in_order(read, plans(), 2, CPU)) as found:
        assert next(found) == (0, 0)
        assert len(taken) == AHEAD * 2 + 1
        assert [square for _, square in found] == [plan * plan for plan in range(1, 20)]


def test_whoever_stops_half_way_leaves_no_thread() -> None:
    found = read_in_order(lambda plan: plan, iter(range(100)), 3, CPU)
    next(found)
    assert loaders()
    found.close()
    assert have_ended()


def test_an_error_of_a_thread_is_the_callers() -> None:
    def read(plan: int) -> int:
        if plan == 3:
            raise OSError("the disk is gone")
        return plan

    with pytest.raises(OSError, match="the disk is gone"):
        list(read_in_order(read, iter(range(9)), 2, CPU))


@pytest.mark.parametrize("workers", [0, 2])
def test_chunks_are_all_samples_in_order(make_arrays: Make, workers: int) -> None:
    samples = make_arrays().train
    found = list(chunks(samples, 5, CPU, workers))
    assert [len(x) for x, _ in found] == [5, 5, 5, 5, 3]
    np.testing.assert_array_equal(torch.cat([x for x, _ in found]).numpy(), samples.x)


@pytest.mark.parametrize(("wrong", "rule"), [(-1, "must be >= 0"), (65, "must be <= 64"), ("many", "valid integer")])
def test_wrong_numbers_of_threads_are_refused(tmp_path: Path, wrong: Any, rule: str) -> None:
    with pytest.raises(ConfigError, match=rf"training\.loader_workers: got {wrong!r}.*{rule}"):
        load(tmp_path, "endoscopy", None, {"training.loader_workers": wrong})


def test_a_search_is_the_same_with_any_number_of_threads(tmp_path: Path) -> None:
    """Also one that was recorded before there was the setting."""
    one, other = (
        load(tmp_path, "endoscopy", None, {"training.loader_workers": count}).model_dump(mode="json")
        for count in (0, 4)
    )
    early = load(tmp_path, "endoscopy", None, {}).model_dump(mode="json")
    del early["experiment"]["training"]["loader_workers"]
    assert learned(one) == learned(other) == learned(early)
